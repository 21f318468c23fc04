// SPDX-License-Identifier: MIT
// The official Socket.IO client, unmodified, against a running suite, on every transport. Takes
// CHAT_URL, DATA_DIR and BIN_DIR from the environment and makes its own users.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import net from 'node:net'
import { after, describe, test } from 'node:test'
import { loadClient } from './node_transports.mjs'

const { io } = loadClient()
const url = process.env.CHAT_URL
const run = randomUUID().slice(0, 8)
const open = new Set()

const token = (name) =>
  execFileSync(
    `${process.env.BIN_DIR}/chatctl`,
    ['token', '--data-dir', process.env.DATA_DIR, '--user', `${name}-${run}`],
    { encoding: 'utf8' },
  ).trim()

/** A client that keeps every event; `seen` finds one that has come or will. */
function person(name, options = {}) {
  const socket = io(options.url ?? url, {
    auth: { token: token(name) }, forceNew: true, reconnectionDelay: 100, randomizationFactor: 0, ...options,
  })
  open.add(socket)
  const events = []
  const waiting = []
  socket.onAny((event, data) => {
    events.push({ event, data })
    for (const one of [...waiting]) one()
  })
  const seen = (event, wanted = () => true, milliseconds = 10_000) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${event}`)), milliseconds)
      const look = () => {
        const found = events.find((one) => one.event === event && wanted(one.data))
        if (!found) return
        clearTimeout(timer)
        waiting.splice(waiting.indexOf(look), 1)
        resolve(found.data)
      }
      waiting.push(look)
      look()
    })
  const ask = (event, data) => socket.timeout(10_000).emitWithAck(event, data)
  return { socket, events, seen, ask }
}

/** A TCP relay whose connections can be cut, as a network does. */
async function relay() {
  const target = new URL(url)
  const pairs = new Set()
  let isOpen = true
  const server = net.createServer((near) => {
    if (!isOpen) return near.destroy()
    const far = net.connect(target.port, target.hostname)
    const pair = [near, far]
    pairs.add(pair)
    near.pipe(far).pipe(near)
    for (const end of pair) {
      end.on('error', () => {})
      end.on('close', () => {
        pairs.delete(pair)
        near.destroy()
        far.destroy()
      })
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cut() {
      isOpen = false
      for (const [near, far] of pairs) {
        near.destroy()
        far.destroy()
      }
    },
    restore() {
      isOpen = true
    },
    close: () => server.close(),
  }
}

after(() => {
  for (const socket of open) socket.disconnect()
  globalThis.XMLHttpRequest?.agent?.destroy()
})

const transports = {
  websocket: ['websocket'],
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
}

for (const [name, list] of Object.entries(transports)) {
  describe(`over ${name}`, () => {
    test('two people talk', { timeout: 30_000 }, async () => {
      const ada = person('ada', { transports: list })
      const bob = person('bob', { transports: list })
      const session = await ada.seen('session')
      await bob.seen('session')
      assert.equal(session.rooms[0].id, 'lobby')
      const room = (await ada.ask('room:create', { name: `room ${randomUUID().slice(0, 8)}` })).room.id
      const joined = await bob.ask('room:join', { room })
      const acks = await Promise.all(
        Array.from({ length: 20 }, (_, n) => ada.ask('message:send', { room, text: `number ${n}`, clientId: `${room}-${n}` })),
      )
      assert.deepEqual(acks.map((ack) => ack.roomSeq), Array.from({ length: 20 }, (_, n) => joined.head + 1 + n))
      await bob.seen('message', (m) => m.room === room && m.text === 'number 19')
      const texts = bob.events.filter((e) => e.event === 'message' && e.data.room === room).map((e) => e.data.text)
      assert.deepEqual(texts, Array.from({ length: 20 }, (_, n) => `number ${n}`))
      const page = await bob.ask('history:fetch', { room, limit: 3 })
      assert.deepEqual(page.messages.map((m) => m.text), ['number 17', 'number 18', 'number 19'])
      const read = await bob.ask('message:read', { room, roomSeq: acks[19].roomSeq })
      assert.equal(read.unread, 0)
      await ada.seen('receipt', (r) => r.room === room && r.roomSeq === acks[19].roomSeq)
      bob.socket.emit('typing', { room, on: true })
      await ada.seen('typing', (t) => t.room === room && t.on)
      const wanted = name === 'polling' ? 'polling' : 'websocket'
      const { engine } = ada.socket.io
      if (engine.transport.name !== wanted) await new Promise((resolve) => engine.once('upgrade', resolve))
      assert.equal(engine.transport.name, wanted)
    })

    test('a wrong token is refused with its code', { timeout: 30_000 }, async () => {
      const socket = io(url, { auth: { token: 'wrong' }, transports: list, forceNew: true })
      open.add(socket)
      const error = await new Promise((resolve) => socket.on('connect_error', resolve))
      assert.equal(error.message, 'invalid_token')
      assert.equal(error.data.code, 'invalid_token')
      socket.disconnect()
    })

    test('a cut connection recovers what was missed, once and in order', { timeout: 60_000 }, async () => {
      const wire = await relay()
      const ada = person('ada', { transports: list })
      const bob = person('bob', { transports: list, url: wire.url })
      await ada.seen('session')
      await bob.seen('session')
      const before = bob.socket.id
      const room = (await ada.ask('room:create', { name: `room ${randomUUID().slice(0, 8)}` })).room.id
      await bob.ask('room:join', { room })
      await ada.ask('message:send', { room, text: 'one' })
      await bob.seen('message', (m) => m.room === room && m.text === 'one')
      const gone = new Promise((resolve) => bob.socket.once('disconnect', resolve))
      wire.cut()
      await gone
      for (const text of ['two', 'three', 'four']) await ada.ask('message:send', { room, text })
      const back = new Promise((resolve) => bob.socket.once('connect', resolve))
      wire.restore()
      await back
      assert.equal(bob.socket.recovered, true)
      assert.equal(bob.socket.id, before)
      await ada.ask('message:send', { room, text: 'five' })
      await bob.seen('message', (m) => m.room === room && m.text === 'five')
      const texts = bob.events.filter((e) => e.event === 'message' && e.data.room === room).map((e) => e.data.text)
      assert.deepEqual(texts, ['one', 'two', 'three', 'four', 'five'])
      bob.socket.disconnect()
      wire.close()
    })
  })
}
