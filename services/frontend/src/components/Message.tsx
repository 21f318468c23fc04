// SPDX-License-Identifier: MIT
import { Fragment, memo } from 'react';
import { hueOf, isOnlyEmoji, partsOf } from '../lib/text';
import { fullTime, timeOfDay } from '../lib/time';
import type { User } from '../protocol/events';
import { Avatar } from './Avatar';
import { Icon, type IconName } from './Icon';

export type Status = 'waiting' | 'sending' | 'failed' | 'sent' | 'read';

const statusIcons: Record<Status, IconName> = {
    waiting: 'clock',
    sending: 'clock',
    failed: 'alert',
    sent: 'check',
    read: 'checks',
};

const statusWords: Record<Status, string> = {
    waiting: 'Waiting for a connection',
    sending: 'Sending',
    failed: 'Not sent',
    sent: 'Sent',
    read: 'Read',
};

export interface Quote {
    name: string;
    text: string;
}

interface Props {
    user: User;
    text: string;
    at: number;
    isMine: boolean;
    /** First and last of a run of messages by one person. */
    isFirst: boolean;
    isLast: boolean;
    quote: Quote | null;
    id: string | null;
    /** Only for messages of one's own. */
    status: Status | null;
    readBy: string;
    error: string | null;
    onReply: (() => void) | null;
    onRetry: (() => void) | null;
    onDiscard: (() => void) | null;
}

export function MessageText({ text }: { text: string }) {
    return (
        <>
            {partsOf(text).map((part, index) => {
                switch (part.kind) {
                    case 'link':
                        return (
                            <a key={index} href={part.href} target="_blank" rel="noreferrer noopener">
                                {part.text}
                            </a>
                        );
                    case 'code':
                        return <code key={index}>{part.text}</code>;
                    case 'block':
                        return (
                            <pre key={index}>
                                <code>{part.text}</code>
                            </pre>
                        );
                    case 'text':
                        return <Fragment key={index}>{part.text}</Fragment>;
                }
            })}
        </>
    );
}

export const Message = memo(
    function Message(props: Props) {
        const { user, text, at, isMine, isFirst, isLast, quote, status, error } = props;
        const classes = ['message', isMine ? 'is-mine' : '', isFirst ? 'is-first' : ''];
        if (isLast) classes.push('is-last');
        if (status === 'failed') classes.push('is-failed');
        if (status === 'waiting' || status === 'sending') classes.push('is-pending');
        if (!quote && isOnlyEmoji(text)) classes.push('is-emoji');
        const statusText = status === 'read' && props.readBy ? `Read by ${props.readBy}` : '';
        return (
            <article
                className={classes.filter(Boolean).join(' ')}
                data-message={props.id ?? ''}
                data-status={status ?? undefined}
            >
                {!isMine && (
                    <span className="message-avatar">
                        {isLast && <Avatar name={user.name} size="small" />}
                    </span>
                )}
                <div className="message-column">
                    {!isMine && isFirst && (
                        <span className={`message-name ink-${hueOf(user.name)}`}>{user.name}</span>
                    )}
                    <div className="bubble">
                        {!(isFirst && !isMine) && (
                            <span className="visually-hidden">{isMine ? 'You' : user.name}: </span>
                        )}
                        {quote && (
                            <blockquote className="quote">
                                <strong>{quote.name}</strong>
                                <span>{quote.text}</span>
                            </blockquote>
                        )}
                        <span className="message-text" dir="auto">
                            <MessageText text={text} />
                        </span>
                        <span className="message-meta">
                            <time dateTime={new Date(at).toISOString()} title={fullTime(at)}>
                                {timeOfDay(at)}
                            </time>
                            {status && (
                                <span
                                    className="message-status"
                                    title={statusText || statusWords[status]}
                                >
                                    <Icon name={statusIcons[status]} />
                                    <span className="visually-hidden">
                                        {statusText || statusWords[status]}
                                    </span>
                                </span>
                            )}
                        </span>
                        {props.onReply && (
                            <button
                                type="button"
                                className="reply-button"
                                aria-label={`Reply to ${isMine ? 'yourself' : user.name}`}
                                title="Reply"
                                onClick={props.onReply}
                            >
                                <Icon name="reply" />
                            </button>
                        )}
                    </div>
                    {status === 'failed' && (
                        <div className="message-failure" role="alert">
                            <span>{error}</span>
                            <button type="button" className="link-button" onClick={props.onRetry ?? undefined}>
                                Try again
                            </button>
                            <button type="button" className="link-button" onClick={props.onDiscard ?? undefined}>
                                Discard
                            </button>
                        </div>
                    )}
                </div>
            </article>
        );
    },
    // The callbacks do the same thing for the same message, so a new one is no reason to draw.
    (a, b) =>
        a.text === b.text &&
        a.at === b.at &&
        a.isFirst === b.isFirst &&
        a.isLast === b.isLast &&
        a.status === b.status &&
        a.readBy === b.readBy &&
        a.error === b.error &&
        a.id === b.id &&
        a.user.id === b.user.id &&
        a.quote?.text === b.quote?.text,
);
