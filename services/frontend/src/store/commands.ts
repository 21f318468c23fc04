// SPDX-License-Identifier: MIT
/** What people ask for. Reducers do not handle these: the socket middleware does. */
import { createAction } from '@reduxjs/toolkit';
import type { RoomID, Visibility } from '../protocol/events';

export const joinRequested = createAction<{ room: string }>('command/join');
export const createRequested = createAction<{
    name: string;
    topic: string;
    visibility: Visibility;
}>('command/create');
export const leaveRequested = createAction<{ room: RoomID }>('command/leave');
export const inviteRequested = createAction<{ room: RoomID; user: string }>('command/invite');
export const olderRequested = createAction<{ room: RoomID }>('command/older');
export const typed = createAction<{ room: RoomID; on: boolean }>('command/typed');
export const snapshotWanted = createAction<{ room: RoomID }>('command/snapshot');
export const reconnectRequested = createAction('command/reconnect');
