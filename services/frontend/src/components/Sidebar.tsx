// SPDX-License-Identifier: MIT
import { memo } from 'react';
import { HOME, roomLink } from '../lib/route';
import type { PresenceState } from '../protocol/events';
import { signOutRequested } from '../store/authSlice';
import {
    directoryRequested,
    type Invitation,
    invitationDismissed,
    type MessageEntry,
    ownStateChosen,
    type RoomState,
} from '../store/chatSlice';
import { joinRequested } from '../store/commands';
import { selectRooms } from '../store/selectors';
import { useAppSelector, useSend } from '../store/state';
import { dialogOpened, type Theme, themeChosen } from '../store/uiSlice';
import { Avatar, presenceWords } from './Avatar';
import { Icon } from './Icon';
import { Mark } from './Mark';
import { Menu, MenuItem } from './Menu';

function lastLine(room: RoomState): string {
    for (let index = room.entries.length - 1; index >= 0; index -= 1) {
        const entry = room.entries[index];
        if (entry?.kind === 'message') return `${entry.user.name}: ${(entry as MessageEntry).text}`;
    }
    if (room.topic) return room.topic;
    if (room.id === 'lobby') return 'Everyone is here';
    return `${room.memberCount} ${room.memberCount === 1 ? 'person' : 'people'}`;
}

const RoomLink = memo(function RoomLink({
    room,
    isOpen,
}: {
    room: RoomState;
    isOpen: boolean;
}) {
    const typists = Object.values(room.typing);
    const failed = room.outgoing.some((message) => message.status === 'failed');
    return (
        <li>
            <a
                className={`room-link ${room.unread > 0 ? 'is-unread' : ''}`}
                href={roomLink(room.id)}
                aria-current={isOpen ? 'page' : undefined}
                data-room={room.id}
            >
                <span className="room-sign" aria-hidden="true">
                    <Icon name={room.visibility === 'private' ? 'lock' : 'hash'} />
                </span>
                <span className="room-lines">
                    <span className="room-name">{room.name}</span>
                    <span className="room-last">
                        {typists.length > 0 ? `${typists[0]?.name} is typing …` : lastLine(room)}
                    </span>
                </span>
                {failed && (
                    <span className="badge badge-failed" title="A message was not sent">
                        !
                    </span>
                )}
                {room.unread > 0 && (
                    <span className="badge" aria-label={`${room.unread} unread`}>
                        {room.unread > 99 ? '99+' : room.unread}
                    </span>
                )}
            </a>
        </li>
    );
});

function InvitationRow({ invitation }: { invitation: Invitation }) {
    const send = useSend();
    const { room, from } = invitation;
    const listed = useAppSelector((state) =>
        state.chat.directory.rooms.find((candidate) => candidate.id === room),
    );
    return (
        <li className="invitation">
            <span>
                {from ? <strong>{from.name}</strong> : 'Somebody'} invites you to{' '}
                {listed ? <strong>{listed.name}</strong> : 'a room'}.
            </span>
            <span className="invitation-actions">
                <button
                    type="button"
                    className="button button-small button-primary"
                    onClick={() => send(joinRequested({ room }))}
                >
                    Join
                </button>
                <button
                    type="button"
                    className="button button-small"
                    onClick={() => send(invitationDismissed(room))}
                >
                    Not now
                </button>
            </span>
        </li>
    );
}

const states: PresenceState[] = ['online', 'away', 'dnd'];
const themes: { theme: Theme; words: string; icon: 'system' | 'sun' | 'moon' }[] = [
    { theme: 'system', words: 'Like the system', icon: 'system' },
    { theme: 'light', words: 'Light', icon: 'sun' },
    { theme: 'dark', words: 'Dark', icon: 'moon' },
];

function OwnMenu() {
    const me = useAppSelector((state) => state.chat.me);
    const ownState = useAppSelector((state) => state.chat.ownState);
    const isOnline = useAppSelector((state) => state.chat.connection === 'online');
    const theme = useAppSelector((state) => state.ui.theme);
    const send = useSend();
    if (!me) return <div className="own-menu own-menu-empty" />;
    return (
        <Menu
            label={`${me.name}: status, appearance, sign out`}
            className="own-menu"
            opens="up"
            align="start"
            trigger={
                <>
                    <Avatar name={me.name} state={isOnline ? ownState : 'offline'} />
                    <span className="own-lines">
                        <span className="own-name">{me.name}</span>
                        <span className="own-state">
                            {isOnline ? presenceWords[ownState] : 'Not connected'}
                        </span>
                    </span>
                    <Icon name="dots" />
                </>
            }
        >
            <div className="menu-heading">Status</div>
            {states.map((state) => (
                <MenuItem
                    key={state}
                    isChosen={state === ownState}
                    onChoose={() => send(ownStateChosen(state))}
                >
                    <span className={`presence presence-${state}`} /> {presenceWords[state]}
                </MenuItem>
            ))}
            <div className="menu-heading">Appearance</div>
            {themes.map((item) => (
                <MenuItem
                    key={item.theme}
                    isChosen={item.theme === theme}
                    onChoose={() => send(themeChosen(item.theme))}
                >
                    <Icon name={item.icon} /> {item.words}
                </MenuItem>
            ))}
            <hr />
            <MenuItem onChoose={() => send(signOutRequested({ message: 'You have signed out.' }))}>
                <Icon name="leave" /> Sign out
            </MenuItem>
        </Menu>
    );
}

export function Sidebar() {
    const rooms = useAppSelector(selectRooms);
    const activeRoom = useAppSelector((state) => state.chat.activeRoom);
    const invitations = useAppSelector((state) => state.chat.invitations);
    const hasSession = useAppSelector((state) => state.chat.hasSession);
    const send = useSend();
    return (
        <nav className="sidebar" aria-label="Rooms">
            <header className="sidebar-header">
                <a className="brand" href={HOME}>
                    <Mark /> <span>Chat</span>
                </a>
                <button
                    type="button"
                    className="icon-button"
                    aria-label="Find a room"
                    title="Find a room"
                    onClick={() => {
                        send(directoryRequested());
                        send(dialogOpened('browse'));
                    }}
                >
                    <Icon name="search" />
                </button>
                <button
                    type="button"
                    className="icon-button"
                    aria-label="New room"
                    title="New room"
                    onClick={() => send(dialogOpened('create'))}
                >
                    <Icon name="plus" />
                </button>
            </header>
            <div className="sidebar-scroll">
                {invitations.length > 0 && (
                    <ul className="invitations" aria-label="Invitations">
                        {invitations.map((invitation) => (
                            <InvitationRow key={invitation.room} invitation={invitation} />
                        ))}
                    </ul>
                )}
                <ul className="room-list">
                    {rooms.map((room) => (
                        <RoomLink key={room.id} room={room} isOpen={room.id === activeRoom} />
                    ))}
                    {!hasSession &&
                        [70, 50, 60].map((width) => (
                            <li key={width} className="room-link is-placeholder" aria-hidden="true">
                                <span className="room-sign" />
                                <span className="room-lines">
                                    <span className={`bone bone-${width}`} />
                                    <span className="bone bone-90" />
                                </span>
                            </li>
                        ))}
                </ul>
            </div>
            <footer className="sidebar-footer">
                <OwnMenu />
            </footer>
        </nav>
    );
}
