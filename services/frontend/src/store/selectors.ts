// SPDX-License-Identifier: MIT
import { createSelector } from '@reduxjs/toolkit';
import type { Member, Presence, PresenceState } from '../protocol/events';
import type { RoomState } from './chatSlice';
import type { RootState } from './state';

const LOBBY = 'lobby';

/** The lobby first, the rest by name. */
export const selectRooms = createSelector(
    (state: RootState) => state.chat.rooms,
    (rooms): RoomState[] =>
        Object.values(rooms).sort((a, b) => {
            if (a.id === LOBBY || b.id === LOBBY) return a.id === LOBBY ? -1 : 1;
            return a.name.localeCompare(b.name);
        }),
);

export const selectActiveRoom = (state: RootState): RoomState | null =>
    (state.chat.activeRoom && state.chat.rooms[state.chat.activeRoom]) || null;

export const selectTotalUnread = createSelector(
    (state: RootState) => state.chat.rooms,
    (rooms): number => Object.values(rooms).reduce((sum, room) => sum + room.unread, 0),
);

export interface Person {
    id: string;
    name: string;
    state: PresenceState;
    isOwner: boolean;
    isMe: boolean;
}

const order: Record<PresenceState, number> = { online: 0, dnd: 1, away: 2, offline: 3 };

/** Whoever is online is in the lobby; its list of members may have arrived before they did. */
function everybody(presence: Record<string, Presence>): Record<string, Member> {
    const members: Record<string, Member> = {};
    for (const { id, name } of Object.values(presence)) members[id] = { id, name, role: 'member' };
    return members;
}

/** People of the open room, those here first. */
export const selectPeople = createSelector(
    [
        (state: RootState) => selectActiveRoom(state)?.members ?? null,
        (state: RootState) => state.chat.presence,
        (state: RootState) => state.chat.me,
        (state: RootState) => state.chat.ownState,
        (state: RootState) => state.chat.activeRoom === LOBBY,
    ],
    (members, presence, me, ownState, isLobby): Person[] =>
        Object.values({ ...(isLobby ? everybody(presence) : {}), ...members })
            .map((member) => ({
                id: member.id,
                name: member.name,
                state:
                    member.id === me?.id ? ownState : (presence[member.id]?.state ?? 'offline'),
                isOwner: member.role === 'owner',
                isMe: member.id === me?.id,
            }))
            .sort((a, b) => order[a.state] - order[b.state] || a.name.localeCompare(b.name)),
);

export const selectTypists = createSelector(
    (state: RootState) => selectActiveRoom(state)?.typing ?? null,
    (typing): string[] => Object.values(typing ?? {}).map(({ name }) => name),
);
