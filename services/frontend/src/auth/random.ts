// SPDX-License-Identifier: MIT
import { sha256 } from './sha256';

function base64URL(bytes: Uint8Array): string {
    let binary = '';
    for (const byte of bytes) binary += String.fromCharCode(byte);
    return btoa(binary).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

/** 256 random bits in 43 characters: right for `state` and for a code verifier (RFC 7636 §4.1). */
export function randomToken(): string {
    return base64URL(crypto.getRandomValues(new Uint8Array(32)));
}

export async function sha256Base64URL(text: string): Promise<string> {
    const bytes = new TextEncoder().encode(text);
    // Browsers offer `subtle` on https and on loopback only; a chat on a home network's plain http
    // address must be able to sign in as well.
    if (crypto.subtle) return base64URL(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
    return base64URL(sha256(bytes));
}
