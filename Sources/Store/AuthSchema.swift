// SPDX-License-Identifier: MIT

/// The schema of `auth.db`. Times are milliseconds since the epoch; lists are JSON-free text, one item a
/// line; secrets are stored as SHA-256 only. A released step is never edited: changes are new steps.
enum AuthSchema {
    static let steps = [
        """
        CREATE TABLE account (
            id TEXT PRIMARY KEY, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE,
            password_hash TEXT, roles TEXT NOT NULL, created_at INTEGER NOT NULL,
            disabled_at INTEGER
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE client (
            id TEXT PRIMARY KEY, name TEXT NOT NULL, secret_hash BLOB, redirect_uris TEXT NOT NULL,
            grant_types TEXT NOT NULL, scopes TEXT NOT NULL, is_first_party INTEGER NOT NULL,
            is_native INTEGER NOT NULL, audience TEXT
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE login (
            hash BLOB PRIMARY KEY, account TEXT NOT NULL, created_at INTEGER NOT NULL,
            last_seen_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, ended_at INTEGER
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE code (
            hash BLOB PRIMARY KEY, client TEXT NOT NULL, account TEXT NOT NULL,
            redirect_uri TEXT NOT NULL, challenge TEXT, scope TEXT NOT NULL, login BLOB,
            user_agent TEXT NOT NULL, address TEXT NOT NULL, expires_at INTEGER NOT NULL,
            session TEXT, failures INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE session (
            id TEXT PRIMARY KEY, account TEXT NOT NULL, client TEXT NOT NULL, scope TEXT NOT NULL,
            created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, login BLOB,
            user_agent TEXT NOT NULL, address TEXT NOT NULL, last_seen_at INTEGER NOT NULL,
            last_token_expiry INTEGER NOT NULL, revoked_at INTEGER
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX session_by_account ON session (account) WHERE revoked_at IS NULL;
        CREATE INDEX session_by_login ON session (login) WHERE login IS NOT NULL;
        CREATE TABLE refresh_token (
            hash BLOB PRIMARY KEY, session TEXT NOT NULL, expires_at INTEGER NOT NULL,
            used_at INTEGER
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX refresh_token_by_session ON refresh_token (session);
        CREATE TABLE revoked_token (
            id TEXT PRIMARY KEY, expires_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE signing_key (
            kid TEXT PRIMARY KEY, created_at INTEGER NOT NULL, activates_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE log (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, type TEXT NOT NULL,
            subject TEXT, session TEXT, token TEXT, expires_at INTEGER, data TEXT NOT NULL,
            is_revocation INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX log_revocations ON log (expires_at) WHERE is_revocation;
        """
    ]
}
