// SPDX-License-Identifier: MIT
import { hueOf, initialsOf } from '../lib/text';
import type { PresenceState } from '../protocol/events';

export const presenceWords: Record<PresenceState, string> = {
    online: 'Online',
    away: 'Away',
    dnd: 'Do not disturb',
    offline: 'Offline',
};

interface Props {
    name: string;
    size?: 'small' | 'medium' | 'large';
    state?: PresenceState;
}

export function Avatar({ name, size = 'medium', state }: Props) {
    return (
        <span className={`avatar avatar-${size} hue-${hueOf(name)}`} aria-hidden="true">
            {initialsOf(name)}
            {state && <span className={`presence presence-${state}`} />}
        </span>
    );
}
