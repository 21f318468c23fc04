// SPDX-License-Identifier: MIT
/** The open room lives in the fragment, so that back, reload and bookmarks do what people expect. */
import type { RoomID } from '../protocol/events';

export function roomLink(id: RoomID): string {
    return `#/room/${encodeURIComponent(id)}`;
}

export const HOME = '#/';

export function roomInAddress(): RoomID | null {
    const found = /^#\/room\/(.+)$/.exec(location.hash);
    if (!found?.[1]) return null;
    try {
        return decodeURIComponent(found[1]);
    } catch {
        return null;
    }
}
