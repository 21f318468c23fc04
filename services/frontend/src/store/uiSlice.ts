// SPDX-License-Identifier: MIT
import { createSlice, type PayloadAction } from '@reduxjs/toolkit';
import type { AlertEvent } from '../protocol/events';
import { signedOut } from './authSlice';

export type Theme = 'system' | 'light' | 'dark';

export interface Toast {
    id: string;
    tone: 'info' | 'warning' | 'critical';
    title: string | null;
    text: string;
    /** Milliseconds since the epoch; null stays until dismissed. */
    until: number | null;
}

/** The one dialog that can be open. */
export type Dialog = 'browse' | 'create' | 'invite' | null;

export interface UIState {
    theme: Theme;
    toasts: Toast[];
    dialog: Dialog;
    /** What the open dialog asked the server for. */
    request: { status: 'idle' | 'busy' | 'failed'; error: string | null };
    peopleOpen: boolean;
}

const initialState: UIState = {
    theme: 'system',
    toasts: [],
    dialog: null,
    request: { status: 'idle', error: null },
    peopleOpen: false,
};

const MOST_TOASTS = 4;

const slice = createSlice({
    name: 'ui',
    initialState,
    reducers: {
        themeChosen: (state: UIState, action: PayloadAction<Theme>) => {
            state.theme = action.payload;
        },
        dialogOpened: (state: UIState, action: PayloadAction<Exclude<Dialog, null>>) => {
            state.dialog = action.payload;
            state.request = { status: 'idle', error: null };
        },
        dialogClosed: (state: UIState) => {
            state.dialog = null;
            state.request = { status: 'idle', error: null };
        },
        requestStarted: (state: UIState) => {
            state.request = { status: 'busy', error: null };
        },
        requestFailed: (state: UIState, action: PayloadAction<string>) => {
            state.request = { status: 'failed', error: action.payload };
        },
        peopleToggled: (state: UIState, action: PayloadAction<boolean>) => {
            state.peopleOpen = action.payload;
        },
        toastShown: (state: UIState, action: PayloadAction<Toast>) => {
            state.toasts = state.toasts
                .filter((toast) => toast.id !== action.payload.id)
                .concat(action.payload)
                .slice(-MOST_TOASTS);
        },
        alertReceived: (
            state: UIState,
            action: PayloadAction<{ alert: AlertEvent; now: number }>,
        ) => {
            const { alert, now } = action.payload;
            const titles = { info: 'Notice', warning: 'Warning', critical: 'Important' };
            state.toasts = state.toasts
                .filter((toast) => toast.id !== alert.id)
                .concat({
                    id: alert.id,
                    tone: alert.severity,
                    title: titles[alert.severity] ?? 'Notice',
                    text: alert.text,
                    until: alert.ttl > 0 ? now + alert.ttl * 1000 : null,
                })
                .slice(-MOST_TOASTS);
        },
        toastDismissed: (state: UIState, action: PayloadAction<string>) => {
            state.toasts = state.toasts.filter((toast) => toast.id !== action.payload);
        },
        toastsExpired: (state: UIState, action: PayloadAction<{ now: number }>) => {
            const isOver = (toast: Toast) =>
                toast.until !== null && toast.until <= action.payload.now;
            if (state.toasts.some(isOver)) {
                state.toasts = state.toasts.filter((toast) => !isOver(toast));
            }
        },
    },
    extraReducers: (builder) => {
        builder.addCase(signedOut, (state) => ({ ...initialState, theme: state.theme }));
    },
});

export const uiReducer = slice.reducer;
export const {
    themeChosen,
    dialogOpened,
    dialogClosed,
    requestStarted,
    requestFailed,
    peopleToggled,
    toastShown,
    alertReceived,
    toastDismissed,
    toastsExpired,
} = slice.actions;
