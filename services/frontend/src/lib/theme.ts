// SPDX-License-Identifier: MIT
import type { Theme } from '../store/uiSlice';

const KEY = 'chat.theme';

export function storedTheme(): Theme {
    const stored = localStorage.getItem(KEY);
    return stored === 'light' || stored === 'dark' ? stored : 'system';
}

/** `system` leaves the choice to the style sheet's media query. */
export function applyTheme(theme: Theme): void {
    if (theme === 'system') {
        delete document.documentElement.dataset['theme'];
        localStorage.removeItem(KEY);
    } else {
        document.documentElement.dataset['theme'] = theme;
        localStorage.setItem(KEY, theme);
    }
}
