// SPDX-License-Identifier: MIT
import { HOME } from '../lib/route';
import { listNames } from '../lib/text';
import type { RoomState } from '../store/chatSlice';
import { directoryRequested } from '../store/chatSlice';
import { leaveRequested } from '../store/commands';
import { selectActiveRoom, selectTypists } from '../store/selectors';
import { useAppSelector, useSend } from '../store/state';
import { dialogOpened, peopleToggled } from '../store/uiSlice';
import { Composer } from './Composer';
import { Icon } from './Icon';
import { Mark } from './Mark';
import { Menu, MenuItem } from './Menu';
import { MessageList } from './MessageList';

function RoomHeader({ room }: { room: RoomState }) {
    const isPeopleOpen = useAppSelector((state) => state.ui.peopleOpen);
    const send = useSend();
    const count = `${room.memberCount} ${room.memberCount === 1 ? 'person' : 'people'}`;
    return (
        <header className="room-header">
            <a className="icon-button back-button" href={HOME} aria-label="All rooms">
                <Icon name="back" />
            </a>
            <div className="room-title">
                <h1>
                    {room.visibility === 'private' && <Icon name="lock" />}
                    <span>{room.name}</span>
                </h1>
                <p>{room.topic ? `${count} · ${room.topic}` : count}</p>
            </div>
            <button
                type="button"
                className="icon-button people-button"
                aria-label="People"
                aria-expanded={isPeopleOpen}
                title="People"
                onClick={() => send(peopleToggled(!isPeopleOpen))}
            >
                <Icon name="people" />
            </button>
            {room.id !== 'lobby' && (
                <Menu label="Room actions" trigger={<Icon name="dots" />} className="room-menu">
                    <MenuItem onChoose={() => send(dialogOpened('invite'))}>
                        <Icon name="invite" /> Invite somebody
                    </MenuItem>
                    <MenuItem isDangerous onChoose={() => send(leaveRequested({ room: room.id }))}>
                        <Icon name="leave" /> Leave room
                    </MenuItem>
                </Menu>
            )}
        </header>
    );
}

function TypingLine() {
    const names = useAppSelector(selectTypists);
    const verb = names.length === 1 ? 'is' : 'are';
    return (
        <div className="typing-line" role="status" data-typing={names.length > 0}>
            {names.length > 0 && (
                <>
                    <span className="typing-dots" aria-hidden="true">
                        <i />
                        <i />
                        <i />
                    </span>
                    {listNames(names)} {verb} typing …
                </>
            )}
        </div>
    );
}

function NoRoom() {
    const send = useSend();
    const hasSession = useAppSelector((state) => state.chat.hasSession);
    return (
        <main className="room room-none">
            {hasSession && (
                <div className="empty">
                    <Mark />
                    <h1>Pick a room</h1>
                    <p>Choose one on the left, find another, or start your own.</p>
                    <div className="empty-actions">
                        <button
                            type="button"
                            className="button"
                            onClick={() => {
                                send(directoryRequested());
                                send(dialogOpened('browse'));
                            }}
                        >
                            Find a room
                        </button>
                        <button
                            type="button"
                            className="button button-primary"
                            onClick={() => send(dialogOpened('create'))}
                        >
                            New room
                        </button>
                    </div>
                </div>
            )}
        </main>
    );
}

export function RoomView() {
    const room = useAppSelector(selectActiveRoom);
    if (!room) return <NoRoom />;
    return (
        <main className="room" aria-label={room.name}>
            <RoomHeader room={room} />
            <MessageList key={`list-${room.id}`} room={room} />
            <TypingLine />
            <Composer key={`composer-${room.id}`} room={room} />
        </main>
    );
}
