// SPDX-License-Identifier: MIT
import type { MessageEvent, Room, SessionEvent, User } from '../src/protocol/events';
import { chatReducer, type ChatState, type RoomState, sessionReceived } from '../src/store/chatSlice';

export const ada: User = { id: 'u_ada', name: 'ada' };
export const bo: User = { id: 'u_bo', name: 'bo' };
export const AT = '2026-01-02T03:04:05.000Z';

export function room(values: Partial<Room> = {}): Room {
    return {
        id: 'lobby',
        name: 'Lobby',
        topic: '',
        visibility: 'public',
        role: 'member',
        head: 10,
        readMark: 10,
        unread: 0,
        members: 2,
        ...values,
    };
}

export function session(rooms: Room[] = [room()]): SessionEvent {
    return {
        user: ada,
        expiresAt: AT,
        serverTime: AT,
        seq: 100,
        epoch: '9f3ac01b',
        recovered: false,
        rooms,
        presence: { online: 1, users: [{ ...ada, state: 'online' }] },
        limits: { messageBytes: 4000, historyPage: 200, messagesPerSecond: 20, roomsPerUser: 200 },
    };
}

export function message(roomSeq: number, values: Partial<MessageEvent> = {}): MessageEvent {
    return {
        seq: 1000 + roomSeq,
        roomSeq,
        room: 'lobby',
        id: `m${1000 + roomSeq}`,
        at: AT,
        user: bo,
        text: `text ${roomSeq}`,
        clientId: null,
        replyTo: null,
        ...values,
    };
}

type Action = { type: string };

export function reduce(state: ChatState | undefined, ...actions: Action[]): ChatState {
    const start = state ?? chatReducer(undefined, { type: 'start' });
    return actions.reduce((current, action) => chatReducer(current, action), start);
}

/** ada signed in, knowing the given rooms. */
export function signedIn(...rooms: Room[]): ChatState {
    const list = rooms.length > 0 ? rooms : [room()];
    return reduce(undefined, sessionReceived({ session: session(list), now: Date.parse(AT) }));
}

export function lobby(state: ChatState): RoomState {
    const found = state.rooms['lobby'];
    if (!found) throw new Error('no lobby');
    return found;
}

export function numbers(state: ChatState): number[] {
    return lobby(state).entries.map((entry) => entry.roomSeq);
}
