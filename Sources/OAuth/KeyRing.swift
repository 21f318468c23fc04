// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
package import JWT
internal import Locks
package import Timing

/// A key id and when it takes over. The secret is not stored: it is derived from the master key.
package struct SigningKeyRecord: Hashable, Sendable {
    package let kid: String
    package let createdAt: Timestamp
    /// From here on it signs, and its predecessor only verifies.
    package let activatesAt: Timestamp

    package init(kid: String, createdAt: Timestamp, activatesAt: Timestamp) {
        self.kid = kid
        self.createdAt = createdAt
        self.activatesAt = activatesAt
    }
}

/// Where a key stands. A function of the clock alone, so there is no step that could be forgotten:
///
/// ```
/// created ──► next ──(activatesAt)──► active ──(the next one activates)──► retiring ──(+ lifetime)──► gone
/// ```
package enum SigningKeyState: String, Sendable {
    /// Known to verifiers, not yet used: with symmetric keys nobody can fetch one on first sight.
    case next
    case active
    /// Signs no more; its tokens run out.
    case retiring
}

/// The keys of all audiences: HKDF(master, audience ‖ kid). A service that knows its own keys can mint
/// tokens for itself only, and the master key never leaves this process.
package final class KeyRing: Sendable {
    /// How long a new key is handed out before it signs: verifiers hear of it within seconds by the log,
    /// and within a minute of a restart at worst.
    package static let distribution: Duration = .seconds(300)
    /// After how long a key is replaced.
    package static let maxAge: Duration = .seconds(30 * 86_400)
    /// How long a replaced key verifies on: longer than any access token lives.
    private let retirement: Duration

    private struct State {
        var records: [SigningKeyRecord] = []
        /// By audience and kid.
        var signers: [String: AccessTokenSigner] = [:]
        var verifiers: [Audience: (kids: [String], verifier: AccessTokenVerifier)] = [:]
    }

    /// The issuer in all tokens.
    package let issuer: String
    private let master: [UInt8]
    private let state: Locked<State>

    /// - Parameters:
    ///   - master: 32 bytes or more; a shorter one is refused where it is loaded and traps here.
    ///   - longestToken: the longest life of an access token.
    package init(master: [UInt8], issuer: String, longestToken: Duration) {
        precondition(master.count >= 32)
        self.master = master
        self.issuer = issuer
        retirement = longestToken + AccessTokenVerifier.maxLeeway
        state = Locked(State())
    }

    /// Takes the keys as the store has them.
    package func load(_ records: [SigningKeyRecord]) {
        state.withLock { state in
            state.records = records.sorted { $0.activatesAt < $1.activatesAt }
            state.verifiers = [:]
        }
    }

    /// A record for a new key that takes over after the time of distribution, or at once when it is the
    /// first.
    package func successor(now: Timestamp) -> SigningKeyRecord {
        let isFirst = state.withLock { $0.records.isEmpty }
        return SigningKeyRecord(
            kid: "k" + SecureRandom.token(bytes: 6), createdAt: now,
            activatesAt: isFirst ? now : now + KeyRing.distribution)
    }

    /// Whether the newest key is old enough to be replaced.
    package func isRotationDue(now: Timestamp) -> Bool {
        state.withLock { state in
            state.records.last.map { $0.activatesAt + KeyRing.maxAge <= now } ?? true
        }
    }

    /// The keys of one audience that verifiers should know now, with their states.
    package func keys(
        for audience: Audience, now: Timestamp
    ) -> [(key: SigningKey, state: SigningKeyState)] {
        state.withLock { live($0.records, now: now) }.map { record, state in
            (key(record.kid, audience), state)
        }
    }

    /// The signer of the active key.
    /// - Returns: nil when no key is active: the ring was not loaded.
    package func signer(for audience: Audience, now: Timestamp) -> AccessTokenSigner? {
        state.withLock { state in
            guard let record = state.records.last(where: { $0.activatesAt <= now }) else {
                return nil
            }
            let name = "\(audience.rawValue) \(record.kid)"
            if let signer = state.signers[name] { return signer }
            let signer = AccessTokenSigner(key: key(record.kid, audience))
            state.signers[name] = signer
            return signer
        }
    }

    /// The verifier of one audience's tokens.
    package func verifier(for audience: Audience, now: Timestamp) -> AccessTokenVerifier? {
        state.withLock { state in
            let kids = live(state.records, now: now).map(\.0.kid)
            if let known = state.verifiers[audience], known.kids == kids { return known.verifier }
            let verifier = try? AccessTokenVerifier(
                issuer: issuer, audience: audience.rawValue, keys: kids.map { key($0, audience) })
            if let verifier { state.verifiers[audience] = (kids, verifier) }
            return verifier
        }
    }

    /// A secret for a purpose of this server's own: refresh tokens, form tokens.
    package func secret(for purpose: String) -> [UInt8] {
        HKDF.derive(
            from: master, salt: KeyRing.salt, info: Array("purpose\0\(purpose)".utf8), count: 32)
    }

    private static let salt = Array("chat authorization server v1".utf8)

    private func live(
        _ records: [SigningKeyRecord], now: Timestamp
    ) -> [(SigningKeyRecord, SigningKeyState)] {
        let active = records.lastIndex { $0.activatesAt <= now } ?? 0
        return records.enumerated().compactMap { index, record in
            if index > active { return (record, .next) }
            if index == active { return (record, .active) }
            return records[index + 1].activatesAt + retirement > now ? (record, .retiring) : nil
        }
    }

    private func key(_ kid: String, _ audience: Audience) -> SigningKey {
        let secret = HKDF.derive(
            from: master, salt: KeyRing.salt,
            info: Array("access token\0\(audience.rawValue)\0\(kid)".utf8), count: 32)
        guard let key = try? SigningKey(kid: kid, secret: secret) else {
            fatalError("a key id in the store is ill-formed")
        }
        return key
    }
}
