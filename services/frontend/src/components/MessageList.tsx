// SPDX-License-Identifier: MIT
import { Fragment, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { answerTo } from '../lib/drafts';
import { listNames } from '../lib/text';
import { dayName, sameDay } from '../lib/time';
import type { User } from '../protocol/events';
import {
    type Entry,
    type MessageEntry,
    readReached,
    type RoomState,
    sendDiscarded,
    sendRetried,
} from '../store/chatSlice';
import { olderRequested, snapshotWanted } from '../store/commands';
import { useAppSelector, useSend } from '../store/state';
import { Icon } from './Icon';
import { Message, type Quote, type Status } from './Message';

/** Messages of one person closer together than this make one run. */
const RUN_MS = 5 * 60_000;
/** This close to the end counts as being there. */
const END_SLACK = 60;
/** Older messages are asked for before the top is reached. */
const OLDER_AHEAD = 600;

interface Row {
    key: string;
    entry: Entry | null;
    at: number;
    user: User;
    text: string;
    id: string | null;
    replyTo: string | null;
    clientId: string | null;
    roomSeq: number | null;
    status: 'waiting' | 'sending' | 'failed' | null;
    error: string | null;
}

/** What has been said, then what is on its way. The key outlives the move from one to the other. */
function rowsOf(room: RoomState, me: User | null): Row[] {
    const rows: Row[] = room.entries.map((entry) => {
        const isMessage = entry.kind === 'message';
        return {
            key: isMessage && entry.clientId && entry.user.id === me?.id
                ? `own-${entry.clientId}`
                : `seq-${entry.roomSeq}`,
            entry,
            at: entry.at,
            user: entry.user,
            text: isMessage ? entry.text : '',
            id: isMessage ? entry.id : null,
            replyTo: isMessage ? entry.replyTo : null,
            clientId: isMessage ? entry.clientId : null,
            roomSeq: entry.roomSeq,
            status: null,
            error: null,
        };
    });
    if (!me) return rows;
    for (const message of room.outgoing) {
        rows.push({
            key: `own-${message.clientId}`,
            entry: null,
            at: message.at,
            user: me,
            text: message.text,
            id: null,
            replyTo: message.replyTo,
            clientId: message.clientId,
            roomSeq: null,
            status: message.status,
            error: message.error,
        });
    }
    return rows;
}

function isSaid(row: Row | undefined): row is Row {
    return row !== undefined && (row.entry === null || row.entry.kind === 'message');
}

function continues(before: Row | undefined, row: Row, divider: number | null): boolean {
    if (!isSaid(before) || before.user.id !== row.user.id) return false;
    if (row.at - before.at > RUN_MS || !sameDay(before.at, row.at)) return false;
    return !(divider !== null && before.roomSeq === divider);
}

function noticeText(entry: Entry): string {
    if (entry.kind === 'member') {
        const who = entry.member.name;
        switch (entry.action) {
            case 'joined':
                return `${who} joined`;
            case 'left':
                return `${who} left`;
            case 'invited':
                return `${entry.user.name} invited ${who}`;
            case 'removed':
                return `${entry.user.name} removed ${who}`;
        }
    }
    if (entry.kind === 'room') {
        return entry.action === 'created'
            ? `${entry.user.name} created this room`
            : `${entry.user.name} changed the room`;
    }
    return '';
}

function Opening({ room }: { room: RoomState }) {
    return (
        <div className="opening">
            <span className="opening-sign" aria-hidden="true">
                <Icon name={room.visibility === 'private' ? 'lock' : 'hash'} />
            </span>
            <h2>{room.name}</h2>
            <p>
                {room.topic ||
                    (room.id === 'lobby'
                        ? 'Everybody on this server meets here.'
                        : room.visibility === 'private'
                          ? 'Only people who are invited can read this.'
                          : 'Anybody can find and join this room.')}
            </p>
        </div>
    );
}

function Placeholder() {
    return (
        <div className="message-bones" aria-hidden="true">
            {[46, 30, 58, 24, 38].map((width, index) => (
                <span key={width} className={`bone-bubble ${index === 3 ? 'is-mine' : ''} bone-w${width}`} />
            ))}
        </div>
    );
}

export function MessageList({ room }: { room: RoomState }) {
    const me = useAppSelector((state) => state.chat.me);
    const isOnline = useAppSelector((state) => state.chat.connection === 'online');
    const send = useSend();
    const scroller = useRef<HTMLDivElement>(null);
    const content = useRef<HTMLDivElement>(null);
    const isAtEnd = useRef(true);
    const before = useRef({ height: 0, firstKey: '', isPlaced: false });
    const [seenThrough, setSeenThrough] = useState(room.delivered);
    const [showsJump, setShowsJump] = useState(false);

    const rows = useMemo(() => rowsOf(room, me), [room.entries, room.outgoing, me]);
    const byID = useMemo(() => {
        const map = new Map<string, MessageEntry>();
        for (const entry of room.entries) if (entry.kind === 'message') map.set(entry.id, entry);
        return map;
    }, [room.entries]);
    // Most readers have read to the end: few marks are below a message, so search from the far end.
    const readers = useMemo(
        () => Object.values(room.receipts).sort((a, b) => b.roomSeq - a.roomSeq),
        [room.receipts],
    );

    const markRead = useCallback(() => {
        if (document.visibilityState !== 'visible' || !isAtEnd.current) return;
        if (room.status !== 'loaded') return;
        setSeenThrough(room.delivered);
        send(readReached({ room: room.id, roomSeq: room.delivered }));
    }, [room.id, room.status, room.delivered, send]);

    useEffect(() => {
        markRead();
        document.addEventListener('visibilitychange', markRead);
        return () => document.removeEventListener('visibilitychange', markRead);
    }, [markRead]);

    const wantOlder = useCallback(() => {
        const element = scroller.current;
        if (!element || element.scrollTop > OLDER_AHEAD) return;
        if (isOnline && room.status === 'loaded' && room.history === 'idle') {
            send(olderRequested({ room: room.id }));
        }
    }, [isOnline, room.id, room.status, room.history, send]);

    // Positions: at the end stay at the end; when older messages come in above, keep what is read
    // where it is; when the room opens with news, start where they start.
    useLayoutEffect(() => {
        const element = scroller.current;
        if (!element) return;
        const firstKey = rows[0]?.key ?? '';
        const last = before.current;
        if (!last.isPlaced && room.status === 'loaded') {
            last.isPlaced = true;
            element.scrollTop = element.scrollHeight;
            const divider = element.querySelector<HTMLElement>('.divider-new');
            if (divider && divider.offsetTop < element.scrollTop) {
                element.scrollTop = divider.offsetTop - 80;
            }
            isAtEnd.current =
                element.scrollHeight - element.scrollTop - element.clientHeight < END_SLACK;
            setShowsJump(!isAtEnd.current);
        } else if (isAtEnd.current) {
            element.scrollTop = element.scrollHeight;
        } else if (last.firstKey !== firstKey) {
            element.scrollTop += element.scrollHeight - last.height;
        }
        last.height = element.scrollHeight;
        last.firstKey = firstKey;
    }, [rows, room.status, room.history]);

    useEffect(wantOlder, [wantOlder, rows.length]);

    // One's own message is always worth seeing.
    const sendingCount = room.outgoing.length;
    useLayoutEffect(() => {
        const element = scroller.current;
        if (sendingCount > 0 && element) element.scrollTop = element.scrollHeight;
    }, [sendingCount]);

    useEffect(() => {
        const element = scroller.current;
        if (!element || !content.current) return;
        const observer = new ResizeObserver(() => {
            if (isAtEnd.current) element.scrollTop = element.scrollHeight;
            before.current.height = element.scrollHeight;
        });
        observer.observe(element);
        observer.observe(content.current);
        return () => observer.disconnect();
    }, []);

    const onScroll = () => {
        const element = scroller.current;
        if (!element) return;
        isAtEnd.current =
            element.scrollHeight - element.scrollTop - element.clientHeight < END_SLACK;
        setShowsJump(!isAtEnd.current);
        if (isAtEnd.current) markRead();
        wantOlder();
    };

    const jump = () => {
        const element = scroller.current;
        if (element) element.scrollTop = element.scrollHeight;
    };

    const readBy = (roomSeq: number): { count: number; names: string } => {
        let count = 0;
        while (count < readers.length && (readers[count]?.roomSeq ?? 0) >= roomSeq) count += 1;
        const names = readers.slice(0, count).map(({ name }) => name);
        return { count, names: listNames(names) };
    };

    const quoteOf = (id: string | null): Quote | null => {
        if (!id) return null;
        const original = byID.get(id);
        return original
            ? { name: original.user.name, text: original.text }
            : { name: 'Earlier', text: 'a message further up' };
    };

    const firstNew = rows.find(
        (row) => room.divider !== null && (row.roomSeq ?? 0) > room.divider && isSaid(row),
    );
    const missed = rows.filter(
        (row) => (row.roomSeq ?? 0) > seenThrough && row.user.id !== me?.id && isSaid(row),
    ).length;
    const now = Date.now();

    return (
        <div className="messages-frame">
            <div
                className="messages"
                ref={scroller}
                onScroll={onScroll}
                role="log"
                aria-label={`Messages in ${room.name}`}
                aria-busy={room.status === 'loading' || room.history === 'loading'}
                tabIndex={0}
                data-history={room.history}
                data-room-status={room.status}
            >
                <div className="messages-content" ref={content}>
                    {room.status === 'failed' && (
                        <p className="history-note">
                            The messages could not be loaded.{' '}
                            <button
                                type="button"
                                className="link-button"
                                onClick={() => send(snapshotWanted({ room: room.id }))}
                            >
                                Try again
                            </button>
                        </p>
                    )}
                    {room.status !== 'loaded' && room.status !== 'failed' && rows.length === 0 && (
                        <Placeholder />
                    )}
                    {room.history === 'complete' && <Opening room={room} />}
                    {room.status === 'loaded' && room.history !== 'complete' && (
                        <p className="history-note history-older">
                            {room.history === 'failed' ? (
                                <button
                                    type="button"
                                    className="link-button"
                                    onClick={() => send(olderRequested({ room: room.id }))}
                                >
                                    Load older messages
                                </button>
                            ) : (
                                <span className="spinner" aria-label="Loading older messages" />
                            )}
                        </p>
                    )}
                    {rows.map((row, index) => {
                        const previous = rows[index - 1];
                        const next = rows[index + 1];
                        const startsDay = !previous || !sameDay(previous.at, row.at);
                        const isMine = row.user.id === me?.id;
                        const heading = (
                            <>
                                {startsDay && (
                                    <div className="divider divider-day">
                                        <span>{dayName(row.at, now)}</span>
                                    </div>
                                )}
                                {row === firstNew && (
                                    <div className="divider divider-new" role="separator">
                                        <span>New</span>
                                    </div>
                                )}
                            </>
                        );
                        if (row.entry && row.entry.kind !== 'message') {
                            return (
                                <Fragment key={row.key}>
                                    {heading}
                                    <p className="notice">{noticeText(row.entry)}</p>
                                </Fragment>
                            );
                        }
                        const seen =
                            isMine && row.roomSeq !== null ? readBy(row.roomSeq) : { count: 0, names: '' };
                        const status: Status | null = !isMine
                            ? null
                            : (row.status ?? (seen.count > 0 ? 'read' : 'sent'));
                        const { id, clientId } = row;
                        const own = clientId !== null ? { room: room.id, clientId } : null;
                        return (
                            <Fragment key={row.key}>
                                {heading}
                                <Message
                                    user={row.user}
                                    text={row.text}
                                    at={row.at}
                                    isMine={isMine}
                                    isFirst={startsDay || !continues(previous, row, room.divider)}
                                    isLast={!next || !continues(row, next, room.divider)}
                                    quote={quoteOf(row.replyTo)}
                                    id={id}
                                    status={status}
                                    readBy={seen.names}
                                    error={row.error}
                                    onReply={
                                        id === null
                                            ? null
                                            : () =>
                                                  answerTo(room.id, {
                                                      id,
                                                      name: row.user.name,
                                                      text: row.text,
                                                  })
                                    }
                                    onRetry={own && (() => send(sendRetried(own)))}
                                    onDiscard={own && (() => send(sendDiscarded(own)))}
                                />
                            </Fragment>
                        );
                    })}
                    {room.status === 'loaded' && rows.every((row) => !isSaid(row)) && (
                        <p className="first-word">Nobody has said anything yet. Be the first.</p>
                    )}
                </div>
            </div>
            {showsJump && (
                <button type="button" className="jump-button" onClick={jump}>
                    <Icon name="down" />
                    <span>{missed > 0 ? `${missed} new` : 'Latest'}</span>
                </button>
            )}
        </div>
    );
}
