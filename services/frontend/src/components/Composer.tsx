// SPDX-License-Identifier: MIT
import { nanoid } from '@reduxjs/toolkit';
import { type KeyboardEvent, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { answerTo, draftOf, keepDraft, useReply } from '../lib/drafts';
import { byteLength } from '../lib/text';
import { type RoomState, sendRequested } from '../store/chatSlice';
import { typed } from '../store/commands';
import { useAppSelector, useSend } from '../store/state';
import { Icon } from './Icon';

/** On a touch keyboard the return key makes lines; there is a button for sending. */
const isTouch = window.matchMedia('(pointer: coarse)').matches;
const IDLE_MS = 4_000;

export function Composer({ room }: { room: RoomState }) {
    const [text, setText] = useState(() => draftOf(room.id));
    const limit = useAppSelector((state) => state.chat.limits.messageBytes);
    const reply = useReply(room.id);
    const area = useRef<HTMLTextAreaElement>(null);
    const idle = useRef<ReturnType<typeof setTimeout>>();
    const send = useSend();

    const bytes = byteLength(text);
    const isTooLong = bytes > limit;
    const isReady = text.trim() !== '' && !isTooLong;

    useLayoutEffect(() => {
        const element = area.current;
        if (!element) return;
        element.style.height = 'auto';
        element.style.height = `${element.scrollHeight}px`;
    }, [text]);

    useEffect(() => {
        // A phone would open its keyboard over the messages.
        if (!isTouch) area.current?.focus();
    }, [reply]);

    useEffect(
        () => () => {
            clearTimeout(idle.current);
            send(typed({ room: room.id, on: false }));
        },
        [room.id, send],
    );

    const change = (next: string) => {
        setText(next);
        keepDraft(room.id, next);
        clearTimeout(idle.current);
        const isWriting = next.trim() !== '';
        send(typed({ room: room.id, on: isWriting }));
        if (isWriting) {
            idle.current = setTimeout(() => send(typed({ room: room.id, on: false })), IDLE_MS);
        }
    };

    const submit = () => {
        if (!isReady) return;
        clearTimeout(idle.current);
        send(
            sendRequested({
                room: room.id,
                clientId: nanoid(),
                text: text.trim(),
                replyTo: reply?.id ?? null,
                now: Date.now(),
            }),
        );
        setText('');
        keepDraft(room.id, '');
        answerTo(room.id, null);
        area.current?.focus();
    };

    const onKeyDown = (event: KeyboardEvent) => {
        // Enter also ends the composition of an input method, and must not send then.
        if (event.key === 'Enter' && !event.shiftKey && !isTouch && !event.nativeEvent.isComposing) {
            event.preventDefault();
            submit();
        } else if (event.key === 'Escape' && reply) {
            answerTo(room.id, null);
        }
    };

    return (
        <form
            className="composer"
            onSubmit={(event) => {
                event.preventDefault();
                submit();
            }}
        >
            {reply && (
                <div className="composer-reply">
                    <Icon name="reply" />
                    <span className="composer-reply-text">
                        <strong>{reply.name}</strong> {reply.text}
                    </span>
                    <button
                        type="button"
                        className="icon-button"
                        aria-label="Do not reply"
                        onClick={() => answerTo(room.id, null)}
                    >
                        <Icon name="close" />
                    </button>
                </div>
            )}
            <div className="composer-box">
                <textarea
                    id="composer"
                    ref={area}
                    rows={1}
                    dir="auto"
                    value={text}
                    placeholder={`Write to ${room.name}`}
                    aria-label={`Write to ${room.name}`}
                    aria-invalid={isTooLong}
                    aria-describedby="composer-count"
                    onChange={(event) => change(event.target.value)}
                    onKeyDown={onKeyDown}
                />
                <span id="composer-count" className="composer-count" role="status">
                    {isTooLong
                        ? `${bytes - limit} too many`
                        : bytes > limit * 0.8
                          ? `${limit - bytes} left`
                          : ''}
                </span>
                <button
                    type="submit"
                    className="send-button"
                    aria-label="Send"
                    title="Send"
                    disabled={!isReady}
                >
                    <Icon name="send" />
                </button>
            </div>
        </form>
    );
}
