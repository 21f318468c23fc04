// SPDX-License-Identifier: MIT
/**
 * OAuth 2.0 for a browser: authorization code with PKCE (RFC 7636), issuer check (RFC 9207),
 * rotating refresh tokens (RFC 9700 §4.14.2), revocation (RFC 7009).
 *
 * Where secrets live, and why:
 * - The access token only in memory.
 * - The refresh token in memory too. Only while the page goes away (`pagehide`) is it put into
 *   sessionStorage, and taken out again when the page is back. So a reload keeps the session, yet
 *   a duplicated tab, which gets a copy of sessionStorage, never holds the same refresh token:
 *   two tabs spending one rotating token look like theft to the server, which then ends both.
 * - State and code verifier in sessionStorage, for the seconds of the redirect.
 */
import { randomToken, sha256Base64URL } from './random';

export interface ClientConfig {
    issuer: string;
    clientId: string;
}

interface Metadata {
    issuer: string;
    authorization_endpoint: string;
    token_endpoint: string;
    revocation_endpoint?: string;
    end_session_endpoint?: string;
}

export interface Tokens {
    accessToken: string;
    refreshToken: string | null;
    /** Milliseconds since the epoch, by this machine's clock. */
    expiresAt: number;
}

export class OAuthError extends Error {
    constructor(
        readonly code: string,
        message: string,
        /** The server was not reached or could not answer: worth trying again. */
        readonly isTemporary: boolean,
    ) {
        super(message);
    }
}

const PENDING = 'chat.signin';
const REFRESH = 'chat.refresh';
const SCOPE = 'chat';
const TIMEOUT_MS = 15_000;

interface PendingSignIn {
    state: string;
    verifier: string;
    returnTo: string;
}

async function request(url: string, init?: RequestInit): Promise<Response> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
    try {
        return await fetch(url, { ...init, signal: abort.signal, cache: 'no-store' });
    } catch {
        throw new OAuthError('unreachable', 'The sign-in service cannot be reached.', true);
    } finally {
        clearTimeout(timer);
    }
}

async function json(response: Response): Promise<Record<string, unknown>> {
    try {
        return (await response.json()) as Record<string, unknown>;
    } catch {
        throw new OAuthError('bad_answer', 'The sign-in service gave an answer we cannot read.', true);
    }
}

function text(value: unknown): string | null {
    return typeof value === 'string' && value !== '' ? value : null;
}

export async function loadConfig(): Promise<ClientConfig> {
    const response = await request('/config.json');
    if (!response.ok) throw new OAuthError('config', 'The server is not ready yet.', true);
    const body = await json(response);
    const issuer = text(body['issuer']);
    const clientId = text(body['clientId']);
    if (!issuer || !clientId) throw new OAuthError('config', 'The server is not set up yet.', false);
    return { issuer, clientId };
}

export class OAuthClient {
    private metadata: Promise<Metadata> | null = null;
    private refreshing: Promise<Tokens> | null = null;
    private refreshToken: string | null = null;

    constructor(private readonly config: ClientConfig) {
        this.takeRefreshToken();
        window.addEventListener('pagehide', () => {
            if (this.refreshToken) sessionStorage.setItem(REFRESH, this.refreshToken);
        });
        // Back from the back/forward cache: this page object goes on, so the copy must go.
        window.addEventListener('pageshow', () => this.takeRefreshToken());
    }

    get canRefresh(): boolean {
        return this.refreshToken !== null;
    }

    private takeRefreshToken(): void {
        this.refreshToken = sessionStorage.getItem(REFRESH) ?? this.refreshToken;
        sessionStorage.removeItem(REFRESH);
    }

    private get redirectURI(): string {
        return `${location.origin}/callback`;
    }

    private discover(): Promise<Metadata> {
        this.metadata ??= this.fetchMetadata().catch((error: unknown) => {
            this.metadata = null;
            throw error;
        });
        return this.metadata;
    }

    private async fetchMetadata(): Promise<Metadata> {
        const base = this.config.issuer.replace(/\/$/, '');
        const response = await request(`${base}/.well-known/oauth-authorization-server`);
        if (!response.ok) {
            throw new OAuthError('metadata', 'The sign-in service is not ready yet.', true);
        }
        const body = await json(response);
        const authorize = text(body['authorization_endpoint']);
        const token = text(body['token_endpoint']);
        const revoke = text(body['revocation_endpoint']);
        const end = text(body['end_session_endpoint']);
        // RFC 8414 §3.3: another issuer's metadata must not be used.
        if (body['issuer'] !== this.config.issuer || !authorize || !token) {
            throw new OAuthError('metadata', 'The sign-in service is not the one we expect.', false);
        }
        return {
            issuer: this.config.issuer,
            authorization_endpoint: authorize,
            token_endpoint: token,
            ...(revoke ? { revocation_endpoint: revoke } : {}),
            ...(end ? { end_session_endpoint: end } : {}),
        };
    }

    /** Leaves for the sign-in page; the answer comes back to /callback. */
    async beginSignIn(): Promise<void> {
        const metadata = await this.discover();
        const pending: PendingSignIn = {
            state: randomToken(),
            verifier: randomToken(),
            returnTo: location.pathname === '/callback' ? '/' : location.pathname + location.hash,
        };
        sessionStorage.setItem(PENDING, JSON.stringify(pending));
        const url = new URL(metadata.authorization_endpoint);
        url.search = new URLSearchParams({
            response_type: 'code',
            client_id: this.config.clientId,
            redirect_uri: this.redirectURI,
            scope: SCOPE,
            state: pending.state,
            code_challenge: await sha256Base64URL(pending.verifier),
            code_challenge_method: 'S256',
        }).toString();
        location.assign(url.toString());
    }

    /** Redeems the answer at /callback and puts the address bar back to where the person was. */
    async completeSignIn(): Promise<Tokens> {
        const answer = new URLSearchParams(location.search);
        const stored = sessionStorage.getItem(PENDING);
        sessionStorage.removeItem(PENDING);
        const pending = stored ? (JSON.parse(stored) as PendingSignIn) : null;
        history.replaceState(null, '', pending?.returnTo ?? '/');

        const code = answer.get('code');
        const issuer = answer.get('iss');
        if (!pending || answer.get('state') !== pending.state) {
            throw new OAuthError('state', 'That sign-in was not started here. Please try again.', false);
        }
        if (issuer !== null && issuer !== this.config.issuer) {
            throw new OAuthError('issuer', 'That answer came from another sign-in service.', false);
        }
        if (!code) {
            const denied = answer.get('error') === 'access_denied';
            throw new OAuthError(
                answer.get('error') ?? 'no_code',
                denied ? 'You did not allow access.' : 'Signing in did not work. Please try again.',
                false,
            );
        }
        return this.token({
            grant_type: 'authorization_code',
            code,
            redirect_uri: this.redirectURI,
            code_verifier: pending.verifier,
        });
    }

    /** Everyone who asks while a refresh is under way gets that one's answer. */
    refresh(): Promise<Tokens> {
        this.refreshing ??= this.spendRefreshToken().finally(() => {
            this.refreshing = null;
        });
        return this.refreshing;
    }

    private async spendRefreshToken(): Promise<Tokens> {
        if (!this.refreshToken) {
            throw new OAuthError('signed_out', 'Please sign in again.', false);
        }
        try {
            return await this.token({
                grant_type: 'refresh_token',
                refresh_token: this.refreshToken,
            });
        } catch (error) {
            if (error instanceof OAuthError && !error.isTemporary) this.refreshToken = null;
            throw error;
        }
    }

    private async token(parameters: Record<string, string>): Promise<Tokens> {
        const metadata = await this.discover();
        const response = await request(metadata.token_endpoint, {
            method: 'POST',
            body: new URLSearchParams({ ...parameters, client_id: this.config.clientId }),
        });
        const body = await json(response);
        if (!response.ok) {
            const temporary = response.status >= 500 || response.status === 429;
            throw new OAuthError(
                text(body['error']) ?? String(response.status),
                temporary ? 'The sign-in service is busy.' : 'Your session has ended. Please sign in again.',
                temporary,
            );
        }
        const accessToken = text(body['access_token']);
        if (!accessToken) throw new OAuthError('bad_answer', 'The sign-in service gave no token.', true);
        const lifetime = typeof body['expires_in'] === 'number' ? body['expires_in'] : 600;
        this.refreshToken = text(body['refresh_token']) ?? this.refreshToken;
        return {
            accessToken,
            refreshToken: this.refreshToken,
            expiresAt: Date.now() + lifetime * 1000,
        };
    }

    /**
     * Ends the session on the server as far as it can be reached, and here in any case. The browser
     * is still signed in at the issuer then: the answer is the page where that ends, if it has one.
     */
    async signOut(accessToken: string | null): Promise<string | null> {
        const token = this.refreshToken ?? accessToken;
        this.refreshToken = null;
        sessionStorage.removeItem(REFRESH);
        try {
            const { revocation_endpoint, end_session_endpoint } = await this.discover();
            if (token && revocation_endpoint) {
                await request(revocation_endpoint, {
                    method: 'POST',
                    body: new URLSearchParams({ token, client_id: this.config.clientId }),
                });
            }
            if (!end_session_endpoint) return null;
            const url = new URL(end_session_endpoint);
            url.searchParams.set('post_logout_redirect_uri', `${location.origin}/`);
            return url.toString();
        } catch {
            // Nothing to tell: here the session is over, there the token runs out by itself.
            return null;
        }
    }
}
