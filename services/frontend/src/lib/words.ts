// SPDX-License-Identifier: MIT
import type { Refusal } from '../protocol/events';

const words: Record<string, string> = {
    bad_request: 'That does not look right. Check it and try again.',
    not_found: 'There is no such room or person.',
    forbidden: 'You are not allowed to do that here.',
    not_member: 'Join the room first.',
    too_large: 'That message is too long.',
    rate_limited: 'That was a little fast. Wait a moment and try again.',
    busy: 'The server has its hands full. Try again in a moment.',
    storage_unavailable: 'The server cannot save anything right now. Try again in a moment.',
    conflict: 'That name is already taken.',
    limit_reached: 'You have reached the limit for this.',
    unknown_event: 'The server is older than this page. Reload it and try again.',
    timeout: 'The server did not answer in time.',
    offline: 'You are offline. This needs a connection.',
};

/** A refusal in words for people: ours where we know the code, the server's own otherwise. */
export function inWords(refusal: Refusal): string {
    return words[refusal.code] ?? (refusal.message || 'Something went wrong. Try again.');
}
