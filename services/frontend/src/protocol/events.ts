// SPDX-License-Identifier: MIT
/**
 * Everything that travels between this client and ChatService, in one place.
 *
 * Times are RFC 3339 UTC strings. `seq` orders all events of the server, `roomSeq` those of one
 * room (contiguous from 1; messages, membership and room changes share the count).
 */

export type UserID = string;
export type RoomID = string;
export type Time = string;

export interface User {
    id: UserID;
    name: string;
}

export type Visibility = 'public' | 'private';
export type Role = 'owner' | 'member';
export type PresenceState = 'online' | 'away' | 'dnd' | 'offline';

export interface Room {
    id: RoomID;
    name: string;
    topic: string;
    visibility: Visibility;
    role: Role;
    head: number;
    readMark: number;
    unread: number;
    members: number;
}

/** A public room, one of ours, or a private one we are invited to. */
export interface ListedRoom extends Omit<Room, 'role'> {
    role: Role | null;
    joined: boolean;
}

export interface Member extends User {
    role: Role;
    /** How far they have read; not known of members only heard of in an event. */
    readMark?: number;
}

export interface Presence extends User {
    state: PresenceState;
}

export interface Limits {
    messageBytes: number;
    historyPage: number;
    messagesPerSecond: number;
    roomsPerUser: number;
}

// ---- server → client ------------------------------------------------------------------------

export interface SessionEvent {
    user: User;
    expiresAt: Time;
    serverTime: Time;
    seq: number;
    /** Which history the numbers are of: another one after the server was restored from a backup. */
    epoch: string;
    /** Whether everything since the last event of the connection before has been sent. */
    recovered: boolean;
    rooms: Room[];
    presence: { online: number; users: Presence[] };
    limits: Limits;
}

/** What every durable event of a room carries. */
interface Durable {
    seq: number;
    roomSeq: number;
    room: RoomID;
    at: Time;
    user: User;
}

export interface MessageEvent extends Durable {
    id: string;
    text: string;
    clientId?: string | null;
    replyTo: string | null;
}

export interface MemberEvent extends Durable {
    action: 'joined' | 'left' | 'invited' | 'removed';
    member: User;
}

export interface RoomEvent extends Durable {
    action: 'created' | 'updated';
    name: string;
    topic: string;
    visibility: Visibility;
}

export interface ReceiptEvent {
    room: RoomID;
    user: User;
    roomSeq: number;
    at: Time;
}

export interface TypingEvent {
    room: RoomID;
    user: User;
    on: boolean;
}

export interface PresenceEvent {
    online: number;
    changes: Presence[];
}

export interface AlertEvent {
    id: string;
    severity: 'info' | 'warning' | 'critical';
    text: string;
    /** Seconds the alert stays of interest; 0 keeps it until it is dismissed. */
    ttl: number;
    at: Time;
}

export interface ServerEvents {
    session: (event: SessionEvent) => void;
    message: (event: MessageEvent) => void;
    member: (event: MemberEvent) => void;
    room: (event: RoomEvent) => void;
    receipt: (event: ReceiptEvent) => void;
    typing: (event: TypingEvent) => void;
    presence: (event: PresenceEvent) => void;
    alert: (event: AlertEvent) => void;
    'auth:expiring': (event: { expiresAt: Time }) => void;
    'auth:expired': (event: object) => void;
}

// ---- client → server, each answered by an acknowledgement --------------------------------------

export interface JoinedRoom {
    room: Room;
    head: number;
    members: Member[];
    messages: MessageEvent[];
    readMark: number;
}

export interface Requests {
    'message:send': {
        request: { room: RoomID; text: string; clientId: string; replyTo?: string };
        answer: { id: string; seq: number; roomSeq: number; at: Time };
    };
    'message:read': { request: { room: RoomID; roomSeq: number }; answer: { unread: number } };
    'history:fetch': {
        request: { room: RoomID; before?: number; after?: number; limit?: number };
        answer: { messages: MessageEvent[]; hasMore: boolean };
    };
    'room:create': {
        request: { name: string; visibility?: Visibility; topic?: string };
        answer: JoinedRoom;
    };
    'room:join': { request: { room: string }; answer: JoinedRoom };
    'room:leave': { request: { room: RoomID }; answer: { seq: number } };
    'room:list': { request: object; answer: { rooms: ListedRoom[] } };
    'member:invite': { request: { room: RoomID; user: string }; answer: { seq: number } };
    'presence:set': { request: { state: PresenceState }; answer: object };
    'auth:refresh': { request: { token: string }; answer: { expiresAt: Time } };
}

export type RequestName = keyof Requests;

export interface Refusal {
    code: string;
    message: string;
    retryAfterMs?: number;
}

export type Ack<Answer> = ({ ok: true } & Answer) | { ok: false; error: Refusal };

/** Notices without an acknowledgement: losing one costs nothing. */
export interface Notices {
    typing: { room: RoomID; on: boolean };
}

/** `message` of a refused connection; `data.message` has the words for people. */
export type ConnectRefusal =
    | 'unauthorized'
    | 'invalid_token'
    | 'token_expired'
    | 'token_revoked'
    | 'insufficient_scope'
    | 'auth_unavailable'
    | 'busy'
    | 'storage_unavailable';
