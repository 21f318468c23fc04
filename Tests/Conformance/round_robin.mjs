// SPDX-License-Identifier: MIT
// The official client through a balancer that is not sticky: polling only, and upgraded. Takes
// CHAT_URL, DATA_DIR and BIN_DIR from the environment.
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadClient } from './node_transports.mjs'

const { io } = loadClient()
const run = randomUUID().slice(0, 8)
const each = 15

const token = (name) =>
  execFileSync(
    `${process.env.BIN_DIR}/chatctl`,
    ['token', '--data-dir', process.env.DATA_DIR, '--user', `${name}-${run}`],
    { encoding: 'utf8' },
  ).trim()

async function talker(name, transports) {
  const socket = io(process.env.CHAT_URL, {
    auth: { token: token(name) }, forceNew: true, transports, reconnection: false,
  })
  const one = { name, socket, heard: new Set(), failures: [] }
  socket.on('message', ({ text }) => text.startsWith(run) && one.heard.add(text))
  socket.on('disconnect', (reason) => one.failures.push(reason))
  await new Promise((resolve, reject) => {
    socket.on('session', resolve)
    socket.on('connect_error', reject)
  })
  return one
}

const talkers = []
for (let n = 0; n < 6; n++) talkers.push(await talker(`js-poll${n}`, ['polling']))
for (let n = 0; n < 4; n++) talkers.push(await talker(`js-up${n}`, ['polling', 'websocket']))
await Promise.all(
  talkers.map(async ({ name, socket, failures }) => {
    for (let n = 0; n < each; n++) {
      const answer = await socket
        .timeout(20_000)
        .emitWithAck('message:send', { room: 'lobby', text: `${run} ${name} ${n}` })
      if (!answer.ok) failures.push(JSON.stringify(answer))
      await sleep(50)
    }
  }),
)
const expected = talkers.length * each
for (let n = 0; n < 600 && talkers.some(({ heard }) => heard.size < expected); n++) await sleep(50)
const failed = talkers.filter(
  ({ name, socket, heard, failures }) =>
    heard.size !== expected || failures.length > 0
    || (name.startsWith('js-up') && socket.io.engine.transport.name !== 'websocket'),
)
for (const { name, socket, heard, failures } of failed) {
  console.log(name, socket.io.engine.transport?.name, heard.size, 'of', expected, failures)
}
for (const { socket } of talkers) socket.disconnect()
console.log(`javascript: ${talkers.length - failed.length} of ${talkers.length} clients heard all ${expected} messages`)
process.exit(failed.length > 0 ? 1 : 0)
