// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { signedOut } from '../src/store/authSlice';
import {
    connectionChanged,
    directoryReceived,
    gapFilled,
    historyReceived,
    invitationDismissed,
    memberChanged,
    messageReceived,
    presenceReceived,
    readConfirmed,
    readReached,
    receiptReceived,
    roomSelected,
    sendAcknowledged,
    sendDiscarded,
    sendFailed,
    sendPostponed,
    sendRequested,
    sendRetried,
    sendStarted,
    sessionReceived,
    snapshotReceived,
    TYPING_MS,
    typingExpired,
    typingReceived,
} from '../src/store/chatSlice';
import { ada, AT, bo, lobby, message, numbers, reduce, room, session, signedIn } from './fixtures';

const NOW = Date.parse(AT);

function joined(messages: ReturnType<typeof message>[], values: Parameters<typeof room>[0] = {}) {
    const info = room(values);
    return snapshotReceived({
        room: info,
        head: info.head,
        members: [
            { ...ada, role: 'member' },
            { ...bo, role: 'owner' },
        ],
        messages,
        readMark: info.readMark,
    });
}

function draft(clientId: string, text = 'hello') {
    return sendRequested({ room: 'lobby', clientId, text, replyTo: null, now: NOW });
}

/** Every order of the items. */
function orders<T>(items: T[]): T[][] {
    if (items.length <= 1) return [items];
    return items.flatMap((item, index) =>
        orders([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [item, ...rest]),
    );
}

describe('order', () => {
    test('whatever the order of arrival, entries are sorted by roomSeq without repeats', () => {
        for (const order of orders([11, 12, 13, 14])) {
            const events = [...order, ...order].map((roomSeq) => messageReceived(message(roomSeq)));
            const state = reduce(signedIn(), ...events);
            assert.deepEqual(numbers(state), [11, 12, 13, 14], order.join());
            assert.equal(lobby(state).unread, 4, order.join());
            assert.equal(lobby(state).delivered, 14);
            assert.equal(lobby(state).gap, null);
        }
    });

    test('a hole is noticed, with its range, and closed by what was missing', () => {
        let state = reduce(signedIn(), messageReceived(message(11)), messageReceived(message(15)));
        assert.deepEqual(lobby(state).gap, { after: 11, upTo: 14 });
        state = reduce(state, messageReceived(message(12)));
        assert.deepEqual(lobby(state).gap, { after: 12, upTo: 14 });
        const rest = gapFilled({ room: 'lobby', messages: [message(13)], through: 14 });
        state = reduce(state, rest);
        // 14 was no message (somebody joined): having asked for it is enough.
        assert.deepEqual(numbers(state), [11, 12, 13, 15]);
        assert.equal(lobby(state).gap, null);
        assert.equal(lobby(state).delivered, 15);
        assert.equal(lobby(state).unread, 4);
    });

    test('a gap is filled page by page', () => {
        let state = reduce(signedIn(), messageReceived(message(20)));
        const page = gapFilled({
            room: 'lobby',
            messages: [message(11), message(12)],
            through: 12,
        });
        state = reduce(state, page);
        assert.deepEqual(lobby(state).gap, { after: 12, upTo: 19 });
    });

    test('older messages go before newer ones and count for nothing', () => {
        const older = [message(5), message(6)];
        const state = reduce(
            signedIn(),
            messageReceived(message(11)),
            joined([message(9), message(10), message(11)], { head: 11, readMark: 11 }),
            historyReceived({ room: 'lobby', messages: older, hasMore: true }),
            historyReceived({ room: 'lobby', messages: older, hasMore: false }),
        );
        assert.deepEqual(numbers(state), [5, 6, 9, 10, 11]);
        assert.equal(lobby(state).history, 'complete');
        assert.equal(lobby(state).unread, 0);
    });

    test('events that arrive before the snapshot join up with it', () => {
        const state = reduce(
            signedIn(),
            messageReceived(message(11)),
            joined([message(9), message(10)], { head: 10 }),
            messageReceived(message(12)),
        );
        assert.deepEqual(numbers(state), [9, 10, 11, 12]);
        assert.equal(lobby(state).gap, null);
    });
});

describe('sending', () => {
    const ack = sendAcknowledged({
        room: 'lobby',
        clientId: 'c1',
        id: 'm1011',
        roomSeq: 11,
        at: AT,
    });
    const event = messageReceived(message(11, { user: ada, clientId: 'c1', text: 'hello' }));

    test('a message is shown at once and once, whether answer or event comes first', () => {
        const sent = reduce(
            signedIn(),
            draft('c1'),
            sendStarted({ room: 'lobby', clientId: 'c1' }),
        );
        assert.equal(lobby(sent).outgoing[0]?.status, 'sending');
        for (const [first, second] of [
            [ack, event],
            [event, ack],
        ]) {
            assert(first && second);
            const between = reduce(sent, first);
            assert.equal(lobby(between).outgoing.length, 0);
            assert.deepEqual(numbers(between), [11]);
            const after = reduce(between, second);
            assert.deepEqual(numbers(after), [11]);
            assert.equal(lobby(after).delivered, 11);
            assert.equal(lobby(after).unread, 0);
        }
    });

    test('an answer ahead of others’ messages opens no gap; their arrival is in order', () => {
        const early = sendAcknowledged({
            room: 'lobby',
            clientId: 'c1',
            id: 'm1012',
            roomSeq: 12,
            at: AT,
        });
        let state = reduce(signedIn(), draft('c1'), early);
        assert.equal(lobby(state).gap, null);
        state = reduce(state, messageReceived(message(11)));
        assert.deepEqual(numbers(state), [11, 12]);
        state = reduce(state, messageReceived(message(12, { user: ada, clientId: 'c1' })));
        assert.equal(lobby(state).delivered, 12);
        assert.equal(lobby(state).unread, 1);
    });

    test('a lost connection puts what was under way back in the queue, in its order', () => {
        const state = reduce(
            signedIn(),
            draft('c1'),
            draft('c2'),
            sendStarted({ room: 'lobby', clientId: 'c1' }),
            connectionChanged({ connection: 'reconnecting' }),
            draft('c3'),
        );
        assert.deepEqual(
            lobby(state).outgoing.map(({ clientId, status }) => [clientId, status]),
            [
                ['c1', 'waiting'],
                ['c2', 'waiting'],
                ['c3', 'waiting'],
            ],
        );
    });

    test('a refusal is kept with its words, can be tried again and can be discarded', () => {
        const refused = sendFailed({ room: 'lobby', clientId: 'c1', error: 'too long' });
        let state = reduce(signedIn(), draft('c1'), refused);
        assert.deepEqual(
            [lobby(state).outgoing[0]?.status, lobby(state).outgoing[0]?.error],
            ['failed', 'too long'],
        );
        state = reduce(state, sendRetried({ room: 'lobby', clientId: 'c1' }));
        assert.equal(lobby(state).outgoing[0]?.status, 'waiting');
        assert.equal(lobby(state).outgoing[0]?.error, null);
        state = reduce(state, sendDiscarded({ room: 'lobby', clientId: 'c1' }));
        assert.equal(lobby(state).outgoing.length, 0);
    });

    test('waiting messages survive a new session, also of a room that starts anew', () => {
        const later = [room({ head: 5_000 })];
        const state = reduce(
            signedIn(),
            draft('c1'),
            sendPostponed({ room: 'lobby', clientId: 'c1' }),
            sessionReceived({ session: session(later), now: NOW }),
        );
        assert.equal(lobby(state).outgoing.length, 1);
        assert.deepEqual(numbers(state), []);
        assert.equal(lobby(state).status, 'unloaded');
    });

    test('after the server was restored, what we hold of its log goes', () => {
        const state = reduce(
            signedIn(),
            joined([message(9), message(10)]),
            draft('c1'),
            sendPostponed({ room: 'lobby', clientId: 'c1' }),
            sessionReceived({
                session: { ...session([room({ head: 10 })]), epoch: '00000000' },
                now: NOW,
            }),
        );
        assert.deepEqual(numbers(state), []);
        assert.equal(lobby(state).status, 'unloaded');
        assert.equal(lobby(state).outgoing.length, 1);
        assert.equal(state.epoch, '00000000');
    });
});

describe('unread', () => {
    test('counts what others write, once, above the read mark', () => {
        const state = reduce(
            signedIn(room({ head: 10, readMark: 8, unread: 2 })),
            messageReceived(message(11)),
            messageReceived(message(11)),
            messageReceived(message(12, { user: ada, clientId: 'elsewhere' })),
            messageReceived(message(13)),
        );
        assert.equal(lobby(state).unread, 4);
    });

    test('reading to the end leaves nothing; reading half leaves the rest', () => {
        const loaded = reduce(
            signedIn(room({ head: 12, readMark: 10, unread: 2 })),
            joined([message(11), message(12)], { head: 12, readMark: 10, unread: 2 }),
            messageReceived(message(13)),
        );
        assert.equal(lobby(loaded).unread, 3);
        const half = reduce(loaded, readReached({ room: 'lobby', roomSeq: 11 }));
        assert.equal(lobby(half).unread, 2);
        const all = reduce(half, readReached({ room: 'lobby', roomSeq: 13 }));
        assert.equal(lobby(all).unread, 0);
        const back = reduce(all, readReached({ room: 'lobby', roomSeq: 11 }));
        assert.equal(lobby(back).readMark, 13);
    });

    test('reading on another device counts here too', () => {
        const state = reduce(
            signedIn(room({ head: 12, readMark: 10, unread: 2 })),
            receiptReceived({ room: 'lobby', user: ada, roomSeq: 12, at: AT }),
        );
        assert.equal(lobby(state).unread, 0);
    });

    test('the answer to a mark is used only where we could not count', () => {
        const unknown = reduce(
            signedIn(room({ head: 50, readMark: 10, unread: 30 })),
            readReached({ room: 'lobby', roomSeq: 20 }),
            readConfirmed({ room: 'lobby', roomSeq: 20, unread: 21 }),
        );
        assert.equal(lobby(unknown).unread, 21);
        const moved = reduce(
            unknown,
            readReached({ room: 'lobby', roomSeq: 50 }),
            readConfirmed({ room: 'lobby', roomSeq: 20, unread: 21 }),
        );
        assert.equal(lobby(moved).unread, 0);
    });

    test('after a reconnect, what was missed is in the server’s count and not added again', () => {
        let state = reduce(
            signedIn(),
            joined([message(10)]),
            sessionReceived({
                session: session([room({ head: 13, readMark: 10, unread: 3 })]),
                now: NOW,
            }),
        );
        assert.equal(lobby(state).unread, 3);
        assert.deepEqual(lobby(state).gap, { after: 10, upTo: 13 });
        const missed = [message(11), message(12), message(13)];
        state = reduce(state, gapFilled({ room: 'lobby', messages: missed, through: 13 }));
        assert.equal(lobby(state).unread, 3);
        state = reduce(state, messageReceived(message(14)));
        assert.equal(lobby(state).unread, 4);
        assert.deepEqual(numbers(state), [10, 11, 12, 13, 14]);
    });

    test('the line before new messages is drawn where the room was left', () => {
        const state = reduce(
            signedIn(room({ head: 10, readMark: 7, unread: 3 })),
            roomSelected('lobby'),
            readReached({ room: 'lobby', roomSeq: 10 }),
        );
        assert.equal(lobby(state).divider, 7);
        assert.equal(lobby(reduce(state, roomSelected(null))).divider, null);
    });
});

describe('people', () => {
    const change = (action: 'joined' | 'left' | 'invited', member = bo, roomSeq = 11) =>
        memberChanged({
            seq: 2000,
            roomSeq,
            room: 'lobby',
            at: AT,
            user: bo,
            action,
            member,
        });
    const cy = { id: 'u_cy', name: 'cy' };

    test('joining and leaving changes the list and the count, once', () => {
        const loaded = reduce(signedIn(), joined([]));
        const more = reduce(loaded, change('joined', cy), change('joined', cy));
        assert.equal(lobby(more).memberCount, 3);
        assert.equal(lobby(more).members?.['u_cy']?.name, 'cy');
        const less = reduce(more, change('left', bo, 12));
        assert.equal(lobby(less).memberCount, 2);
        assert.deepEqual(numbers(less), [11, 12]);
    });

    test('leaving on another device closes the room', () => {
        const state = reduce(signedIn(), roomSelected('lobby'), change('left', ada));
        assert.equal(state.activeRoom, null);
        assert.deepEqual(Object.keys(state.rooms), []);
    });

    test('an invitation to an unknown room is kept once, and gone with joining', () => {
        const invited = memberChanged({
            seq: 9,
            roomSeq: 3,
            room: 'r1',
            at: AT,
            user: bo,
            action: 'invited',
            member: ada,
        });
        const state = reduce(signedIn(), invited, invited);
        assert.deepEqual(state.invitations, [{ room: 'r1', from: bo }]);
        const inside = reduce(state, joined([], { id: 'r1' }));
        assert.deepEqual(inside.invitations, []);
    });

    test('the list of rooms tells of invitations that came while nobody was here', () => {
        const listed = (id: string, joined: boolean, visibility: 'public' | 'private') => ({
            ...room({ id, visibility }),
            joined,
        });
        const list = directoryReceived([
            listed('lobby', true, 'public'),
            listed('open', false, 'public'),
            listed('mine', true, 'private'),
            listed('waiting', false, 'private'),
        ]);
        const state = reduce(signedIn(), list, list);
        assert.deepEqual(state.invitations, [{ room: 'waiting', from: null }]);
        const dismissed = reduce(state, invitationDismissed('waiting'), list);
        assert.deepEqual(dismissed.invitations, []);
    });

    test('presence differences are applied', () => {
        const state = reduce(
            signedIn(),
            presenceReceived({ online: 2, changes: [{ ...bo, state: 'away' }] }),
            presenceReceived({ online: 1, changes: [{ ...ada, state: 'offline' }] }),
        );
        assert.deepEqual(state.presence, { u_bo: { ...bo, state: 'away' } });
    });

    test('typing ends by notice, by time, by the message, and is never one’s own', () => {
        const on = typingReceived({ room: 'lobby', user: bo, on: true, now: NOW });
        const typing = reduce(signedIn(), on);
        assert.deepEqual(Object.keys(lobby(typing).typing), ['u_bo']);
        const ends = [
            typingReceived({ room: 'lobby', user: bo, on: false, now: NOW }),
            typingExpired({ now: NOW + TYPING_MS }),
            messageReceived(message(11)),
            connectionChanged({ connection: 'reconnecting' }),
        ];
        for (const end of ends) assert.deepEqual(lobby(reduce(typing, end)).typing, {}, end.type);
        const own = typingReceived({ room: 'lobby', user: ada, on: true, now: NOW });
        assert.deepEqual(lobby(reduce(signedIn(), own)).typing, {});
    });
});

test('signing out leaves nothing behind', () => {
    const state = reduce(
        signedIn(),
        messageReceived(message(11)),
        signedOut({ message: null }),
    );
    assert.deepEqual(state.rooms, {});
    assert.equal(state.me, null);
});
