// SPDX-License-Identifier: MIT
// The official Socket.IO client, unmodified, against the `support` profile: what its own tests ask of a
// server, on both transports and through the upgrade. SUPPORT_URL says where.
import assert from 'node:assert/strict'
import net from 'node:net'
import { after, describe, test } from 'node:test'
import { loadClient } from './node_transports.mjs'

const { io, Manager } = loadClient()
const url = process.env.SUPPORT_URL
const open = new Set()
const limit = { timeout: 20_000 }

function connect(path = '', options = {}) {
  const socket = io((options.url ?? url) + path, { forceNew: true, reconnectionDelay: 50, randomizationFactor: 0, ...options })
  open.add(socket)
  return socket
}

/** The arguments of the next event of that name, as they come. */
const raw = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)))
/** The same without the offset that a recovering server adds to its events. */
const next = async (socket, event) => {
  const args = await raw(socket, event)
  if (!own.has(event)) assert.match(args.pop(), /^\d+$/)
  return args
}
const own = new Set(['connect', 'connect_error', 'disconnect', 'ack'])
const bytes = (...numbers) => Uint8Array.from(numbers)
const numbers = (binary) => [...new Uint8Array(binary.buffer ?? binary, binary.byteOffset ?? 0, binary.byteLength)]
const asdfasdf = [...Buffer.from('asdfasdf')]
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** A TCP relay whose connections can be cut. */
async function relay() {
  const target = new URL(url)
  const ends = new Set()
  let isOpen = true
  const server = net.createServer((near) => {
    if (!isOpen) return near.destroy()
    const far = net.connect(target.port, target.hostname)
    near.pipe(far).pipe(near)
    for (const end of [near, far]) {
      ends.add(end)
      end.on('error', () => {})
      end.on('close', () => { near.destroy(); far.destroy(); ends.delete(end) })
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cut() { isOpen = false; for (const end of ends) end.destroy() },
    restore() { isOpen = true },
    close() { for (const end of ends) end.destroy(); server.close() },
  }
}

after(() => {
  for (const socket of open) socket.disconnect()
  globalThis.XMLHttpRequest?.agent?.destroy()
})

const transports = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] }

for (const [name, list] of Object.entries(transports)) {
  const to = (path, options) => connect(path, { transports: list, ...options })

  describe(`over ${name}`, () => {
    test('connects, says who it is, disconnects', limit, async () => {
      const socket = to('')
      await next(socket, 'connect')
      assert.equal(typeof socket.id, 'string')
      assert.notEqual(socket.id, socket.io.engine.id)
      assert.equal(await socket.emitWithAck('getId'), socket.id)
      assert.equal(socket.recovered, false)
      const gone = next(socket, 'disconnect')
      socket.disconnect()
      assert.equal((await gone)[0], 'io client disconnect')
      assert.equal(socket.id, undefined)
      const again = next(socket, 'connect')
      socket.connect()
      await again
    })

    test('events, text and nothing', limit, async () => {
      const socket = to('')
      socket.emit('hi') // buffered until connected
      assert.deepEqual(await next(socket, 'hi'), [])
      socket.emit('false')
      assert.deepEqual(await next(socket, 'false'), [false])
      const texts = []
      const all = new Promise((resolve) => socket.on('takeUtf8', (text) => texts.push(text) === 5 && resolve()))
      socket.emit('getUtf8')
      await all
      assert.deepEqual(texts, ['てすと', 'Я Б Г Д Ж Й', 'Ä ä Ü ü ß', 'utf8 — string', 'utf8 — string'])
      const odd = ['', null, true, -1.5e300, [], {}, '\u2028\u0000', '\u001e', { a: { b: [null, '😀'] } }]
      socket.emit('mirror', ...odd)
      assert.deepEqual(await next(socket, 'mirrored'), odd)
    })

    test('acknowledgements both ways', limit, async () => {
      const socket = to('')
      socket.on('ack', (answer) => answer(5, { test: true }))
      socket.emit('ack')
      await next(socket, 'got it')
      assert.match(await socket.emitWithAck('getAckDate', { test: true }), /^\d{4}-\d\d-\d\dT/)
      for (const value of [0, false, null, '', [1], { a: 1 }]) assert.deepEqual(await socket.emitWithAck('echo', value), value)
      socket.emit('getDate')
      assert.equal(typeof (await next(socket, 'takeDate'))[0], 'string')
      socket.emit('getDateObj')
      assert.equal(typeof (await next(socket, 'takeDateObj'))[0].date, 'string')
      const many = await Promise.all(Array.from({ length: 500 }, (_, n) => socket.emitWithAck('echo', n)))
      assert.deepEqual(many, Array.from({ length: 500 }, (_, n) => n))
    })

    test('an answer that never comes times out', limit, async () => {
      const socket = to('')
      await next(socket, 'connect')
      await assert.rejects(socket.timeout(50).emitWithAck('unknown'), /timed out/)
      assert.equal(await socket.timeout(2000).emitWithAck('echo', 42), 42)
    })

    test('binary both ways', limit, async () => {
      const socket = to('')
      socket.emit('doge')
      assert.deepEqual(numbers((await next(socket, 'doge'))[0]), asdfasdf)
      socket.emit('getbin')
      assert.deepEqual(numbers((await next(socket, 'takebin'))[0]), asdfasdf)
      socket.emit('buffa', bytes(1, 2).buffer)
      await next(socket, 'buffack')
      socket.emit('blob', bytes(0, 255))
      await next(socket, 'back')
      for (const event of ['jsonbuff', 'jsonblob']) {
        socket.emit(event, { hello: 'lol', message: bytes(7), goodbye: 'gotcha' })
        await next(socket, `${event}-ack`)
      }
      socket.emit('abuff1', bytes(1))
      socket.emit('abuff2', 'please arrive second')
      await next(socket, 'abuff2-ack')
      socket.emit('blob1', bytes(1))
      socket.emit('blob2', 'second')
      socket.emit('blob3', bytes(3))
      await next(socket, 'blob3-ack')
      assert.deepEqual(numbers(await socket.emitWithAck('echo', bytes(0, 1, 254))), [0, 1, 254])
      socket.emit('mirror', { list: [bytes(1), { deep: bytes(2) }] }, bytes(), 'text')
      const [object, empty, text] = await next(socket, 'mirrored')
      assert.deepEqual([numbers(object.list[0]), numbers(object.list[1].deep), numbers(empty), text], [[1], [2], [], 'text'])
      const large = new Uint8Array(700_000).map((_, n) => n * 31)
      assert.deepEqual(Buffer.from(await socket.emitWithAck('echo', large)).compare(Buffer.from(large)), 0)
    })

    test('namespaces share one connection', limit, async () => {
      const manager = new Manager(url, { transports: list, reconnection: false })
      const main = manager.socket('/')
      const foo = manager.socket('/foo')
      open.add(main).add(foo)
      await Promise.all([next(main, 'connect'), next(foo, 'connect')])
      assert.notEqual(main.id, foo.id)
      assert.equal(await foo.emitWithAck('getId'), foo.id)
      foo.disconnect()
      assert.equal(await main.emitWithAck('echo', 1), 1)
      foo.connect()
      await next(foo, 'connect')
      for (const path of ['/asd', '/valid', '/timeout_socket']) {
        const socket = manager.socket(path)
        await next(socket, 'connect')
        socket.disconnect()
      }
    })

    test('the handshake is told as it was', limit, async () => {
      const options = { query: { a: 'b c', 'ä&': '=' }, auth: { token: 'x', n: [1] }, extraHeaders: { 'x-custom': 'yes' } }
      const socket = to('/abc', options)
      const [handshake] = await next(socket, 'handshake')
      assert.equal(handshake.query.a, 'b c')
      assert.equal(handshake.query['ä&'], '=')
      assert.equal(handshake.query.EIO, '4')
      assert.deepEqual(handshake.auth, { token: 'x', n: [1] })
      assert.equal(handshake.address, '127.0.0.1')
      assert.equal(handshake.url.startsWith('/socket.io/?'), true)
      if (name !== 'websocket') assert.equal(handshake.headers['x-custom'], 'yes')
      const plain = to('')
      assert.deepEqual((await plain.emitWithAck('getHandshake')).auth, {})
    })

    test('auth may be a function, and change', limit, async () => {
      let count = 0
      const socket = to('', { auth: (give) => give({ count: ++count }) })
      assert.equal((await socket.emitWithAck('getHandshake')).auth.count, 1)
      socket.disconnect().connect()
      assert.equal((await socket.emitWithAck('getHandshake')).auth.count, 2)
    })

    test('refusals say why', limit, async () => {
      const [failed] = await next(to('', { query: { fail: true } }), 'connect_error')
      assert.equal(failed.message, 'Auth failed (main namespace)')
      const [no] = await next(to('/no'), 'connect_error')
      assert.equal(no.message, 'Auth failed (custom namespace)')
      const [data] = await next(to('/no-data'), 'connect_error')
      assert.deepEqual([data.message, data.data], ['denied', { code: 42 }])
      const [invalid] = await next(to('/nowhere'), 'connect_error')
      assert.equal(invalid.message, 'Invalid namespace')
    })

    test('a refused socket may come back another way', limit, async () => {
      const manager = new Manager(url, { transports: list, query: {} })
      const no = manager.socket('/no')
      await next(no, 'connect_error')
      const socket = manager.socket('/')
      open.add(socket)
      await next(socket, 'connect')
      assert.equal(await socket.emitWithAck('echo', 'ok'), 'ok')
    })

    test('rooms: joined, left, spoken to', limit, async () => {
      const [a, b, c] = [to(''), to(''), to('')]
      await Promise.all([a, b, c].map((socket) => next(socket, 'connect')))
      const room = `room-${name}`
      assert.deepEqual(await a.emitWithAck('join', room), [room])
      assert.deepEqual(await b.emitWithAck('join', room), [room])
      assert.deepEqual(await b.emitWithAck('join', `${room}-2`), [room, `${room}-2`])
      let stray = 0
      for (const socket of [a, c]) socket.on('fromRoom', () => stray++)
      a.emit('toRoom', room, 'text', bytes(5))
      const [where, text, binary] = await next(b, 'fromRoom')
      assert.deepEqual([where, text, numbers(binary)], [room, 'text', [5]])
      const all = Promise.all([a, b, c].map((socket) => next(socket, 'fromAll')))
      c.emit('toAll', 1, [2])
      assert.deepEqual(await all, [[1, [2]], [1, [2]], [1, [2]]])
      const others = Promise.all([a, c].map((socket) => next(socket, 'fromOthers')))
      b.emit('toOthers', 'x')
      assert.deepEqual(await others, [['x'], ['x']])
      assert.deepEqual(await b.emitWithAck('leave', room), [`${room}-2`])
      assert.equal(stray, 0)
    })

    test('a room is asked, and waited for a second', limit, async () => {
      const [a, b, c] = [to(''), to(''), to('')]
      const room = `ask-${name}`
      for (const socket of [b, c]) await socket.emitWithAck('join', room)
      const ask = () => new Promise((resolve) => a.emit('askRoom', room, 'how many?', (...args) => resolve(args)))
      b.on('question', (question, answer) => answer(`${question} 1`))
      c.on('question', (question, answer) => answer(`${question} 2`))
      const [verdict, answers] = await ask()
      assert.deepEqual([verdict, answers.sort()], ['ok', ['how many? 1', 'how many? 2']])
      c.off('question')
      assert.deepEqual(await ask(), ['timeout', ['how many? 1']])
      await b.emitWithAck('leave', room)
      await c.emitWithAck('leave', room)
      assert.deepEqual(await ask(), ['ok', []])
    })

    test('the server may end it', limit, async () => {
      const socket = to('')
      await next(socket, 'connect')
      socket.emit('disconnectMe', false)
      assert.equal((await next(socket, 'disconnect'))[0], 'io server disconnect')
      assert.equal(socket.active, false)
      socket.connect()
      await next(socket, 'connect')
      const closed = to('')
      await next(closed, 'connect')
      closed.emit('disconnectMe', true)
      assert.equal((await next(closed, 'disconnect'))[0], 'io server disconnect')
    })

    test('a flood arrives whole and in order', limit, async () => {
      const socket = to('')
      const got = []
      const all = new Promise((resolve) => socket.on('drop', (n, text) => {
        assert.equal(text.length, 500)
        if (got.push(n) === 5000) resolve()
      }))
      socket.emit('flood', 5000, 500)
      await all
      assert.deepEqual(got, Array.from({ length: 5000 }, (_, n) => n))
      assert.equal(await socket.emitWithAck('echo', 'after'), 'after')
    })

    test('the heart beats', limit, async () => {
      const socket = to('')
      await next(socket, 'connect')
      await new Promise((resolve) => socket.io.once('ping', resolve))
      await new Promise((resolve) => socket.io.once('ping', resolve))
      assert.equal(socket.connected, true)
    })

    test('the transport is the one wanted', limit, async () => {
      const socket = to('')
      await next(socket, 'connect')
      const { engine } = socket.io
      if (name === 'upgrade' && engine.transport.name !== 'websocket') await new Promise((resolve) => engine.once('upgrade', resolve))
      await pause(50)
      assert.equal(await socket.emitWithAck('transport'), name === 'polling' ? 'polling' : 'websocket')
    })

    test('volatile events come while nothing waits', limit, async () => {
      const socket = to('')
      await next(socket, 'connect')
      await socket.emitWithAck('echo', 0)
      if (name === 'upgrade') await pause(200)
      socket.volatile.emit('hi')
      await next(socket, 'hi')
    })

    test('retries deliver each event, in order', limit, async () => {
      const wire = await relay()
      const socket = to('', { url: wire.url, retries: 10, ackTimeout: 300 })
      await next(socket, 'connect')
      const answers = []
      const all = new Promise((resolve) => {
        for (let n = 0; n < 10; n++) {
          socket.emit('echo', n, (error, value) => {
            assert.equal(error, null)
            if (answers.push(value) === 10) resolve()
          })
          if (n === 3) { wire.cut(); setTimeout(wire.restore, 400) }
        }
      })
      await all
      assert.deepEqual(answers, Array.from({ length: 10 }, (_, n) => n))
      socket.disconnect()
      wire.close()
    })

    test('a lost connection comes back with its state', limit, async () => {
      const wire = await relay()
      const room = `lost-${name}`
      const [a, b] = [to('', { url: wire.url }), to('')]
      await Promise.all([next(a, 'connect'), next(b, 'connect')])
      await a.emitWithAck('join', room)
      const got = []
      a.on('fromRoom', (_, n) => got.push(n))
      b.emit('toRoom', room, 0)
      while (got.length < 1) await pause(5)
      const id = a.id
      const lost = next(a, 'disconnect')
      wire.cut()
      await lost
      for (let n = 1; n <= 20; n++) b.emit('toRoom', room, n)
      await b.emitWithAck('echo', 1)
      const back = next(a, 'connect')
      wire.restore()
      await back
      assert.equal(a.recovered, true)
      assert.equal(a.id, id)
      b.emit('toRoom', room, 21)
      while (got.length < 22) await pause(5)
      assert.deepEqual(got, Array.from({ length: 22 }, (_, n) => n))
      a.disconnect()
      wire.close()
    })

    test('offsets rise, and answers have none', limit, async () => {
      const socket = to('')
      const offsets = []
      for (const args of [[], ['a'], [1, 'b'], [null]]) {
        socket.emit('mirror', ...args)
        const got = await raw(socket, 'mirrored')
        assert.deepEqual(got.slice(0, -1), args)
        offsets.push(Number(got.at(-1)))
      }
      assert.deepEqual(offsets, offsets.toSorted((a, b) => a - b))
      assert.equal(new Set(offsets).size, 4)
      assert.deepEqual(await new Promise((resolve) => socket.emit('echo', 1, (...args) => resolve(args))), [1])
    })
  })
}

test('reconnects by itself until it may not', limit, async () => {
  const wire = await relay()
  const socket = connect('', { url: wire.url, reconnectionAttempts: 3, reconnectionDelayMax: 60, transports: ['websocket'] })
  await next(socket, 'connect')
  wire.cut()
  const attempts = []
  socket.io.on('reconnect_attempt', (n) => attempts.push(n))
  await new Promise((resolve) => socket.io.once('reconnect_failed', resolve))
  assert.deepEqual(attempts, [1, 2, 3])
  wire.restore()
  socket.connect()
  await next(socket, 'connect')
  socket.disconnect()
  wire.close()
})

test('two hundred clients at once', { timeout: 60_000 }, async () => {
  const sockets = Array.from({ length: 200 }, (_, n) => connect('', { transports: transports[Object.keys(transports)[n % 3]] }))
  await Promise.all(sockets.map((socket) => socket.emitWithAck('echo', 1)))
  assert.equal(new Set(sockets.map((socket) => socket.id)).size, 200)
  for (const socket of sockets) socket.disconnect()
})
