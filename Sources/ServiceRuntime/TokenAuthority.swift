// SPDX-License-Identifier: MIT
package import JWT
package import Logging
internal import Reactor
internal import Locks
internal import Synchronization
package import Timing

/// Why a caller's token is not taken: the words that clients switch on.
package enum TokenRefusal: String, Error, Sendable, Hashable {
    /// Forged, damaged, or meant for somebody else.
    case invalidToken = "invalid_token"
    /// Genuine but past its `exp`: a fresh one will do.
    case tokenExpired = "token_expired"
    /// Genuine but withdrawn: the session ended, the account was closed, or a theft was noticed.
    case tokenRevoked = "token_revoked"
    /// We cannot say: no keys yet, or nothing was heard of revocations for too long.
    case authUnavailable = "auth_unavailable"

    /// One sentence for people.
    package var message: String {
        switch self {
        case .invalidToken: "The token is not valid here."
        case .tokenExpired: "The token has expired."
        case .tokenRevoked: "The token has been revoked."
        case .authUnavailable: "Tokens cannot be checked at the moment."
        }
    }
}

/// Why AuthService gave no answer that could be used. Carries no secret.
package enum TokenAuthorityError: Error, Hashable, Sendable {
    /// No response; the client's word for the cause.
    case unreachable(String)
    /// A response with this status: 401 and 403 mean that our credential is wrong.
    case refused(status: Int)
    /// A response that is not what the contract says.
    case malformed
    /// AuthService calls itself something else than our configuration does, so no token would ever
    /// match.
    case issuerMismatch(found: String)
    /// Built from fixed keys: there is no AuthService behind it.
    case noService
}

/// What one service knows about tokens: the keys of its own audience, and which tokens, sessions and
/// accounts were withdrawn. It fetches the keys with its service credential, then follows the log of
/// AuthService by long polling, so that a revocation arrives within a moment of its commit and a gap
/// cannot go unnoticed.
///
/// ```
/// start ─► fetch keys ─► read the log from where live tokens could have been revoked ─► caught up
///             ▲                                  │  (ready)                               │
///             └── key.rotated, unknown kid, log replaced ◄── long poll, apply, repeat ◄───┘
/// ```
///
/// It fails closed: before it has caught up, and after `maxStaleness` without a word from AuthService,
/// `verify` answers `authUnavailable`. What was let in before stays in.
///
/// Thread-safe. `verify` takes two short locks and no I/O: event loops may call it.
package final class TokenAuthority: Sendable {
    /// Where AuthService is and who we are to it.
    package struct Configuration: Sendable {
        /// Base URL, service to service, without a slash at its end.
        package var url: String
        /// The issuer that tokens name; often the public URL, so it may differ from `url`.
        package var issuer: String
        /// Whose tokens we take: `chat` or `notification`.
        package var audience: String
        /// Our client id: `chat-service` or `notification-service`.
        package var clientID: String
        /// Our client secret.
        package var secret: String
        /// How long AuthService may be silent before no new token is taken. The long poll returns
        /// every 10 s, so three are missed by then.
        package var maxStaleness: Duration
        /// A PEM file with the authorities that AuthService's certificate is trusted by, in place of
        /// the system's.
        package var authoritiesFile: String?

        package init(
            url: String, issuer: String, audience: String, clientID: String, secret: String,
            maxStaleness: Duration = .seconds(30)
        ) {
            self.url = url
            self.issuer = issuer
            self.audience = audience
            self.clientID = clientID
            self.secret = secret
            self.maxStaleness = maxStaleness
        }
    }

    struct State: Sendable {
        var verifier: AccessTokenVerifier?
        var revocations = RevocationList()
        /// Log position: the last entry applied.
        var watermark: Int64 = 0
        /// Whether the log was read to its head since the keys came.
        var hasCaughtUp = false
        var lastHeard = Instant(nanoseconds: 0)
        var keysFetched = Instant(nanoseconds: 0)
    }

    let state: Locked<State>
    let configuration: Configuration?
    let link: TokenAuthorityLink?
    let log: Logger?
    let now: @Sendable () -> Timestamp
    let clock: @Sendable () -> Instant
    let handlers = Locked<[@Sendable (Revocation) -> Void]>([])
    let serviceTokens = Locked<[ServiceTokenKey: ServiceToken]>([:])
    /// Set when a token names a key we do not have: it may be newer than our list.
    let wantsKeys = Atomic<Bool>(false)
    let isStopping = Atomic<Bool>(false)
    private let thread = Locked<WorkerThread?>(nil)

    /// An authority that follows a running AuthService; nothing happens before `start`.
    package convenience init(_ configuration: Configuration, log: Logger? = nil) {
        self.init(
            configuration, link: .http(configuration), log: log,
            now: { SystemClock.timestamp() }, clock: { SystemClock.now() })
    }

    init(
        _ configuration: Configuration?, link: TokenAuthorityLink?, log: Logger?,
        now: @escaping @Sendable () -> Timestamp, clock: @escaping @Sendable () -> Instant,
        state: State = State()
    ) {
        self.configuration = configuration
        self.link = link
        self.log = log
        self.now = now
        self.clock = clock
        self.state = Locked(state)
    }

    /// An authority that knows these keys for ever and hears of nothing: for tests and tools.
    package convenience init(
        fixed verifier: AccessTokenVerifier,
        now: @escaping @Sendable () -> Timestamp = { SystemClock.timestamp() }
    ) {
        self.init(
            nil, link: nil, log: nil, now: now, clock: { SystemClock.now() },
            state: State(verifier: verifier, hasCaughtUp: true))
    }

    /// Starts the thread that follows AuthService. Returns at once; see `isReady`.
    package func start() {
        guard link != nil else { return }
        thread.withLock { thread in
            guard thread == nil else { return }
            thread = WorkerThread(name: "token-authority") { [self] in follow() }
        }
    }

    /// Ends the thread; a request under way is given up.
    package func stop() {
        isStopping.store(true, ordering: .relaxed)
        let running = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        running?.join()
    }

    /// Whether tokens can be judged now.
    package var isReady: Bool {
        let clock = clock()
        return state.withLock { isUsable($0, clock: clock) }
    }

    /// How long ago AuthService was last heard of; nil before the first time and for fixed keys.
    package var staleness: Duration? {
        guard link != nil else { return nil }
        let clock = clock()
        return state.withLock { $0.hasCaughtUp ? clock - $0.lastHeard : nil }
    }

    /// Judges a token: genuine, for this service, in force, not withdrawn.
    package func verify(_ token: [UInt8]) -> Result<AccessTokenClaims, TokenRefusal> {
        let clock = clock()
        let (known, keysFetched) = state.withLock {
            (isUsable($0, clock: clock) ? $0.verifier : nil, $0.keysFetched)
        }
        guard let verifier = known else { return .failure(.authUnavailable) }
        do throws(TokenError) {
            let claims = try verifier.verify(token, now: now())
            let isRevoked = state.withLock { $0.revocations.covers(claims) }
            return isRevoked ? .failure(.tokenRevoked) : .success(claims)
        } catch {
            // Whoever sends made-up key ids may cause one fetch in five seconds, no more.
            if error == .unknownKey, clock - keysFetched > .seconds(5) {
                wantsKeys.store(true, ordering: .relaxed)
            }
            return .failure(error == .expired ? .tokenExpired : .invalidToken)
        }
    }

    /// Asks to be told of each revocation, on the follower's thread, after `verify` knows of it. There
    /// is no way to take a handler back.
    package func onRevocation(_ handler: @escaping @Sendable (Revocation) -> Void) {
        handlers.withLock { $0.append(handler) }
    }

    /// Withdraws tokens here and now, as an entry of the log would; for tests with fixed keys.
    package func revoke(_ revocation: Revocation, until expiry: Timestamp) {
        state.withLock { $0.revocations.add(revocation, until: expiry) }
        for handler in handlers.withLock({ $0 }) { handler(revocation) }
    }

    private func isUsable(_ state: State, clock: Instant) -> Bool {
        guard state.verifier != nil, state.hasCaughtUp else { return false }
        guard let configuration else { return true }
        return clock - state.lastHeard <= configuration.maxStaleness
    }
}
