// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { configureStore, type Middleware } from '@reduxjs/toolkit';
import { Session } from '../src/store/authMiddleware';
import { authReducer, signedIn, signedOut, tokenRefreshed } from '../src/store/authSlice';
import { chatReducer, readReached, roomSelected, sendRequested } from '../src/store/chatSlice';
import { typed } from '../src/store/commands';
import { createSocketMiddleware } from '../src/store/socketMiddleware';
import { uiReducer } from '../src/store/uiSlice';
import { FakeSocket } from './fakeSocket';
import { ada, AT, bo, message, room, session } from './fixtures';

const HOUR = 3_600_000;

function start() {
    const tokens = new Session();
    tokens.accessToken = 'first';
    const seen: string[] = [];
    const record: Middleware = () => (next) => (action) => {
        seen.push((action as { type: string }).type);
        return next(action);
    };
    const store = configureStore({
        reducer: { auth: authReducer, chat: chatReducer, ui: uiReducer },
        middleware: (getDefault) =>
            getDefault({ serializableCheck: false }).concat([record, createSocketMiddleware(tokens)]),
    });
    store.dispatch(signedIn({ expiresAt: Date.now() + HOUR }));
    const socket = FakeSocket.latest;
    return { store, socket, tokens, seen, stop: () => store.dispatch(signedOut({ message: null })) };
}

/** Connected, with a session that knows the lobby. */
function online() {
    const all = start();
    all.socket.open();
    all.socket.receive('session', session());
    return all;
}

function send(clientId: string) {
    return sendRequested({ room: 'lobby', clientId, text: clientId, replyTo: null, now: 0 });
}

/** Lets promises run, and timers up to the given time. */
function settle(milliseconds = 0): Promise<void> {
    return new Promise((done) => setTimeout(done, milliseconds));
}

function sent(roomSeq: number) {
    return { ok: true, id: `m${roomSeq}`, seq: roomSeq, roomSeq, at: AT };
}

describe('sending', () => {
    test('one message of a room is under way at a time, in the order they were written', async () => {
        const { store, socket, stop } = online();
        for (const id of ['c1', 'c2', 'c3']) store.dispatch(send(id));
        for (const [index, id] of ['c1', 'c2', 'c3'].entries()) {
            const [asked, ...more] = socket.take('message:send');
            assert.equal(asked?.request.clientId, id);
            assert.equal(more.length, 0);
            asked?.answer(sent(11 + index));
            await settle();
        }
        const lobby = store.getState().chat.rooms['lobby'];
        assert.deepEqual(lobby?.entries.map((entry) => entry.roomSeq), [11, 12, 13]);
        assert.equal(lobby?.outgoing.length, 0);
        stop();
    });

    test('what got no answer goes out again, first and with the same clientId', async () => {
        const { store, socket, stop } = online();
        store.dispatch(send('c1'));
        store.dispatch(send('c2'));
        socket.drop();
        await settle();
        assert.equal(store.getState().chat.connection, 'reconnecting');
        store.dispatch(send('c3'));
        assert.equal(socket.take('message:send').length, 0);
        socket.open();
        const [again] = socket.take('message:send');
        assert.equal(again?.request.clientId, 'c1');
        stop();
    });

    test('a passing refusal is waited out; the order stays', async () => {
        const { store, socket, stop } = online();
        store.dispatch(send('c1'));
        store.dispatch(send('c2'));
        const error = { code: 'rate_limited', message: '', retryAfterMs: 5 };
        socket.take('message:send')[0]?.answer({ ok: false, error });
        await settle(20);
        assert.equal(socket.take('message:send')[0]?.request.clientId, 'c1');
        stop();
    });

    test('a lasting refusal is shown and does not hold up what follows', async () => {
        const { store, socket, stop } = online();
        store.dispatch(send('c1'));
        store.dispatch(send('c2'));
        const error = { code: 'too_large', message: '' };
        socket.take('message:send')[0]?.answer({ ok: false, error });
        await settle();
        const first = store.getState().chat.rooms['lobby']?.outgoing[0];
        assert.equal(first?.status, 'failed');
        assert.equal(first?.error, 'That message is too long.');
        assert.equal(socket.take('message:send')[0]?.request.clientId, 'c2');
        stop();
    });
});

describe('connection', () => {
    test('an expired token is renewed and presented, without a word to the person', () => {
        const { store, socket, tokens, seen, stop } = start();
        assert.equal(socket.token(), 'first');
        socket.refuse('token_expired');
        assert(seen.includes('auth/refreshNeeded'));
        tokens.accessToken = 'second';
        store.dispatch(tokenRefreshed({ expiresAt: Date.now() + HOUR }));
        assert.equal(socket.connects, 2);
        assert.equal(socket.token(), 'second');
        stop();
    });

    test('refused with fresh tokens too, the person is signed out', () => {
        const { store, socket, seen, stop } = start();
        for (let attempt = 0; attempt < 3; attempt++) {
            socket.refuse('token_revoked');
            store.dispatch(tokenRefreshed({ expiresAt: Date.now() + HOUR }));
        }
        assert(seen.includes('auth/signOutRequested'));
        stop();
    });

    test('a live connection gets the new token in band', async () => {
        const { store, socket, tokens, seen, stop } = online();
        socket.receive('auth:expiring', { expiresAt: AT });
        assert(seen.includes('auth/refreshNeeded'));
        tokens.accessToken = 'second';
        store.dispatch(tokenRefreshed({ expiresAt: Date.now() + HOUR }));
        const [asked] = socket.take('auth:refresh');
        assert.equal(asked?.request.token, 'second');
        asked?.answer({ ok: true, expiresAt: AT });
        await settle();
        assert.equal(socket.connected, true);
        stop();
    });

    test('a server that is not ready is told of, and asked again', () => {
        const { store, socket, stop } = start();
        socket.refuse('auth_unavailable');
        assert.equal(store.getState().chat.connection, 'refused');
        assert(store.getState().chat.connectionNote);
        stop();
    });

    test('signing out closes it for good', () => {
        const { store, socket, stop } = online();
        stop();
        assert.equal(socket.connected, false);
        socket.receive('message', message(11));
        assert.deepEqual(store.getState().chat.rooms, {});
    });
});

describe('rooms', () => {
    test('a gap is fetched until it is closed', async () => {
        const { store, socket, stop } = online();
        socket.receive('message', message(14));
        await settle(200);
        const [first] = socket.take('history:fetch');
        assert.equal(first?.request.after, 10);
        first?.answer({ ok: true, messages: [message(11), message(12)], hasMore: true });
        await settle();
        const [second] = socket.take('history:fetch');
        assert.equal(second?.request.after, 12);
        second?.answer({ ok: true, messages: [message(13)], hasMore: false });
        await settle();
        const lobby = store.getState().chat.rooms['lobby'];
        assert.deepEqual(lobby?.entries.map((entry) => entry.roomSeq), [11, 12, 13, 14]);
        assert.equal(lobby?.gap, null);
        assert.equal(lobby?.unread, 4);
        stop();
    });

    test('opening a room asks for it once; a link to a strange room joins nothing', async () => {
        const { store, socket, stop } = online();
        store.dispatch(roomSelected('elsewhere'));
        assert.equal(socket.take('room:join').length, 0);
        store.dispatch(roomSelected('lobby'));
        store.dispatch(roomSelected(null));
        store.dispatch(roomSelected('lobby'));
        const [asked, ...more] = socket.take('room:join');
        assert.equal(more.length, 0);
        const members = [{ ...ada, role: 'member' }];
        asked?.answer({ ok: true, room: room(), head: 10, members, messages: [], readMark: 10 });
        await settle();
        assert.equal(store.getState().chat.rooms['lobby']?.status, 'loaded');
        stop();
    });

    test('read marks are told once they rest, and only the last', async () => {
        const { store, socket, stop } = online();
        for (const roomSeq of [11, 12, 13]) {
            socket.receive('message', message(roomSeq));
            store.dispatch(readReached({ room: 'lobby', roomSeq }));
        }
        await settle(300);
        const marks = socket.take('message:read');
        assert.deepEqual(marks.map(({ request }) => request.roomSeq), [13]);
        stop();
    });

    test('typing is told at most every few seconds, and its end once', () => {
        const { store, socket, stop } = online();
        for (const on of [true, true, true, false, false]) {
            store.dispatch(typed({ room: 'lobby', on }));
        }
        assert.deepEqual(
            socket.notices.map(([, notice]) => (notice as { on: boolean }).on),
            [true, false],
        );
        stop();
    });

    test('a message ends typing by itself; the next word at once is not told again', () => {
        const { store, socket, stop } = online();
        for (const id of ['c1', 'c2', 'c3']) {
            store.dispatch(typed({ room: 'lobby', on: true }));
            store.dispatch(send(id));
        }
        assert.equal(socket.notices.length, 1);
        stop();
    });

    test('an invitation fetches the room’s name', () => {
        const { socket, stop } = online();
        const event = { seq: 9, roomSeq: 3, room: 'r7', at: AT, user: bo, action: 'invited' };
        socket.receive('member', { ...event, member: ada });
        assert.equal(socket.take('room:list').length, 1);
        stop();
    });
});
