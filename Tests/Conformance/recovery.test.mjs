// SPDX-License-Identifier: MIT
// The official Socket.IO client, unmodified, comes back to services that are killed under it. Starts
// its own AuthService and two ChatServices on one store; takes BIN_DIR from the environment.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { loadClient } from './node_transports.mjs'

const { io } = loadClient()
const bin = process.env.BIN_DIR
const data = mkdtempSync(join(tmpdir(), 'recovery-'))
const faketime = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1'
const run = randomUUID().slice(0, 8)
const open = new Set()
const children = new Map()
const ports = {}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

async function eventually(condition, what, milliseconds = 20_000) {
  const end = Date.now() + milliseconds
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not in time: ${what}`)
    await sleep(20)
  }
}

async function freePort() {
  const server = net.createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function start(name, extra = {}) {
  const auth = `http://127.0.0.1:${ports.auth}`
  const environment = {
    LOG_LEVEL: 'warning', UNLIMITED: '1', AUTH_URL: auth, AUTH_ISSUER: auth, AUTH_PORT: ports.auth,
    AUTH_DATA_DIR: `${data}/auth`, AUTH_SERVICE_SECRETS_DIR: `${data}/secrets`,
    CHAT_PORT: ports[name], CHAT_DATA_DIR: `${data}/chat`,
    CHAT_SERVICE_SECRET_FILE: `${data}/secrets/chat-service`, ...extra,
  }
  const program = `${bin}/${name === 'auth' ? 'AuthService' : 'ChatService'}`
  children.set(name, spawn(program, { env: environment, stdio: ['ignore', 'ignore', 'inherit'] }))
  await eventually(async () => {
    try {
      return (await fetch(`http://127.0.0.1:${ports[name]}/readyz`)).status === 200
    } catch {
      return false
    }
  }, `${name} is ready`)
}

async function kill(name) {
  const child = children.get(name)
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

const operate = (...words) =>
  execFileSync(`${bin}/chatctl`, words, {
    encoding: 'utf8', env: { ...process.env, AUTH_ISSUER: `http://127.0.0.1:${ports.auth}` },
  }).trim()
const token = (name, ttl = 172_800) =>
  operate('token', '--data-dir', data, '--user', `${name}-${run}`, '--ttl', String(ttl))

/** A TCP relay that can be cut, pointed elsewhere, or frozen: then neither side hears of the other. */
async function relay(target) {
  const state = { target, isOpen: true, pairs: new Set() }
  const server = net.createServer((near) => {
    if (!state.isOpen) return near.destroy()
    const far = net.connect(ports[state.target], '127.0.0.1')
    const pair = { near, far, isFrozen: false }
    state.pairs.add(pair)
    near.on('data', (bytes) => pair.isFrozen || far.write(bytes))
    far.on('data', (bytes) => pair.isFrozen || near.write(bytes))
    for (const [end, other] of [[near, far], [far, near]]) {
      end.on('error', () => {})
      end.on('close', () => pair.isFrozen || other.destroy())
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    state,
    url: `http://127.0.0.1:${server.address().port}`,
    cut() {
      state.isOpen = false
      for (const { near, far } of state.pairs) near.destroy(far.destroy())
    },
    freeze() {
      for (const pair of state.pairs) pair.isFrozen = true
    },
    close() {
      for (const { near, far } of state.pairs) near.destroy(far.destroy())
      server.close()
    },
  }
}

/** A client that keeps the texts it gets, by room. */
function person(name, url, options = {}) {
  const socket = io(url, {
    auth: { token: options.token ?? token(name) }, forceNew: true, transports: ['websocket'],
    reconnectionDelay: 50, reconnectionDelayMax: 200, randomizationFactor: 0, ...options,
  })
  open.add(socket)
  const texts = new Map()
  let sessions = 0
  let session = null
  // The offset of the latest event, as an application keeps it over a page reload.
  let offset = null
  socket.onAny((_, ...rest) => (offset = typeof rest.at(-1) === 'string' ? rest.at(-1) : offset))
  socket.on('message', (message) => {
    if (!texts.has(message.room)) texts.set(message.room, [])
    texts.get(message.room).push(message.text)
  })
  socket.on('session', (event) => {
    session = event
    sessions += 1
  })
  const has = (count, what = `${count} sessions`) => eventually(() => sessions >= count, what, 30_000)
  const ask = async (event, argument) => {
    const answer = await socket.timeout(10_000).emitWithAck(event, argument)
    assert.equal(answer.ok, true, JSON.stringify(answer))
    return answer
  }
  return {
    socket, texts, has, ask, sessions: () => sessions, session: () => session, offset: () => offset,
  }
}

async function rooms(owner, others, count = 3) {
  const made = []
  for (let number = 0; number < count; number += 1) {
    const { room } = await owner.ask('room:create', { name: `r ${randomUUID()}`, visibility: 'public' })
    for (const other of others) await other.ask('room:join', { room: room.id })
    made.push(room.id)
  }
  return made
}

async function complete(client, room, wanted) {
  await eventually(() => (client.texts.get(room)?.length ?? 0) >= wanted.length, `all of ${room}`)
  assert.deepEqual(client.texts.get(room), wanted)
}

before(async () => {
  for (const name of ['auth', 'one', 'two']) ports[name] = await freePort()
  await start('auth')
  await start('one')
  await start('two')
})

after(() => {
  for (const socket of open) socket.disconnect()
  for (const child of children.values()) child.kill('SIGKILL')
  rmSync(data, { recursive: true, force: true })
})

const timeout = 120_000

test('kill -9 of the server, three times in one session: all rooms complete', { timeout }, async () => {
  const ada = person('ada', `http://127.0.0.1:${ports.two}`)
  const bob = person('bob', `http://127.0.0.1:${ports.one}`)
  await Promise.all([ada.has(1), bob.has(1)])
  const ids = await rooms(ada, [bob])
  const id = bob.socket.id
  const wanted = []
  for (let round = 1; round <= 3; round += 1) {
    await kill('one')
    await eventually(() => !bob.socket.connected, 'bob notices')
    for (const room of ids) await ada.ask('message:send', { room, text: `${round}` })
    wanted.push(`${round}`)
    await start('one')
    await bob.has(round + 1)
    assert.equal(bob.socket.recovered, true, `round ${round}`)
    assert.equal(bob.socket.id, id)
    for (const room of ids) await complete(bob, room, wanted)
  }
  ada.socket.disconnect()
  bob.socket.disconnect()
})

test('on another instance, while the old connection hangs half-open', { timeout }, async () => {
  const wire = await relay('one')
  const ada = person('ada2', `http://127.0.0.1:${ports.two}`)
  const bob = person('bob2', wire.url)
  await Promise.all([ada.has(1), bob.has(1)])
  const [room] = await rooms(ada, [bob], 1)
  await ada.ask('message:send', { room, text: 'before' })
  await complete(bob, room, ['before'])
  wire.freeze()
  wire.state.target = 'two'
  await ada.ask('message:send', { room, text: 'meanwhile' })
  bob.socket.io.engine.close()
  await bob.has(2)
  assert.equal(bob.socket.recovered, true)
  await ada.ask('message:send', { room, text: 'after' })
  await complete(bob, room, ['before', 'meanwhile', 'after'])
  wire.close()
  bob.socket.disconnect()
  ada.socket.disconnect()
})

test('with no event seen but the session', { timeout }, async () => {
  const wire = await relay('one')
  const ada = person('ada3', `http://127.0.0.1:${ports.two}`)
  const quiet = person('quiet', wire.url)
  await Promise.all([ada.has(1), quiet.has(1)])
  wire.cut()
  await ada.ask('message:send', { room: 'lobby', text: `for ${run}` })
  wire.state.isOpen = true
  await quiet.has(2)
  assert.equal(quiet.socket.recovered, true)
  await complete(quiet, 'lobby', [`for ${run}`])
  wire.close()
  quiet.socket.disconnect()
  ada.socket.disconnect()
})

test('an offset 5,000 events and 24 hours old', { timeout: 240_000 }, async () => {
  const wire = await relay('one')
  const ada = person('ada4', `http://127.0.0.1:${ports.two}`)
  const bob = person('bob4', wire.url)
  await Promise.all([ada.has(1), bob.has(1)])
  const [room] = await rooms(ada, [bob], 1)
  wire.cut()
  await eventually(() => !bob.socket.connected, 'bob notices')
  const wanted = Array.from({ length: 5000 }, (_, number) => `${number}`)
  for (let first = 0; first < wanted.length; first += 500) {
    await Promise.all(
      wanted.slice(first, first + 500).map((text) => ada.ask('message:send', { room, text })),
    )
  }
  if (existsSync(faketime)) {
    await kill('one')
    await start('one', {
      LD_PRELOAD: faketime, FAKETIME: '+1d', FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_FORCE_MONOTONIC_FIX: '1',
    })
  }
  wire.state.isOpen = true
  await bob.has(2)
  assert.equal(bob.socket.recovered, true)
  await complete(bob, room, wanted)
  wire.close()
  bob.socket.disconnect()
  ada.socket.disconnect()
  if (existsSync(faketime)) {
    await kill('one')
    await start('one')
  }
})

test('a ban in between: refused, and nothing more is delivered', { timeout }, async () => {
  const wire = await relay('one')
  const ada = person('ada5', `http://127.0.0.1:${ports.two}`)
  const eve = person('eve', wire.url)
  await Promise.all([ada.has(1), eve.has(1)])
  const refusals = []
  eve.socket.on('connect_error', (error) => refusals.push(error.message))
  wire.cut()
  await eventually(() => !eve.socket.connected, 'eve notices')
  operate('user', 'disable', `eve-${run}`, '--data-dir', data)
  await ada.ask('message:send', { room: 'lobby', text: 'not for eve' })
  await sleep(1500)
  refusals.length = 0
  wire.state.isOpen = true
  await eventually(() => refusals.includes('token_revoked'), 'the refusal')
  await sleep(500)
  assert.equal(eve.sessions(), 1)
  assert.equal((eve.texts.get('lobby') ?? []).includes('not for eve'), false)
  wire.close()
  eve.socket.disconnect()
  ada.socket.disconnect()
})

test('the log put back to an older state: said, and nothing skipped in silence', { timeout }, async () => {
  const ada = person('ada7', `http://127.0.0.1:${ports.one}`)
  const bob = person('bob7', `http://127.0.0.1:${ports.two}`)
  await Promise.all([ada.has(1), bob.has(1)])
  const [room] = await rooms(ada, [bob], 1)
  await ada.ask('message:send', { room, text: 'kept' })
  await complete(bob, room, ['kept'])
  const files = ['chat.db', 'chat.db-wal']
  const stop = () => Promise.all([kill('one'), kill('two')])
  await stop()
  for (const file of files) copyFileSync(`${data}/chat/${file}`, `${data}/${file}.old`)
  await start('one')
  await start('two')
  await Promise.all([ada.has(2), bob.has(2)])
  assert.equal(bob.socket.recovered, true)
  assert.equal(bob.session().recovered, true)
  const { epoch } = bob.session()
  for (const text of ['lost 1', 'lost 2', 'lost 3']) await ada.ask('message:send', { room, text })
  await complete(bob, room, ['kept', 'lost 1', 'lost 2', 'lost 3'])
  const cursor = bob.offset()
  assert.match(cursor, new RegExp(`^[0-9]+-${epoch}$`))
  await sleep(1200) // how far the log had come is noted twice a second
  await stop()
  rmSync(`${data}/chat/chat.db-shm`, { force: true })
  for (const file of files) copyFileSync(`${data}/${file}.old`, `${data}/chat/${file}`)
  await start('one')
  await ada.has(3)
  // Further than before: the numbers alone do not tell.
  for (const text of ['new 1', 'new 2', 'new 3', 'new 4', 'new 5']) {
    await ada.ask('message:send', { room, text })
  }
  await start('two')
  await bob.has(3)
  assert.equal(bob.socket.recovered, false)
  assert.equal(bob.session().recovered, false)
  assert.notEqual(bob.session().epoch, epoch)
  const page = await bob.ask('history:fetch', { room })
  assert.deepEqual(
    page.messages.map((message) => message.text), ['kept', 'new 1', 'new 2', 'new 3', 'new 4', 'new 5'],
  )
  // Neither the cursor of the other history nor a bare number is believed.
  for (const old of [cursor, cursor.split('-')[0]]) {
    const again = person('bob7', `http://127.0.0.1:${ports.two}`, {
      auth: { token: token('bob7'), cursor: old },
    })
    await again.has(1)
    assert.equal(again.session().recovered, false)
    assert.equal(again.texts.size, 0)
    again.socket.disconnect()
  }
  const reloaded = person('bob7', `http://127.0.0.1:${ports.two}`, {
    auth: { token: token('bob7'), cursor: bob.offset() },
  })
  await ada.ask('message:send', { room, text: 'last' })
  await reloaded.has(1)
  assert.equal(reloaded.session().recovered, true)
  await eventually(() => reloaded.texts.get(room)?.at(-1) === 'last', 'the last')
  for (const one of [ada, bob, reloaded]) one.socket.disconnect()
})

test('an expired token: refused, then recovered with a fresh one', { timeout }, async () => {
  const wire = await relay('one')
  const ada = person('ada6', `http://127.0.0.1:${ports.two}`)
  const bob = person('bob6', wire.url, { token: token('bob6', 5) })
  await Promise.all([ada.has(1), bob.has(1)])
  const refusals = []
  bob.socket.on('connect_error', (error) => refusals.push(error.message))
  wire.cut()
  const text = `late ${run}`
  await ada.ask('message:send', { room: 'lobby', text })
  await sleep(12_000) // past its end and the verifier's leeway
  wire.state.isOpen = true
  await eventually(() => refusals.includes('token_expired'), 'the refusal')
  assert.equal((bob.texts.get('lobby') ?? []).includes(text), false)
  bob.socket.auth = { token: token('bob6') }
  bob.socket.disconnect().connect()
  await bob.has(2)
  await eventually(() => (bob.texts.get('lobby') ?? []).includes(text), 'what was missed')
  assert.equal(bob.texts.get('lobby').filter((one) => one === text).length, 1)
  wire.close()
  bob.socket.disconnect()
  ada.socket.disconnect()
})
