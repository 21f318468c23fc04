// SPDX-License-Identifier: MIT
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import { roomLink } from '../lib/route';
import type { ListedRoom, Visibility } from '../protocol/events';
import { directoryRequested } from '../store/chatSlice';
import { createRequested, inviteRequested, joinRequested } from '../store/commands';
import { selectActiveRoom } from '../store/selectors';
import { useAppSelector, useSend } from '../store/state';
import { dialogClosed, dialogOpened } from '../store/uiSlice';
import { Icon } from './Icon';

const LONGEST_NAME = 80;
const LONGEST_TOPIC = 500;

function Dialog({ title, children }: { title: string; children: ReactNode }) {
    const element = useRef<HTMLDialogElement>(null);
    const send = useSend();
    useEffect(() => {
        const dialog = element.current;
        if (!dialog || dialog.open) return;
        dialog.showModal();
        return () => dialog.close();
    }, []);
    return (
        <dialog
            ref={element}
            className="dialog"
            aria-labelledby="dialog-title"
            onCancel={() => send(dialogClosed())}
            onClick={(event) => {
                // The element itself is hit only outside of its content: on the backdrop.
                if (event.target === element.current) send(dialogClosed());
            }}
        >
            <div className="dialog-content">
                <header className="dialog-header">
                    <h2 id="dialog-title">{title}</h2>
                    <button
                        type="button"
                        className="icon-button"
                        aria-label="Close"
                        onClick={() => send(dialogClosed())}
                    >
                        <Icon name="close" />
                    </button>
                </header>
                {children}
            </div>
        </dialog>
    );
}

function RequestError() {
    const error = useAppSelector((state) => state.ui.request.error);
    return (
        <p className="form-error" role="alert">
            {error}
        </p>
    );
}

function CreateDialog() {
    const [name, setName] = useState('');
    const [topic, setTopic] = useState('');
    const [visibility, setVisibility] = useState<Visibility>('public');
    const isBusy = useAppSelector((state) => state.ui.request.status === 'busy');
    const send = useSend();
    const isReady = name.trim() !== '' && !isBusy;
    const submit = (event: FormEvent) => {
        event.preventDefault();
        if (!isReady) return;
        send(createRequested({ name: name.trim(), topic: topic.trim(), visibility }));
    };
    return (
        <Dialog title="New room">
            <form onSubmit={submit}>
                <label className="field">
                    <span>Name</span>
                    <input
                        value={name}
                        onChange={(event) => setName(event.target.value)}
                        maxLength={LONGEST_NAME}
                        autoFocus
                        autoComplete="off"
                        name="room-name"
                    />
                </label>
                <label className="field">
                    <span>
                        Topic <em>optional</em>
                    </span>
                    <input
                        value={topic}
                        onChange={(event) => setTopic(event.target.value)}
                        maxLength={LONGEST_TOPIC}
                        autoComplete="off"
                        name="room-topic"
                    />
                </label>
                <fieldset className="choices">
                    <legend>Who can join?</legend>
                    <label className="choice">
                        <input
                            type="radio"
                            name="visibility"
                            checked={visibility === 'public'}
                            onChange={() => setVisibility('public')}
                        />
                        <span>
                            <strong>Public</strong> Everyone can find and join it.
                        </span>
                    </label>
                    <label className="choice">
                        <input
                            type="radio"
                            name="visibility"
                            checked={visibility === 'private'}
                            onChange={() => setVisibility('private')}
                        />
                        <span>
                            <strong>Private</strong> Only people who are invited see it.
                        </span>
                    </label>
                </fieldset>
                <RequestError />
                <div className="form-actions">
                    <button type="button" className="button" onClick={() => send(dialogClosed())}>
                        Cancel
                    </button>
                    <button type="submit" className="button button-primary" disabled={!isReady}>
                        {isBusy ? 'Creating …' : 'Create room'}
                    </button>
                </div>
            </form>
        </Dialog>
    );
}

function InviteDialog() {
    const [user, setUser] = useState('');
    const isBusy = useAppSelector((state) => state.ui.request.status === 'busy');
    const room = useAppSelector(selectActiveRoom);
    const send = useSend();
    if (!room) return null;
    const isReady = user.trim() !== '' && !isBusy;
    const submit = (event: FormEvent) => {
        event.preventDefault();
        if (isReady) send(inviteRequested({ room: room.id, user: user.trim().replace(/^@/, '') }));
    };
    return (
        <Dialog title={`Invite to ${room.name}`}>
            <form onSubmit={submit}>
                <label className="field">
                    <span>Their user name</span>
                    <input
                        value={user}
                        onChange={(event) => setUser(event.target.value)}
                        autoFocus
                        autoComplete="off"
                        autoCapitalize="none"
                        spellCheck={false}
                        name="invite-user"
                    />
                </label>
                <RequestError />
                <div className="form-actions">
                    <button type="button" className="button" onClick={() => send(dialogClosed())}>
                        Cancel
                    </button>
                    <button type="submit" className="button button-primary" disabled={!isReady}>
                        {isBusy ? 'Inviting …' : 'Invite'}
                    </button>
                </div>
            </form>
        </Dialog>
    );
}

function ListedRow({ room, isJoined }: { room: ListedRoom; isJoined: boolean }) {
    const send = useSend();
    const people = `${room.members} ${room.members === 1 ? 'person' : 'people'}`;
    return (
        <li className="listed-room">
            <span className="room-sign" aria-hidden="true">
                <Icon name={room.visibility === 'private' ? 'lock' : 'hash'} />
            </span>
            <span className="room-lines">
                <span className="room-name">{room.name}</span>
                <span className="room-last">
                    {room.topic ? `${people} · ${room.topic}` : people}
                </span>
            </span>
            {isJoined ? (
                <a
                    className="button button-small"
                    href={roomLink(room.id)}
                    onClick={() => send(dialogClosed())}
                    aria-label={`Open ${room.name}`}
                >
                    Open
                </a>
            ) : (
                <button
                    type="button"
                    className="button button-small button-primary"
                    onClick={() => send(joinRequested({ room: room.id }))}
                    aria-label={`Join ${room.name}`}
                >
                    Join
                </button>
            )}
        </li>
    );
}

function BrowseDialog() {
    const [query, setQuery] = useState('');
    const directory = useAppSelector((state) => state.chat.directory);
    const joined = useAppSelector((state) => state.chat.rooms);
    const send = useSend();
    const wanted = query.trim().toLocaleLowerCase();
    const rooms = directory.rooms
        .filter((room) => `${room.name} ${room.topic}`.toLocaleLowerCase().includes(wanted))
        .sort((a, b) => b.members - a.members || a.name.localeCompare(b.name));
    return (
        <Dialog title="Find a room">
            <label className="field">
                <span className="visually-hidden">Search rooms</span>
                <input
                    type="search"
                    placeholder="Search by name or topic"
                    value={query}
                    onChange={(event) => setQuery(event.target.value)}
                    autoFocus
                />
            </label>
            <ul className="listed-rooms" aria-busy={directory.status === 'loading'}>
                {rooms.map((room) => (
                    <ListedRow key={room.id} room={room} isJoined={joined[room.id] !== undefined} />
                ))}
            </ul>
            <RequestError />
            {directory.status === 'failed' && (
                <p className="listed-empty">
                    The list could not be loaded.{' '}
                    <button
                        type="button"
                        className="link-button"
                        onClick={() => send(directoryRequested())}
                    >
                        Try again
                    </button>
                </p>
            )}
            {directory.status === 'loaded' && rooms.length === 0 && (
                <p className="listed-empty">
                    {wanted ? 'No room matches that. ' : 'There are no rooms yet. '}
                    <button
                        type="button"
                        className="link-button"
                        onClick={() => send(dialogOpened('create'))}
                    >
                        Start one
                    </button>
                </p>
            )}
        </Dialog>
    );
}

export function Dialogs() {
    const dialog = useAppSelector((state) => state.ui.dialog);
    if (dialog === 'create') return <CreateDialog />;
    if (dialog === 'invite') return <InviteDialog />;
    if (dialog === 'browse') return <BrowseDialog />;
    return null;
}

