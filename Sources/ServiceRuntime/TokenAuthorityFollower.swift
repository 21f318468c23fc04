// SPDX-License-Identifier: MIT
internal import Bytes
internal import Glibc
internal import HTTPServer
internal import JSON
internal import JWT
internal import Logging
internal import Locks
internal import Synchronization
internal import Timing

/// A cached token of ours for another service.
struct ServiceToken: Sendable {
    let text: String
    /// Fetched anew from here on: a minute before it expires.
    let renewAt: Timestamp
}

struct ServiceTokenKey: Hashable, Sendable {
    let audience: String
    let scope: String
}

extension TokenAuthority {
    /// A token of this service for another (client credentials, RFC 6749 §4.4): from the cache, or
    /// fetched on the calling thread. Blocks for up to 5 s: never call it on an event loop.
    /// - Parameters:
    ///   - audience: the service that will be called.
    ///   - scope: what for, space-separated: `internal:log`, `internal:alert`.
    package func serviceToken(
        audience: String, scope: String
    ) throws(TokenAuthorityError) -> String {
        guard let link else { throw .noService }
        let key = ServiceTokenKey(audience: audience, scope: scope)
        let now = now()
        if let token = serviceTokens.withLock({ $0[key] }), now < token.renewAt {
            return token.text
        }
        let answer = try link.json(
            .init(
                method: "POST", target: "/oauth/token",
                form: [
                    ("grant_type", "client_credentials"), ("audience", audience),
                    ("scope", scope),
                ]))
        guard let text = answer["access_token"]?.string, let life = answer["expires_in"]?.int,
            life > 0, life < 1 << 31
        else { throw .malformed }
        let renewAt = now + .seconds(max(life - 60, life / 2))
        serviceTokens.withLock { $0[key] = ServiceToken(text: text, renewAt: renewAt) }
        return text
    }

    /// Forgets a token that the other service refused, so that the next call fetches a fresh one.
    package func dropServiceToken(audience: String, scope: String) {
        serviceTokens.withLock {
            $0[ServiceTokenKey(audience: audience, scope: scope)] = nil
        }
    }

    /// The follower's thread: keys, then the log, for ever. Failures back off from 100 ms to 5 s.
    func follow() {
        var failures = 0
        var hasKeys = false
        while !isStopping.load(ordering: .relaxed) {
            do throws(TokenAuthorityError) {
                if !hasKeys || wantsKeys.exchange(false, ordering: .relaxed) {
                    hasKeys = false
                    try fetchKeys()
                    hasKeys = true
                }
                try readLog(wait: state.withLock { $0.hasCaughtUp } ? 10 : 0)
                if failures > 0 {
                    log?.notice("auth service reached", metadata: ["after": "\(failures) failures"])
                }
                failures = 0
            } catch {
                if failures == 0 {
                    log?.warning("auth service not usable", metadata: ["cause": "\(error)"])
                }
                failures += 1
                pause(.milliseconds(100 << min(failures - 1, 6)))
            }
        }
    }

    /// Replaces our keys by those AuthService names for our audience. The first time it also learns
    /// where in the log to begin.
    func fetchKeys() throws(TokenAuthorityError) {
        guard let link, let configuration else { throw .noService }
        let answer = try link.json(
            .init(target: "/internal/keys?audience=\(configuration.audience)"))
        guard let issuer = answer["issuer"]?.string, let list = answer["keys"]?.array else {
            throw .malformed
        }
        guard issuer == configuration.issuer else { throw .issuerMismatch(found: issuer) }
        guard answer["audience"]?.string == configuration.audience else { throw .malformed }
        var keys: [SigningKey] = []
        for item in list {
            guard item["alg"]?.string == "HS256", let kid = item["kid"]?.string,
                let text = item["k"]?.string,
                let secret = Base64.decode(Array(text.utf8), alphabet: .url),
                let key = try? SigningKey(kid: kid, secret: secret)
            else { throw .malformed }
            keys.append(key)
        }
        guard !keys.isEmpty,
            let verifier = try? AccessTokenVerifier(
                issuer: issuer, audience: configuration.audience, keys: keys)
        else { throw .malformed }
        let start = answer["log"]?["after"]?.int ?? 0
        let clock = clock()
        state.withLock { state in
            if state.verifier == nil { state.watermark = start }
            state.verifier = verifier
            state.keysFetched = clock
        }
    }

    /// Reads one page of the log from our watermark and applies it.
    /// - Parameter wait: seconds that AuthService may hold the answer back for something to say.
    func readLog(wait: Int) throws(TokenAuthorityError) {
        guard let link else { throw .noService }
        let token = try serviceToken(audience: "auth", scope: "internal:log")
        let after = state.withLock { $0.watermark }
        var call = TokenAuthorityLink.Call(
            target: "/internal/log?after=\(after)&limit=1000&wait=\(wait)", bearer: token)
        call.timeout = .seconds(wait + 5)
        call.isCancelled = { [self] in
            isStopping.load(ordering: .relaxed) || wantsKeys.load(ordering: .relaxed)
        }
        let answer: JSONValue
        do throws(TokenAuthorityError) {
            answer = try link.json(call)
        } catch {
            if case .refused(401) = error {
                dropServiceToken(audience: "auth", scope: "internal:log")
            }
            // Given up to fetch keys: no failure.
            if wantsKeys.load(ordering: .relaxed), case .unreachable = error { return }
            throw error
        }
        guard let head = answer["head"]?.int, let list = answer["entries"]?.array else {
            throw .malformed
        }
        // The log is shorter than what we have read of it: the store behind it was replaced.
        if head < after {
            wantsKeys.store(true, ordering: .relaxed)
            state.withLock { state in
                state.verifier = nil
                state.hasCaughtUp = false
            }
            return
        }
        try apply(list, head: head)
    }

    private func apply(_ list: [JSONValue], head: Int64) throws(TokenAuthorityError) {
        var entries: [AuthLogEntry] = []
        for item in list {
            guard let entry = AuthLogEntry(item) else { throw .malformed }
            entries.append(entry)
        }
        let clock = clock()
        let now = now()
        let fresh = state.withLock { state in
            let fresh = entries.filter { $0.seq > state.watermark }
            for entry in fresh {
                if let revocation = entry.revocation {
                    state.revocations.add(revocation, until: entry.expiry)
                }
            }
            state.revocations.prune(now: now)
            state.watermark = max(state.watermark, entries.last?.seq ?? 0)
            if state.watermark >= head || entries.isEmpty { state.hasCaughtUp = true }
            state.lastHeard = clock
            return fresh
        }
        if fresh.contains(where: \.isKeyChange) { wantsKeys.store(true, ordering: .relaxed) }
        let handlers = handlers.withLock { $0 }
        for revocation in fresh.compactMap(\.revocation) {
            for handler in handlers { handler(revocation) }
        }
    }

    /// Sleeps, but wakes within 50 ms when `stop` is called.
    private func pause(_ duration: Duration) {
        let end = SystemClock.now() + duration
        while !isStopping.load(ordering: .relaxed), SystemClock.now() < end { usleep(50_000) }
    }
}
