// SPDX-License-Identifier: MIT
// The official Socket.IO client over https:// and wss://: a message from one to the other on each
// transport. Takes CHAT_URL and TOKEN_A, TOKEN_B; ends with code 0 when all came through.
import assert from 'node:assert/strict'
import { loadClient } from './node_transports.mjs'

const { io } = loadClient()

for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
  const [ada, bob] = [process.env.TOKEN_A, process.env.TOKEN_B].map((token) =>
    io(process.env.CHAT_URL, { auth: { token }, transports, forceNew: true, reconnection: false }))
  const session = (socket) => new Promise((resolve, reject) => {
    socket.once('session', resolve)
    socket.once('connect_error', reject)
  })
  await Promise.all([ada, bob].map(session))
  const text = `over TLS, ${transports.join(' and ')}`
  const heard = new Promise((resolve) => bob.on('message', (message) => {
    if (message.text === text) resolve(message)
  }))
  const answer = await ada.timeout(10_000).emitWithAck('message:send', { room: 'lobby', text })
  assert.ok(answer.ok, JSON.stringify(answer))
  assert.equal((await heard).id, answer.id)
  ada.disconnect()
  bob.disconnect()
}
console.log('official JavaScript client: 3 transports')
process.exit(0)
