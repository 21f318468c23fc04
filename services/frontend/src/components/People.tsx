// SPDX-License-Identifier: MIT
import { selectActiveRoom, selectPeople, type Person } from '../store/selectors';
import { useAppSelector, useSend } from '../store/state';
import { dialogOpened, peopleToggled } from '../store/uiSlice';
import { Avatar, presenceWords } from './Avatar';
import { Icon } from './Icon';

/** More than fits any screen; the heading tells how many there are. */
const MOST_SHOWN = 200;

function PersonRow({ person }: { person: Person }) {
    const notes = [person.isMe ? 'you' : '', person.isOwner ? 'owner' : ''].filter(Boolean);
    return (
        <li className={`person is-${person.state}`} data-person={person.name} data-state={person.state}>
            <Avatar name={person.name} size="small" state={person.state} />
            <span className="person-name">{person.name}</span>
            {notes.length > 0 && <span className="person-note">{notes.join(', ')}</span>}
            <span className="visually-hidden">{presenceWords[person.state]}</span>
        </li>
    );
}

export function People() {
    const people = useAppSelector(selectPeople);
    const room = useAppSelector(selectActiveRoom);
    const send = useSend();
    const here = people.filter((person) => person.state !== 'offline');
    const away = people.filter((person) => person.state === 'offline');
    const groups = [
        { name: 'Here', people: here.slice(0, MOST_SHOWN), count: here.length },
        { name: 'Offline', people: away.slice(0, MOST_SHOWN), count: away.length },
    ];
    return (
        <>
            <div className="people-shade" onClick={() => send(peopleToggled(false))} />
            <aside className="people" aria-label="People in this room">
                <header className="people-header">
                    <h2>People</h2>
                    {room && room.id !== 'lobby' && (
                        <button
                            type="button"
                            className="icon-button"
                            aria-label="Invite somebody"
                            title="Invite somebody"
                            onClick={() => send(dialogOpened('invite'))}
                        >
                            <Icon name="invite" />
                        </button>
                    )}
                    <button
                        type="button"
                        className="icon-button people-close"
                        aria-label="Close"
                        onClick={() => send(peopleToggled(false))}
                    >
                        <Icon name="close" />
                    </button>
                </header>
                <div className="people-scroll">
                    {groups.map(
                        (group) =>
                            group.count > 0 && (
                                <section key={group.name}>
                                    <h3>
                                        {group.name} <span>{group.count}</span>
                                    </h3>
                                    <ul>
                                        {group.people.map((person) => (
                                            <PersonRow key={person.id} person={person} />
                                        ))}
                                    </ul>
                                </section>
                            ),
                    )}
                </div>
            </aside>
        </>
    );
}
