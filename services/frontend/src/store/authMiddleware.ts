// SPDX-License-Identifier: MIT
import type { Middleware } from '@reduxjs/toolkit';
import { loadConfig, OAuthClient, OAuthError, type Tokens } from '../auth/oauth';
import {
    refreshNeeded,
    signedIn,
    signedOut,
    signInRequested,
    signOutRequested,
    started,
    tokenRefreshed,
    unavailable,
} from './authSlice';
import type { RootState } from './state';

/** Holds the access token outside the state, where the socket can read the newest one. */
export class Session {
    accessToken: string | null = null;
}

/** Ahead of the server's own warning, which comes 60 s before the end. */
const REFRESH_AHEAD_MS = 90_000;
const RETRY_MS = [1_000, 2_000, 5_000, 10_000, 30_000];

function explain(error: unknown): { message: string; isTemporary: boolean } {
    if (error instanceof OAuthError) return error;
    return { message: 'Something went wrong while signing in.', isTemporary: false };
}

/** Performs what authSlice's states ask for; all of it happens outside of rendering. */
export function createAuthMiddleware(session: Session): Middleware<object, RootState> {
    return (api) => {
        let client: OAuthClient | null = null;
        let timer: ReturnType<typeof setTimeout> | undefined;
        let failures = 0;

        function later(work: () => Promise<void>): void {
            clearTimeout(timer);
            timer = setTimeout(
                () => void work(),
                RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)],
            );
        }

        function adopt(tokens: Tokens): void {
            failures = 0;
            session.accessToken = tokens.accessToken;
            const isFirst = api.getState().auth.status !== 'signedIn';
            const action = isFirst ? signedIn : tokenRefreshed;
            api.dispatch(action({ expiresAt: tokens.expiresAt }));
            clearTimeout(timer);
            if (!client?.canRefresh) return;
            const wait = Math.max(5_000, tokens.expiresAt - Date.now() - REFRESH_AHEAD_MS);
            timer = setTimeout(() => void refresh(), wait);
        }

        function end(message: string | null, isLeaving = false): void {
            clearTimeout(timer);
            session.accessToken = null;
            api.dispatch(signedOut({ message, isLeaving }));
        }

        async function start(): Promise<void> {
            try {
                client ??= new OAuthClient(await loadConfig());
                if (location.pathname === '/callback' && location.search !== '') {
                    adopt(await client.completeSignIn());
                } else if (client.canRefresh) {
                    adopt(await client.refresh());
                } else {
                    end(null);
                }
            } catch (error) {
                const { message, isTemporary } = explain(error);
                if (!isTemporary) return end(message);
                api.dispatch(unavailable({ message }));
                later(start);
            }
        }

        async function refresh(): Promise<void> {
            if (!client) return;
            try {
                adopt(await client.refresh());
            } catch (error) {
                const { message, isTemporary } = explain(error);
                if (isTemporary) later(refresh);
                else end(message);
            }
        }

        async function signIn(): Promise<void> {
            try {
                client ??= new OAuthClient(await loadConfig());
                await client.beginSignIn();
            } catch (error) {
                end(explain(error).message);
            }
        }

        async function signOut(message: string): Promise<void> {
            const token = session.accessToken;
            end('Signing you out …', true);
            const page = await client?.signOut(token);
            if (page) location.assign(page);
            else end(message);
        }

        return (next) => (action) => {
            const result = next(action);
            if (started.match(action)) void start();
            else if (signInRequested.match(action)) void signIn();
            else if (refreshNeeded.match(action)) void refresh();
            else if (signOutRequested.match(action)) {
                void signOut(action.payload.message);
            }
            return result;
        };
    };
}
