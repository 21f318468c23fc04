// SPDX-License-Identifier: MIT
/**
 * The one owner of the Socket.IO connection. It turns server events into actions, performs the
 * commands people give, and keeps three promises that reducers cannot keep alone:
 *
 * - **Messages go out once and in order.** One message of a room is under way at a time; what got
 *   no answer goes out again with the same `clientId`, for which the server has one answer.
 * - **Holes are filled.** Whenever a room has a gap, its range is fetched until it has none.
 * - **The connection comes back.** Transport trouble is the client library's to mend; refusals are
 *   ours: a new token where the old one is at fault, patience where the server is.
 */
import type { Middleware } from '@reduxjs/toolkit';
import { io, type Socket } from 'socket.io-client';
import { HOME, roomLink } from '../lib/route';
import { inWords } from '../lib/words';
import type {
    Ack,
    ConnectRefusal,
    Notices,
    Refusal,
    RequestName,
    Requests,
    RoomID,
    ServerEvents,
} from '../protocol/events';
import type { Session } from './authMiddleware';
import { refreshNeeded, signedIn, signedOut, signOutRequested, tokenRefreshed } from './authSlice';
import {
    connectionChanged,
    directoryFailed,
    directoryReceived,
    directoryRequested,
    gapFilled,
    historyFailed,
    historyReceived,
    historyRequested,
    memberChanged,
    messageReceived,
    ownStateChosen,
    presenceReceived,
    readConfirmed,
    readReached,
    receiptReceived,
    roomChanged,
    roomLeft,
    roomSelected,
    sendAcknowledged,
    sendFailed,
    sendPostponed,
    sendRequested,
    sendRetried,
    sendStarted,
    sessionReceived,
    snapshotFailed,
    snapshotReceived,
    snapshotRequested,
    typingExpired,
    typingReceived,
} from './chatSlice';
import {
    createRequested,
    inviteRequested,
    joinRequested,
    leaveRequested,
    olderRequested,
    reconnectRequested,
    snapshotWanted,
    typed,
} from './commands';
import type { RootState } from './state';
import {
    alertReceived,
    dialogClosed,
    requestFailed,
    requestStarted,
    toastsExpired,
    toastShown,
} from './uiSlice';

/** Requests and notices are typed where they are made, in `ask` and `notify`. */
type ChatSocket = Socket<ServerEvents, { [event: string]: (...values: any[]) => void }>;

const ANSWER_MS = 10_000;
const HISTORY_PAGE = 50;
/** An event a little out of turn closes its gap by itself. */
const GAP_PATIENCE_MS = 150;
const RETRY_MS = 2_000;
/** A message that the server puts off this long is shown as not sent. */
const LONGEST_PATIENCE_MS = 60_000;
const READ_DEBOUNCE_MS = 250;
/** Half of the time after which others stop showing it. */
const TYPING_RENEWAL_MS = 3_000;
/** Not told again so soon after a message, which has ended it for everybody. */
const TYPING_REST_MS = 1_000;
const REFUSED_RETRY_MS = [2_000, 5_000, 10_000, 30_000];
const TOAST_MS = 6_000;
const DIRECTORY_DELAY_MS = 1_500;
/** How often what has run out is taken away: typing notices, toasts. */
const SWEEP_MS = 1_000;

const tokenRefusals = new Set<string>([
    'unauthorized',
    'invalid_token',
    'token_expired',
    'token_revoked',
] satisfies ConnectRefusal[] as ConnectRefusal[]);

/** The server may manage these a moment later. */
const passing = new Set(['rate_limited', 'busy', 'storage_unavailable', 'timeout']);

function pause(milliseconds: number): Promise<void> {
    return new Promise((done) => setTimeout(done, milliseconds));
}

export function createSocketMiddleware(session: Session): Middleware<object, RootState> {
    return (api) => {
        let socket: ChatSocket | null = null;
        let refusals = 0;
        let waitsForToken = false;
        let retryTimer: ReturnType<typeof setTimeout> | undefined;
        let sweepTimer: ReturnType<typeof setInterval> | undefined;
        const sending = new Set<RoomID>();
        const filling = new Set<RoomID>();
        const confirmedReads = new Map<RoomID, number>();
        const readTimers = new Map<RoomID, ReturnType<typeof setTimeout>>();
        const typingSent = new Map<RoomID, number>();

        const chat = () => api.getState().chat;

        async function ask<N extends RequestName>(
            name: N,
            request: Requests[N]['request'],
        ): Promise<Ack<Requests[N]['answer']>> {
            const failed = (code: string): { ok: false; error: Refusal } => ({
                ok: false,
                error: { code, message: '' },
            });
            const used = socket;
            if (!used?.connected) return failed('offline');
            try {
                return (await used.timeout(ANSWER_MS).emitWithAck(name, request)) as Ack<
                    Requests[N]['answer']
                >;
            } catch {
                return failed(used.connected ? 'timeout' : 'offline');
            }
        }

        /** Sent now or not at all: not kept for the next connection. */
        function notify<N extends keyof Notices>(name: N, notice: Notices[N]): void {
            socket?.volatile.emit(name, notice);
        }

        function tell(text: string): void {
            const now = Date.now();
            api.dispatch(
                toastShown({
                    id: `note-${text}`,
                    tone: 'warning',
                    title: null,
                    text,
                    until: now + TOAST_MS,
                }),
            );
        }

        // ---- connection ------------------------------------------------------------------------

        function connect(): void {
            disconnect();
            sweepTimer = setInterval(sweep, SWEEP_MS);
            api.dispatch(connectionChanged({ connection: 'connecting' }));
            const created: ChatSocket = io({
                autoConnect: false,
                // WebSocket at once; where something in between will not have it, long polling.
                transports: ['websocket', 'polling'],
                tryAllTransports: true,
                reconnectionDelay: 500,
                reconnectionDelayMax: 5_000,
                // A function, so that each reconnect brings the newest token.
                auth: (give) => give({ token: session.accessToken }),
            });
            socket = created;
            created.on('connect', () => {
                refusals = 0;
                waitsForToken = false;
                api.dispatch(connectionChanged({ connection: 'online' }));
                resume();
            });
            created.on('disconnect', (reason) => {
                if (socket !== created) return;
                api.dispatch(connectionChanged({ connection: 'reconnecting' }));
                // The library reconnects by itself, except when the server ended it on purpose:
                // then our token has lost its worth, which a fresh one will tell.
                if (reason === 'io server disconnect') renewToken();
            });
            created.on('connect_error', (error) => {
                if (socket === created) refused(created, error);
            });
            listen(created);
            created.connect();
        }

        function disconnect(): void {
            clearTimeout(retryTimer);
            clearInterval(sweepTimer);
            const closing = socket;
            socket = null;
            closing?.removeAllListeners();
            closing?.disconnect();
            readTimers.forEach((timer) => clearTimeout(timer));
            readTimers.clear();
            confirmedReads.clear();
            typingSent.clear();
        }

        function renewToken(): void {
            waitsForToken = true;
            api.dispatch(refreshNeeded());
        }

        function refused(from: ChatSocket, error: Error): void {
            if (from.active) {
                // The transport did not come up; the library tries again by itself.
                const next = chat().hasSession ? 'reconnecting' : 'connecting';
                api.dispatch(connectionChanged({ connection: next }));
                return;
            }
            refusals += 1;
            if (tokenRefusals.has(error.message) && refusals <= 2) {
                api.dispatch(connectionChanged({ connection: 'reconnecting' }));
                renewToken();
                return;
            }
            if (tokenRefusals.has(error.message)) {
                // Refused again with a fresh token: this account may not come in.
                api.dispatch(
                    signOutRequested({ message: 'This account cannot connect. Sign in again.' }),
                );
                return;
            }
            const data = (error as Error & { data?: Refusal }).data;
            api.dispatch(
                connectionChanged({
                    connection: 'refused',
                    note: data?.message || 'The server is not taking connections right now.',
                }),
            );
            clearTimeout(retryTimer);
            retryTimer = setTimeout(
                () => from.connect(),
                REFUSED_RETRY_MS[Math.min(refusals - 1, REFUSED_RETRY_MS.length - 1)],
            );
        }

        async function presentToken(): Promise<void> {
            if (!socket) return;
            if (waitsForToken && !socket.connected) {
                waitsForToken = false;
                socket.connect();
                return;
            }
            const token = session.accessToken;
            if (!socket.connected || !token) return;
            const answer = await ask('auth:refresh', { token });
            // Not taken: a new connection presents the same token the ordinary way.
            if (!answer.ok && answer.error.code !== 'offline') socket?.disconnect().connect();
        }

        /** A connection is up, with or without what was missed: take up what was left undone. */
        function resume(): void {
            const { rooms, activeRoom, ownState } = chat();
            for (const room of Object.values(rooms)) {
                void flush(room.id);
                void fillGap(room.id);
                scheduleRead(room.id);
            }
            if (activeRoom && rooms[activeRoom]) void openRoom(activeRoom);
            if (ownState !== 'online') void ask('presence:set', { state: ownState });
        }

        function listen(from: ChatSocket): void {
            from.on('session', (event) => {
                for (const room of event.rooms) confirmedReads.set(room.id, room.readMark);
                const isFirst = !chat().hasSession;
                api.dispatch(sessionReceived({ session: event, now: Date.now() }));
                resume();
                // Invitations that came while nobody was here; no hurry, and not on reconnects.
                if (isFirst) setTimeout(() => void loadDirectory(), DIRECTORY_DELAY_MS);
            });
            from.on('message', (event) => {
                api.dispatch(messageReceived(event));
                void fillGap(event.room);
            });
            from.on('member', (event) => {
                api.dispatch(memberChanged(event));
                const { me, rooms } = chat();
                const isMine = event.member.id === me?.id;
                // Joined on another device, or brought in by somebody.
                if (isMine && event.action === 'joined' && !rooms[event.room]) {
                    void openRoom(event.room);
                }
                // The event knows the room's id, the list its name.
                if (isMine && event.action === 'invited') void loadDirectory();
                void fillGap(event.room);
            });
            from.on('room', (event) => {
                api.dispatch(roomChanged(event));
                void fillGap(event.room);
            });
            from.on('receipt', (event) => api.dispatch(receiptReceived(event)));
            from.on('typing', (event) => {
                api.dispatch(typingReceived({ ...event, now: Date.now() }));
            });
            from.on('presence', (event) => api.dispatch(presenceReceived(event)));
            from.on('alert', (event) => {
                api.dispatch(alertReceived({ alert: event, now: Date.now() }));
            });
            from.on('auth:expiring', () => api.dispatch(refreshNeeded()));
            from.on('auth:expired', () => renewToken());
        }

        // ---- messages --------------------------------------------------------------------------

        async function flush(id: RoomID): Promise<void> {
            if (sending.has(id)) return;
            sending.add(id);
            let attempts = 0;
            let firstRefusal = 0;
            try {
                for (;;) {
                    const next = chat().rooms[id]?.outgoing.find(
                        (message) => message.status === 'waiting',
                    );
                    if (!next || !socket?.connected) return;
                    const { clientId, text, replyTo } = next;
                    api.dispatch(sendStarted({ room: id, clientId }));
                    const answer = await ask('message:send', {
                        room: id,
                        text,
                        clientId,
                        ...(replyTo ? { replyTo } : {}),
                    });
                    if (answer.ok) {
                        attempts = 0;
                        const { id: messageID, roomSeq, at } = answer;
                        api.dispatch(
                            sendAcknowledged({ room: id, clientId, id: messageID, roomSeq, at }),
                        );
                        continue;
                    }
                    const { error } = answer;
                    if (attempts === 0) firstRefusal = Date.now();
                    attempts += 1;
                    const isPassing =
                        passing.has(error.code) && Date.now() - firstRefusal < LONGEST_PATIENCE_MS;
                    if (error.code === 'offline') {
                        api.dispatch(sendPostponed({ room: id, clientId }));
                    } else if (isPassing) {
                        api.dispatch(sendPostponed({ room: id, clientId }));
                        await pause(error.retryAfterMs ?? Math.min(RETRY_MS, 250 * 2 ** attempts));
                    } else {
                        attempts = 0;
                        api.dispatch(sendFailed({ room: id, clientId, error: inWords(error) }));
                    }
                }
            } finally {
                sending.delete(id);
            }
        }

        async function fillGap(id: RoomID): Promise<void> {
            if (!chat().rooms[id]?.gap || filling.has(id)) return;
            filling.add(id);
            try {
                await pause(GAP_PATIENCE_MS);
                for (;;) {
                    const { rooms, limits } = chat();
                    const gap = rooms[id]?.gap;
                    if (!gap || !socket?.connected) return;
                    const answer = await ask('history:fetch', {
                        room: id,
                        after: gap.after,
                        limit: limits.historyPage,
                    });
                    if (!answer.ok) {
                        if (!passing.has(answer.error.code)) return;
                        await pause(answer.error.retryAfterMs ?? RETRY_MS);
                        continue;
                    }
                    const { messages, hasMore } = answer;
                    const last = messages[messages.length - 1]?.roomSeq ?? 0;
                    const through = hasMore && last > gap.after ? last : Math.max(last, gap.upTo);
                    api.dispatch(gapFilled({ room: id, messages, through }));
                }
            } finally {
                filling.delete(id);
            }
        }

        async function loadOlder(id: RoomID): Promise<void> {
            const room = chat().rooms[id];
            const oldest = room?.entries[0]?.roomSeq;
            if (!room || room.status !== 'loaded') return;
            if (room.history === 'loading' || room.history === 'complete') return;
            api.dispatch(historyRequested(id));
            const answer = await ask('history:fetch', {
                room: id,
                limit: HISTORY_PAGE,
                ...(oldest !== undefined ? { before: oldest } : {}),
            });
            if (!answer.ok) {
                api.dispatch(historyFailed(id));
                return;
            }
            const { messages, hasMore } = answer;
            api.dispatch(historyReceived({ room: id, messages, hasMore }));
        }

        function scheduleRead(id: RoomID): void {
            if (readTimers.has(id)) return;
            const isNews = () => {
                const mark = chat().rooms[id]?.readMark ?? 0;
                return mark > (confirmedReads.get(id) ?? 0) ? mark : null;
            };
            if (isNews() === null) return;
            const timer = setTimeout(async () => {
                const mark = isNews();
                if (mark !== null && socket?.connected) {
                    const answer = await ask('message:read', { room: id, roomSeq: mark });
                    if (answer.ok) {
                        confirmedReads.set(id, mark);
                        const { unread } = answer;
                        api.dispatch(readConfirmed({ room: id, roomSeq: mark, unread }));
                    }
                    readTimers.delete(id);
                    if (answer.ok) scheduleRead(id);
                } else {
                    readTimers.delete(id);
                }
            }, READ_DEBOUNCE_MS);
            readTimers.set(id, timer);
        }

        function notifyTyping(id: RoomID, on: boolean): void {
            if (!socket?.connected) return;
            const now = Date.now();
            const last = typingSent.get(id);
            if (on && last !== undefined && now - last < TYPING_RENEWAL_MS) return;
            if (!on && last === undefined) return;
            if (on) typingSent.set(id, now);
            else typingSent.delete(id);
            notify('typing', { room: id, on });
        }

        function messageEndsTyping(id: RoomID): void {
            if (typingSent.has(id)) typingSent.set(id, Date.now() - TYPING_RENEWAL_MS + TYPING_REST_MS);
        }

        // ---- rooms -----------------------------------------------------------------------------

        async function openRoom(id: RoomID): Promise<void> {
            const room = chat().rooms[id];
            if (room && (room.status === 'loaded' || room.status === 'loading')) return;
            if (!socket?.connected) return;
            api.dispatch(snapshotRequested(id));
            const answer = await ask('room:join', { room: id });
            if (answer.ok) {
                api.dispatch(snapshotReceived(answer));
                void fillGap(id);
                return;
            }
            api.dispatch(snapshotFailed(id));
            if (answer.error.code === 'not_found' || answer.error.code === 'forbidden') {
                api.dispatch(roomLeft(id));
                tell('That room is no longer open to you.');
            }
        }

        async function enter(request: () => Promise<Ack<Requests['room:join']['answer']>>) {
            api.dispatch(requestStarted());
            const answer = await request();
            if (!answer.ok) {
                api.dispatch(requestFailed(inWords(answer.error)));
                if (api.getState().ui.dialog === null) tell(inWords(answer.error));
                return;
            }
            api.dispatch(snapshotReceived(answer));
            api.dispatch(dialogClosed());
            location.hash = roomLink(answer.room.id);
        }

        async function leave(id: RoomID): Promise<void> {
            const answer = await ask('room:leave', { room: id });
            if (!answer.ok) return tell(inWords(answer.error));
            api.dispatch(roomLeft(id));
            location.hash = HOME;
        }

        async function invite(room: RoomID, user: string): Promise<void> {
            api.dispatch(requestStarted());
            const answer = await ask('member:invite', { room, user });
            if (!answer.ok) {
                api.dispatch(requestFailed(inWords(answer.error)));
                return;
            }
            api.dispatch(dialogClosed());
            api.dispatch(
                toastShown({
                    id: `invited-${user}`,
                    tone: 'info',
                    title: null,
                    text: `${user} has been invited.`,
                    until: Date.now() + TOAST_MS,
                }),
            );
        }

        async function loadDirectory(): Promise<void> {
            const answer = await ask('room:list', {});
            api.dispatch(answer.ok ? directoryReceived(answer.rooms) : directoryFailed());
        }

        function sweep(): void {
            const now = Date.now();
            const { chat, ui } = api.getState();
            const isTyping = Object.values(chat.rooms).some((room) =>
                Object.values(room.typing).some(({ until }) => until <= now),
            );
            if (isTyping) api.dispatch(typingExpired({ now }));
            if (ui.toasts.length > 0) api.dispatch(toastsExpired({ now }));
        }

        return (next) => (action) => {
            const result = next(action);
            if (signedIn.match(action)) connect();
            else if (tokenRefreshed.match(action)) void presentToken();
            else if (signedOut.match(action)) disconnect();
            else if (sendRequested.match(action) || sendRetried.match(action)) {
                messageEndsTyping(action.payload.room);
                void flush(action.payload.room);
            } else if (roomSelected.match(action)) {
                // A link to a room must not make anybody join it.
                if (action.payload && chat().rooms[action.payload]) void openRoom(action.payload);
            } else if (snapshotWanted.match(action)) void openRoom(action.payload.room);
            else if (olderRequested.match(action)) void loadOlder(action.payload.room);
            else if (readReached.match(action)) scheduleRead(action.payload.room);
            else if (typed.match(action)) notifyTyping(action.payload.room, action.payload.on);
            else if (joinRequested.match(action)) {
                const { room } = action.payload;
                void enter(() => ask('room:join', { room }));
            } else if (createRequested.match(action)) {
                const { payload } = action;
                void enter(() => ask('room:create', payload));
            } else if (leaveRequested.match(action)) void leave(action.payload.room);
            else if (inviteRequested.match(action)) {
                void invite(action.payload.room, action.payload.user);
            } else if (directoryRequested.match(action)) void loadDirectory();
            else if (ownStateChosen.match(action)) {
                void ask('presence:set', { state: action.payload });
            } else if (reconnectRequested.match(action)) {
                clearTimeout(retryTimer);
                if (socket && !socket.connected) socket.disconnect().connect();
            }
            return result;
        };
    };
}
