// SPDX-License-Identifier: MIT
/**
 * What is half written in each room, and what it answers. Kept out of the store: it changes with
 * every key and only one composer ever shows it.
 */
import { useSyncExternalStore } from 'react';
import type { RoomID } from '../protocol/events';

export interface Reply {
    id: string;
    name: string;
    text: string;
}

const texts = new Map<RoomID, string>();
const replies = new Map<RoomID, Reply>();
const listeners = new Set<() => void>();

export function draftOf(room: RoomID): string {
    return texts.get(room) ?? '';
}

export function keepDraft(room: RoomID, text: string): void {
    if (text) texts.set(room, text);
    else texts.delete(room);
}

export function answerTo(room: RoomID, reply: Reply | null): void {
    if (reply) replies.set(room, reply);
    else replies.delete(room);
    listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
}

export function useReply(room: RoomID): Reply | null {
    return useSyncExternalStore(subscribe, () => replies.get(room) ?? null);
}
