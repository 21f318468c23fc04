// SPDX-License-Identifier: MIT
import { ConnectionBanner } from '../components/ConnectionBanner';
import { Dialogs } from '../components/Dialogs';
import { People } from '../components/People';
import { RoomView } from '../components/RoomView';
import { Sidebar } from '../components/Sidebar';
import { Toasts } from '../components/Toasts';
import { selectActiveRoom } from '../store/selectors';
import { useAppSelector } from '../store/state';

/** Rooms, the open room, its people: side by side where there is room, one at a time on phones. */
export function ChatPage() {
    const hasRoom = useAppSelector((state) => selectActiveRoom(state) !== null);
    const isPeopleOpen = useAppSelector((state) => state.ui.peopleOpen);
    const layout = `chat ${hasRoom ? 'has-room' : 'has-list'} ${isPeopleOpen ? 'has-people' : ''}`;
    return (
        <div className={layout}>
            <a className="skip-link" href="#composer" onClick={focusComposer}>
                Skip to writing
            </a>
            <Sidebar />
            <RoomView />
            {hasRoom && <People />}
            <ConnectionBanner />
            <Dialogs />
            <Toasts />
        </div>
    );
}

function focusComposer(event: { preventDefault(): void }): void {
    event.preventDefault();
    document.getElementById('composer')?.focus();
}
