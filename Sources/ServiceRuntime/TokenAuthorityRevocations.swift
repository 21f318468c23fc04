// SPDX-License-Identifier: MIT
internal import JSON
package import JWT
package import Timing

/// Tokens that are withdrawn before they expire.
package enum Revocation: Hashable, Sendable {
    /// The one token with this `jti`.
    case token(id: String)
    /// All tokens of a login session (`sid`).
    case session(id: String)
    /// All tokens of an account issued up to that second.
    case subject(id: String, issuedBy: Timestamp)

    /// Whether it withdraws that token of a subject's.
    package func covers(_ token: TokenIdentity, of subject: String) -> Bool {
        switch self {
        case .token(let id): token.isToken(id)
        case .session(let id): token.isOfSession(id)
        case .subject(let id, let time): subject == id && token.isIssued(by: time)
        }
    }
}

/// The revocations that still matter: each is dropped when the last token it covers has expired by
/// itself, so the list is as long as the revocations of one token lifetime. Look-ups are O(1).
struct RevocationList: Sendable {
    private var tokens: [String: Timestamp] = [:]
    private var sessions: [String: Timestamp] = [:]
    private var subjects: [String: (issuedBy: Timestamp, expiry: Timestamp)] = [:]
    private var changesSincePruning = 0

    var count: Int { tokens.count + sessions.count + subjects.count }

    /// - Parameter expiry: when the last token that it covers expires.
    mutating func add(_ revocation: Revocation, until expiry: Timestamp) {
        switch revocation {
        case .token(let id): tokens[id] = max(expiry, tokens[id] ?? expiry)
        case .session(let id): sessions[id] = max(expiry, sessions[id] ?? expiry)
        case .subject(let id, let time):
            let known = subjects[id]
            subjects[id] = (
                max(time, known?.issuedBy ?? time), max(expiry, known?.expiry ?? expiry)
            )
        }
        changesSincePruning += 1
    }

    func covers(_ claims: AccessTokenClaims) -> Bool {
        if !tokens.isEmpty, tokens[claims.tokenID] != nil { return true }
        if !sessions.isEmpty, let sid = claims.sessionID, sessions[sid] != nil { return true }
        if !subjects.isEmpty, let subject = subjects[claims.subject] {
            return claims.issuedAt <= subject.issuedBy
        }
        return false
    }

    /// Drops what no live token can match any more. Amortised: does nothing until as much was added
    /// as is there.
    mutating func prune(now: Timestamp) {
        guard changesSincePruning > 64, changesSincePruning > count / 2 else { return }
        changesSincePruning = 0
        tokens = tokens.filter { $0.value > now }
        sessions = sessions.filter { $0.value > now }
        subjects = subjects.filter { $0.value.expiry > now }
    }
}

/// One entry of AuthService's log, as far as a verifier cares.
struct AuthLogEntry: Sendable {
    let seq: Int64
    let revocation: Revocation?
    let expiry: Timestamp
    let isKeyChange: Bool

    /// Reads one element of `entries`; nil when it is not of that shape. Types we do not know are
    /// entries without consequence: the log may grow new ones.
    init?(_ json: JSONValue) {
        guard let seq = json["seq"]?.int, let type = json["type"]?.string else { return nil }
        self.seq = seq
        isKeyChange = type == "key.rotated"
        let at = json["at"]?.string.flatMap { Timestamp(rfc3339: $0) }
        let until = json["expiresAt"]?.string.flatMap { Timestamp(rfc3339: $0) }
        // Without a readable expiry keep it for longer than any token lives.
        expiry = until ?? (at ?? SystemClock.timestamp()) + .seconds(366 * 86_400)
        switch type {
        case "token.revoked": revocation = json["jti"]?.string.map { .token(id: $0) }
        case "session.revoked": revocation = json["sid"]?.string.map { .session(id: $0) }
        case "user.disabled":
            guard let at else { return nil }
            revocation = json["sub"]?.string.map { .subject(id: $0, issuedBy: at) }
        default: revocation = nil
        }
    }
}

extension Timestamp {
    /// Reads what `rfc3339` writes: `YYYY-MM-DDTHH:MM:SS`, up to three digits of fraction, `Z`.
    init?(rfc3339 text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z") else { return nil }
        func number(_ range: Range<Int>) -> Int64? {
            var value: Int64 = 0
            for byte in bytes[range] {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - UInt8(ascii: "0"))
            }
            return value
        }
        let marks: [(Int, Character)] = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")]
        guard marks.allSatisfy({ bytes[$0.0] == $0.1.asciiValue }),
            let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        var fraction: Int64 = 0
        if bytes.count > 20 {
            guard bytes[19] == UInt8(ascii: "."), (22...24).contains(bytes.count),
                let digits = number(20..<bytes.count - 1)
            else { return nil }
            fraction = digits * [100, 10, 1][bytes.count - 22]
        }
        // Days from civil, years counted from March (the inverse of `Timestamp.rfc3339`).
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        self.init(
            milliseconds: ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + fraction)
    }
}
