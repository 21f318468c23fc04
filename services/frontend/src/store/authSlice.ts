// SPDX-License-Identifier: MIT
import { createSlice, type PayloadAction } from '@reduxjs/toolkit';

/**
 * ```
 *              ┌──────────── retry ───────────┐
 * starting ──► unavailable ───────────────────┘
 *    │ └─────► signedOut ──► leaving ──► (the sign-in page, then starting again at /callback)
 *    └───────► signedIn ───► signedOut, or leaving ──► (the page that signs the browser out)
 * ```
 * Tokens are not part of the state: they would show up in developer tools and in error reports.
 */
export interface AuthState {
    status: 'starting' | 'unavailable' | 'signedOut' | 'leaving' | 'signedIn';
    /** Why the person is where they are, in words; null when there is nothing to explain. */
    message: string | null;
    /** Milliseconds since the epoch. */
    expiresAt: number | null;
}

const initialState: AuthState = { status: 'starting', message: null, expiresAt: null };

const slice = createSlice({
    name: 'auth',
    initialState,
    reducers: {
        /** The page has loaded, or somebody asked to try again. */
        started: (state: AuthState) => {
            if (state.status !== 'unavailable') state.status = 'starting';
        },
        unavailable: (state: AuthState, action: PayloadAction<{ message: string }>) => {
            state.status = 'unavailable';
            state.message = action.payload.message;
        },
        signInRequested: (state: AuthState) => {
            state.status = 'leaving';
            state.message = null;
        },
        signedIn: (state: AuthState, action: PayloadAction<{ expiresAt: number }>) => {
            state.status = 'signedIn';
            state.message = null;
            state.expiresAt = action.payload.expiresAt;
        },
        /** Somebody noticed that the access token is no longer good, or soon will not be. */
        refreshNeeded: (state: AuthState) => state,
        tokenRefreshed: (state: AuthState, action: PayloadAction<{ expiresAt: number }>) => {
            state.expiresAt = action.payload.expiresAt;
        },
        /** `message` tells why, in words, on the page that follows. */
        signOutRequested: (state: AuthState, _action: PayloadAction<{ message: string }>) => state,
        /** `isLeaving`: another page will follow, where signing out is completed. */
        signedOut: (
            state: AuthState,
            action: PayloadAction<{ message: string | null; isLeaving?: boolean }>,
        ) => {
            state.status = action.payload.isLeaving ? 'leaving' : 'signedOut';
            state.message = action.payload.message;
            state.expiresAt = null;
        },
    },
});

export const authReducer = slice.reducer;
export const {
    started,
    unavailable,
    signInRequested,
    signedIn,
    refreshNeeded,
    tokenRefreshed,
    signOutRequested,
    signedOut,
} = slice.actions;
