// SPDX-License-Identifier: MIT
/**
 * Rooms, messages, presence: what the server has told us, plus what is on its way to it.
 *
 * Invariants of a room, kept by the functions below and tested in `tests/chatSlice.test.ts`:
 * - `entries` is sorted by `roomSeq` without repeats, whatever the order events arrive in.
 * - Everything up to `delivered` is known to us; `delivered < head` means that a range is missing
 *   (`gap` says which), and the socket middleware fetches it.
 * - A message counts as unread once: when it is first inserted, is above `countedThrough` (what the
 *   server's own count covered), above the read mark and from somebody else.
 * - A message of ours is shown once: as `outgoing` until its acknowledgement or its own event, the
 *   first of the two, moves it to `entries`.
 */
import { createSlice, type PayloadAction } from '@reduxjs/toolkit';
import type {
    JoinedRoom,
    Limits,
    ListedRoom,
    Member,
    MemberEvent,
    MessageEvent,
    Presence,
    PresenceEvent,
    PresenceState,
    ReceiptEvent,
    Role,
    Room,
    RoomEvent,
    RoomID,
    SessionEvent,
    User,
    UserID,
    Visibility,
} from '../protocol/events';
import { signedOut } from './authSlice';

export type Connection = 'idle' | 'connecting' | 'online' | 'reconnecting' | 'refused';

interface EntryBase {
    roomSeq: number;
    /** Milliseconds since the epoch. */
    at: number;
    user: User;
}

export interface MessageEntry extends EntryBase {
    kind: 'message';
    id: string;
    text: string;
    clientId: string | null;
    replyTo: string | null;
}

export interface MemberEntry extends EntryBase {
    kind: 'member';
    action: MemberEvent['action'];
    member: User;
}

export interface RoomEntry extends EntryBase {
    kind: 'room';
    action: RoomEvent['action'];
    name: string;
    topic: string;
}

export type Entry = MessageEntry | MemberEntry | RoomEntry;

export interface Outgoing {
    clientId: string;
    text: string;
    replyTo: string | null;
    at: number;
    /** `waiting`: not sent yet, or sent and no answer; it goes out (again) on the next connection. */
    status: 'waiting' | 'sending' | 'failed';
    error: string | null;
}

export interface RoomState {
    id: RoomID;
    name: string;
    topic: string;
    visibility: Visibility;
    role: Role;
    memberCount: number;
    members: Record<UserID, Member> | null;
    head: number;
    delivered: number;
    gap: { after: number; upTo: number } | null;
    readMark: number;
    unread: number;
    countedThrough: number;
    entries: Entry[];
    outgoing: Outgoing[];
    receipts: Record<UserID, { name: string; roomSeq: number }>;
    typing: Record<UserID, { name: string; until: number }>;
    /** `unloaded` until the first snapshot; entries may still arrive live before that. */
    status: 'unloaded' | 'loading' | 'loaded' | 'failed';
    history: 'idle' | 'loading' | 'failed' | 'complete';
    /** Read mark when the room was opened with something unread: where the "new" line goes. */
    divider: number | null;
}

export interface Invitation {
    room: RoomID;
    /** Null when it came while nobody was here to see it. */
    from: User | null;
}

export interface ChatState {
    connection: Connection;
    /** Why there is no connection, in words. */
    connectionNote: string | null;
    me: User | null;
    ownState: PresenceState;
    limits: Limits;
    /** Server time minus ours, in milliseconds. */
    clockSkew: number;
    hasSession: boolean;
    /** Which history the numbers we hold are of. */
    epoch: string | null;
    rooms: Record<RoomID, RoomState>;
    activeRoom: RoomID | null;
    invitations: Invitation[];
    dismissedInvitations: RoomID[];
    presence: Record<UserID, Presence>;
    onlineCount: number;
    directory: { status: 'idle' | 'loading' | 'loaded' | 'failed'; rooms: ListedRoom[] };
}

/** A typing notice holds this long unless it is renewed. */
export const TYPING_MS = 6_000;
/** A room that nobody looks at keeps this many entries. */
const KEPT_ENTRIES = 300;
/** A reconnect that missed more than this in a room starts the room anew. */
const LARGEST_GAP = 1_000;

const initialState: ChatState = {
    connection: 'idle',
    connectionNote: null,
    me: null,
    ownState: 'online',
    limits: { messageBytes: 4000, historyPage: 200, messagesPerSecond: 50, roomsPerUser: 200 },
    clockSkew: 0,
    hasSession: false,
    epoch: null,
    rooms: {},
    activeRoom: null,
    invitations: [],
    dismissedInvitations: [],
    presence: {},
    onlineCount: 0,
    directory: { status: 'idle', rooms: [] },
};

/** The server knows the first room by its id alone. */
function nameOf({ id, name }: { id: RoomID; name: string }): string {
    return id === 'lobby' && name === id ? 'Lobby' : name;
}

function newRoom(info: Room): RoomState {
    return {
        id: info.id,
        name: nameOf(info),
        topic: info.topic,
        visibility: info.visibility,
        role: info.role,
        memberCount: info.members,
        members: null,
        head: info.head,
        delivered: info.head,
        gap: null,
        readMark: info.readMark,
        unread: info.unread,
        countedThrough: info.head,
        entries: [],
        outgoing: [],
        receipts: {},
        typing: {},
        status: 'unloaded',
        history: 'idle',
        divider: null,
    };
}

export function messageEntry(event: MessageEvent): MessageEntry {
    return {
        kind: 'message',
        roomSeq: event.roomSeq,
        at: Date.parse(event.at),
        user: event.user,
        id: event.id,
        text: event.text,
        clientId: event.clientId ?? null,
        replyTo: event.replyTo ?? null,
    };
}

/** Where `roomSeq` is, or where it would go; searched from the end, where it nearly always is. */
function indexFor(entries: readonly Entry[], roomSeq: number): number {
    let index = entries.length;
    while (index > 0 && (entries[index - 1] as Entry).roomSeq >= roomSeq) index -= 1;
    return index;
}

function has(room: RoomState, roomSeq: number): boolean {
    return room.entries[indexFor(room.entries, roomSeq)]?.roomSeq === roomSeq;
}

/** Puts an entry in its place. False when it was there already. */
function insert(state: ChatState, room: RoomState, entry: Entry): boolean {
    const index = indexFor(room.entries, entry.roomSeq);
    if (room.entries[index]?.roomSeq === entry.roomSeq) return false;
    room.entries.splice(index, 0, entry);
    if (entry.kind !== 'message') return true;
    if (entry.user.id === state.me?.id) {
        room.outgoing = room.outgoing.filter((message) => message.clientId !== entry.clientId);
    } else if (entry.roomSeq > room.countedThrough && entry.roomSeq > room.readMark) {
        room.unread += 1;
    }
    return true;
}

function noteHead(room: RoomState, head: number): void {
    room.head = Math.max(room.head, head);
    while (room.delivered < room.head && has(room, room.delivered + 1)) room.delivered += 1;
    if (room.delivered >= room.head) {
        room.gap = null;
        return;
    }
    const above = room.entries[indexFor(room.entries, room.delivered + 1)];
    room.gap = { after: room.delivered, upTo: above ? above.roomSeq - 1 : room.head };
}

/** The entries reach down without holes to the one after this number. */
function knownFrom(room: RoomState): number {
    if (room.history === 'complete') return 0;
    return (room.entries[0]?.roomSeq ?? room.head + 1) - 1;
}

function markRead(state: ChatState, room: RoomState, roomSeq: number): void {
    if (roomSeq <= room.readMark) return;
    room.readMark = roomSeq;
    if (roomSeq >= room.head) {
        room.unread = 0;
    } else if (knownFrom(room) <= roomSeq && room.gap === null) {
        room.unread = room.entries.filter(
            (entry) =>
                entry.kind === 'message' &&
                entry.roomSeq > roomSeq &&
                entry.user.id !== state.me?.id,
        ).length;
    }
}

function live(state: ChatState, roomID: RoomID, entry: Entry): void {
    const room = state.rooms[roomID];
    if (!room) return;
    if (insert(state, room, entry)) delete room.typing[entry.user.id];
    noteHead(room, entry.roomSeq);
}

function trim(room: RoomState): void {
    room.divider = null;
    if (room.entries.length <= KEPT_ENTRIES || room.gap !== null) return;
    room.entries = room.entries.slice(-KEPT_ENTRIES);
    room.history = 'idle';
}

function updateInfo(room: RoomState, info: Room): void {
    room.name = nameOf(info);
    room.topic = info.topic;
    room.visibility = info.visibility;
    room.role = info.role;
    room.memberCount = info.members;
}

/** The server's count replaces ours, and covers everything up to its head. */
function adoptCount(room: RoomState, info: Room): void {
    room.readMark = Math.max(room.readMark, info.readMark);
    room.countedThrough = Math.max(room.countedThrough, info.head);
    // A mark of ours that is still on its way is newer than the server's count.
    room.unread = room.readMark > info.readMark ? Math.min(room.unread, info.unread) : info.unread;
}

const slice = createSlice({
    name: 'chat',
    initialState,
    reducers: {
        connectionChanged: (
            state: ChatState,
            action: PayloadAction<{ connection: Connection; note?: string }>,
        ) => {
            state.connection = action.payload.connection;
            state.connectionNote = action.payload.note ?? null;
            if (action.payload.connection === 'online') return;
            for (const room of Object.values(state.rooms)) {
                room.typing = {};
                for (const message of room.outgoing) {
                    if (message.status === 'sending') message.status = 'waiting';
                }
            }
        },

        sessionReceived: (
            state: ChatState,
            action: PayloadAction<{ session: SessionEvent; now: number }>,
        ) => {
            const { session, now } = action.payload;
            state.me = session.user;
            state.limits = session.limits ?? state.limits;
            state.clockSkew = Date.parse(session.serverTime) - now || 0;
            state.hasSession = true;
            state.presence = Object.fromEntries(
                session.presence.users.map((person) => [person.id, person]),
            );
            state.onlineCount = session.presence.online;

            // Numbers of a log that was put back are other messages now: what we hold of it goes.
            const isRestored = state.epoch !== null && state.epoch !== session.epoch;
            state.epoch = session.epoch;
            const rooms: Record<RoomID, RoomState> = {};
            for (const info of session.rooms) {
                const known = state.rooms[info.id];
                if (!known || isRestored || info.head - known.delivered > LARGEST_GAP) {
                    rooms[info.id] = { ...newRoom(info), outgoing: known?.outgoing ?? [] };
                    continue;
                }
                updateInfo(known, info);
                adoptCount(known, info);
                if (known.status === 'unloaded' && known.entries.length === 0) {
                    known.delivered = info.head;
                }
                noteHead(known, info.head);
                rooms[info.id] = known;
            }
            state.rooms = rooms;
            if (state.activeRoom && !rooms[state.activeRoom]) state.activeRoom = null;
            state.invitations = state.invitations.filter(({ room }) => !rooms[room]);
        },

        roomSelected: (state: ChatState, action: PayloadAction<RoomID | null>) => {
            const previous = state.activeRoom ? state.rooms[state.activeRoom] : undefined;
            if (previous && previous.id !== action.payload) trim(previous);
            state.activeRoom = action.payload;
            const room = action.payload ? state.rooms[action.payload] : undefined;
            if (room) room.divider = room.unread > 0 ? room.readMark : null;
        },

        snapshotRequested: (state: ChatState, action: PayloadAction<RoomID>) => {
            const room = state.rooms[action.payload];
            if (room) room.status = 'loading';
        },
        snapshotReceived: (state: ChatState, action: PayloadAction<JoinedRoom>) => {
            const { room: info, head, members, messages } = action.payload;
            state.invitations = state.invitations.filter(({ room }) => room !== info.id);
            let room = state.rooms[info.id];
            if (!room) {
                room = newRoom({ ...info, head });
                state.rooms[info.id] = room;
            }
            updateInfo(room, info);
            adoptCount(room, { ...info, head });
            room.members = Object.fromEntries(members.map((member) => [member.id, member]));
            for (const { id, name, readMark } of members) {
                const known = room.receipts[id]?.roomSeq ?? 0;
                if (id === state.me?.id || readMark === undefined || readMark <= known) continue;
                room.receipts[id] = { name, roomSeq: readMark };
            }
            room.memberCount = Math.max(info.members, members.length);
            if (room.status !== 'loaded') {
                // The page is the newest one: it joins up with whatever arrived live meanwhile.
                room.delivered = Math.max(head, room.delivered);
                if (room.history !== 'complete') room.history = 'idle';
            }
            for (const message of messages) insert(state, room, messageEntry(message));
            room.status = 'loaded';
            noteHead(room, head);
            if (state.activeRoom === room.id && room.divider === null && room.unread > 0) {
                room.divider = room.readMark;
            }
        },
        snapshotFailed: (state: ChatState, action: PayloadAction<RoomID>) => {
            const room = state.rooms[action.payload];
            if (room && room.status === 'loading') room.status = 'failed';
        },

        messageReceived: (state: ChatState, action: PayloadAction<MessageEvent>) => {
            live(state, action.payload.room, messageEntry(action.payload));
        },
        memberChanged: (state: ChatState, action: PayloadAction<MemberEvent>) => {
            const event = action.payload;
            const isMe = event.member.id === state.me?.id;
            if (isMe && event.action === 'invited' && !state.rooms[event.room]) {
                if (!state.invitations.some(({ room }) => room === event.room)) {
                    state.invitations.push({ room: event.room, from: event.user });
                }
                return;
            }
            if (isMe && (event.action === 'left' || event.action === 'removed')) {
                delete state.rooms[event.room];
                if (state.activeRoom === event.room) state.activeRoom = null;
                return;
            }
            const room = state.rooms[event.room];
            if (!room) return;
            const isNew = event.roomSeq > room.countedThrough && !has(room, event.roomSeq);
            live(state, event.room, {
                kind: 'member',
                roomSeq: event.roomSeq,
                at: Date.parse(event.at),
                user: event.user,
                action: event.action,
                member: event.member,
            });
            if (!isNew) return;
            if (event.action === 'joined') {
                if (!room.members?.[event.member.id]) room.memberCount += 1;
                if (room.members) {
                    room.members[event.member.id] = { ...event.member, role: 'member' };
                }
            } else if (event.action !== 'invited') {
                room.memberCount = Math.max(0, room.memberCount - 1);
                if (room.members) delete room.members[event.member.id];
            }
        },
        roomChanged: (state: ChatState, action: PayloadAction<RoomEvent>) => {
            const event = action.payload;
            const room = state.rooms[event.room];
            if (!room) return;
            room.name = nameOf({ id: room.id, name: event.name });
            room.topic = event.topic;
            room.visibility = event.visibility;
            live(state, event.room, {
                kind: 'room',
                roomSeq: event.roomSeq,
                at: Date.parse(event.at),
                user: event.user,
                action: event.action,
                name: event.name,
                topic: event.topic,
            });
        },
        receiptReceived: (state: ChatState, action: PayloadAction<ReceiptEvent>) => {
            const { room: id, user, roomSeq } = action.payload;
            const room = state.rooms[id];
            if (!room) return;
            if (user.id === state.me?.id) {
                // Read on another device of ours.
                markRead(state, room, roomSeq);
                return;
            }
            const known = room.receipts[user.id]?.roomSeq ?? 0;
            if (roomSeq > known) room.receipts[user.id] = { name: user.name, roomSeq };
        },
        typingReceived: (
            state: ChatState,
            action: PayloadAction<{ room: RoomID; user: User; on: boolean; now: number }>,
        ) => {
            const { room: id, user, on, now } = action.payload;
            const room = state.rooms[id];
            if (!room || user.id === state.me?.id) return;
            if (on) room.typing[user.id] = { name: user.name, until: now + TYPING_MS };
            else delete room.typing[user.id];
        },
        typingExpired: (state: ChatState, action: PayloadAction<{ now: number }>) => {
            for (const room of Object.values(state.rooms)) {
                for (const [id, { until }] of Object.entries(room.typing)) {
                    if (until <= action.payload.now) delete room.typing[id];
                }
            }
        },
        presenceReceived: (state: ChatState, action: PayloadAction<PresenceEvent>) => {
            state.onlineCount = action.payload.online;
            for (const change of action.payload.changes) {
                if (change.state === 'offline') delete state.presence[change.id];
                else state.presence[change.id] = change;
            }
        },
        ownStateChosen: (state: ChatState, action: PayloadAction<PresenceState>) => {
            state.ownState = action.payload;
        },

        sendRequested: (
            state: ChatState,
            action: PayloadAction<{
                room: RoomID;
                clientId: string;
                text: string;
                replyTo: string | null;
                now: number;
            }>,
        ) => {
            const { room: id, clientId, text, replyTo, now } = action.payload;
            state.rooms[id]?.outgoing.push({
                clientId,
                text,
                replyTo,
                at: now,
                status: 'waiting',
                error: null,
            });
        },
        sendStarted: (
            state: ChatState,
            action: PayloadAction<{ room: RoomID; clientId: string }>,
        ) => {
            const { room, clientId } = action.payload;
            const message = state.rooms[room]?.outgoing.find((item) => item.clientId === clientId);
            if (message) message.status = 'sending';
        },
        sendAcknowledged: (
            state: ChatState,
            action: PayloadAction<{
                room: RoomID;
                clientId: string;
                id: string;
                roomSeq: number;
                at: string;
            }>,
        ) => {
            const { room: roomID, clientId, id, roomSeq, at } = action.payload;
            const room = state.rooms[roomID];
            const message = room?.outgoing.find((item) => item.clientId === clientId);
            if (!room || !message || !state.me) return;
            insert(state, room, {
                kind: 'message',
                roomSeq,
                at: Date.parse(at),
                user: state.me,
                id,
                text: message.text,
                clientId,
                replyTo: message.replyTo,
            });
            room.outgoing = room.outgoing.filter((item) => item.clientId !== clientId);
            // The head is left alone: what others wrote just before may still be on its way, and an
            // answered retry may be far back.
            if (roomSeq === room.delivered + 1) noteHead(room, roomSeq);
        },
        /** No answer: the message goes out again with the same clientId on the next connection. */
        sendPostponed: (
            state: ChatState,
            action: PayloadAction<{ room: RoomID; clientId: string }>,
        ) => {
            const { room, clientId } = action.payload;
            const message = state.rooms[room]?.outgoing.find((item) => item.clientId === clientId);
            if (message) message.status = 'waiting';
        },
        sendFailed: (
            state: ChatState,
            action: PayloadAction<{ room: RoomID; clientId: string; error: string }>,
        ) => {
            const { room, clientId, error } = action.payload;
            const message = state.rooms[room]?.outgoing.find((item) => item.clientId === clientId);
            if (!message) return;
            message.status = 'failed';
            message.error = error;
        },
        sendRetried: (
            state: ChatState,
            action: PayloadAction<{ room: RoomID; clientId: string }>,
        ) => {
            const { room, clientId } = action.payload;
            const message = state.rooms[room]?.outgoing.find((item) => item.clientId === clientId);
            if (!message) return;
            message.status = 'waiting';
            message.error = null;
        },
        sendDiscarded: (
            state: ChatState,
            action: PayloadAction<{ room: RoomID; clientId: string }>,
        ) => {
            const { room: id, clientId } = action.payload;
            const room = state.rooms[id];
            if (!room) return;
            room.outgoing = room.outgoing.filter((item) => item.clientId !== clientId);
        },

        historyRequested: (state: ChatState, action: PayloadAction<RoomID>) => {
            const room = state.rooms[action.payload];
            if (room) room.history = 'loading';
        },
        historyReceived: (
            state: ChatState,
            action: PayloadAction<{ room: RoomID; messages: MessageEvent[]; hasMore: boolean }>,
        ) => {
            const room = state.rooms[action.payload.room];
            if (!room) return;
            for (const message of action.payload.messages) {
                insert(state, room, messageEntry(message));
            }
            room.history = action.payload.hasMore ? 'idle' : 'complete';
        },
        historyFailed: (state: ChatState, action: PayloadAction<RoomID>) => {
            const room = state.rooms[action.payload];
            if (room && room.history === 'loading') room.history = 'failed';
        },

        /** Everything up to `through` has been asked for: what did not come was no message. */
        gapFilled: (
            state: ChatState,
            action: PayloadAction<{ room: RoomID; messages: MessageEvent[]; through: number }>,
        ) => {
            const { room: id, messages, through } = action.payload;
            const room = state.rooms[id];
            if (!room) return;
            for (const message of messages) insert(state, room, messageEntry(message));
            room.delivered = Math.max(room.delivered, through);
            noteHead(room, through);
        },

        readReached: (
            state: ChatState,
            action: PayloadAction<{ room: RoomID; roomSeq: number }>,
        ) => {
            const room = state.rooms[action.payload.room];
            if (room) markRead(state, room, action.payload.roomSeq);
        },
        readConfirmed: (
            state: ChatState,
            action: PayloadAction<{ room: RoomID; roomSeq: number; unread: number }>,
        ) => {
            const { room: id, roomSeq, unread } = action.payload;
            const room = state.rooms[id];
            // Only the answer to our latest mark is news, and only where we could not count.
            if (!room || room.readMark !== roomSeq || room.head <= roomSeq) return;
            if (knownFrom(room) > roomSeq) room.unread = unread;
        },

        roomLeft: (state: ChatState, action: PayloadAction<RoomID>) => {
            delete state.rooms[action.payload];
            if (state.activeRoom === action.payload) state.activeRoom = null;
        },
        invitationDismissed: (state: ChatState, action: PayloadAction<RoomID>) => {
            state.invitations = state.invitations.filter(({ room }) => room !== action.payload);
            state.dismissedInvitations.push(action.payload);
        },

        directoryRequested: (state: ChatState) => {
            state.directory.status = 'loading';
        },
        directoryReceived: (state: ChatState, action: PayloadAction<ListedRoom[]>) => {
            state.directory = { status: 'loaded', rooms: action.payload };
            // A private room is listed to those who are in it, and to those it waits for.
            const known = new Set([
                ...state.invitations.map(({ room }) => room),
                ...state.dismissedInvitations,
                ...Object.keys(state.rooms),
            ]);
            for (const room of action.payload) {
                if (room.visibility === 'private' && !room.joined && !known.has(room.id)) {
                    state.invitations.push({ room: room.id, from: null });
                }
            }
        },
        directoryFailed: (state: ChatState) => {
            state.directory.status = 'failed';
        },
    },
    extraReducers: (builder) => {
        builder.addCase(signedOut, () => initialState);
    },
});

export const chatReducer = slice.reducer;
export const {
    connectionChanged,
    sessionReceived,
    roomSelected,
    snapshotRequested,
    snapshotReceived,
    snapshotFailed,
    messageReceived,
    memberChanged,
    roomChanged,
    receiptReceived,
    typingReceived,
    typingExpired,
    presenceReceived,
    ownStateChosen,
    sendRequested,
    sendStarted,
    sendAcknowledged,
    sendPostponed,
    sendFailed,
    sendRetried,
    sendDiscarded,
    historyRequested,
    historyReceived,
    historyFailed,
    gapFilled,
    readReached,
    readConfirmed,
    roomLeft,
    invitationDismissed,
    directoryRequested,
    directoryReceived,
    directoryFailed,
} = slice.actions;
