// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
package import Timing

/// A person who can sign in.
package struct Account: Hashable, Sendable {
    /// `u_` and 16 characters of base64url: 96 random bits, never given out twice.
    package let id: String
    /// The user name as its owner writes it; unique without regard to case.
    package var name: String
    /// A PHC string; nil for accounts that cannot sign in with a password.
    package var passwordHash: String?
    /// System-wide roles: `admin`.
    package var roles: [String]
    package let createdAt: Timestamp
    /// Set when the account was closed: nothing is issued for it any more.
    package var disabledAt: Timestamp?

    package init(
        id: String = Account.newID(), name: String, passwordHash: String? = nil,
        roles: [String] = [], createdAt: Timestamp, disabledAt: Timestamp? = nil
    ) {
        self.id = id
        self.name = name
        self.passwordHash = passwordHash
        self.roles = roles
        self.createdAt = createdAt
        self.disabledAt = disabledAt
    }

    /// A fresh id.
    package static func newID() -> String { "u_" + SecureRandom.token(bytes: 12) }

    /// Whether it may act.
    package var isActive: Bool { disabledAt == nil }
}

/// User names: 2...32 characters of `A-Z a-z 0-9 . _ -`, a letter or digit first. Nothing that looks
/// like another name, needs escaping anywhere, or could be taken for an id.
package enum AccountName: Sendable {
    package static let maxCount = 32

    /// Whether a name can be registered.
    package static func isValid(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard (2...maxCount).contains(bytes.count), isAlphanumeric(bytes[0]) else { return false }
        return bytes.allSatisfy { isAlphanumeric($0) || [0x2D, 0x2E, 0x5F].contains($0) }
            && !name.hasPrefix("u_")
    }

    /// What names are compared by: ASCII lower case.
    package static func key(_ name: String) -> String { name.lowercased() }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }
}

/// What a new password must be: long enough and not among the first that anybody would try. No rules of
/// composition, which make passwords worse (NIST SP 800-63B §5.1.1.2).
package enum PasswordPolicy: Sendable {
    /// In characters, as the owner counts them.
    package static let minCount = 10
    /// Longer ones are refused rather than cut.
    package static let maxCount = 128

    package enum Complaint: Error, Hashable, Sendable {
        case tooShort, tooLong, tooCommon, containsName

        /// For the person who chose it.
        package var text: String {
            switch self {
            case .tooShort: "Use at least \(PasswordPolicy.minCount) characters."
            case .tooLong: "Use at most \(PasswordPolicy.maxCount) characters."
            case .tooCommon: "This password is too easy to guess. A few random words are better."
            case .containsName: "The password must not contain your user name."
            }
        }
    }

    /// What is wrong with a password for an account of that name; nil when nothing is.
    package static func complaint(about password: String, name: String) -> Complaint? {
        if password.count < minCount { return .tooShort }
        if password.count > maxCount || password.utf8.count > PasswordHash.maxPasswordBytes {
            return .tooLong
        }
        let folded = password.lowercased()
        if !name.isEmpty, folded.contains(AccountName.key(name)) { return .containsName }
        if Set(folded.utf8).count < 4 || common.contains(where: { repeats($0, in: folded) }) {
            return .tooCommon
        }
        return nil
    }

    /// Whether the password is a common one, alone, with a short tail, or repeated to make up length.
    private static func repeats(_ word: String, in password: String) -> Bool {
        guard password.hasPrefix(word) else { return false }
        let rest = password.dropFirst(word.count)
        return rest.count <= 3 || word.hasPrefix(rest) || rest.hasPrefix(word)
    }

    /// The roots of the passwords that head every leaked list.
    private static let common = [
        "1234567890", "12345678", "123456789", "0123456789", "0987654321", "qwertyuiop",
        "qwerty123", "qwertz123", "asdfghjkl", "1q2w3e4r5t", "1qaz2wsx", "password", "passw0rd",
        "passwort", "iloveyou", "letmein", "welcome", "changeme", "administrator", "trustno1",
        "sunshine", "princess", "football", "baseball", "superman", "dragon", "monkey", "secret",
        "abcdefghij", "abcd1234", "michael", "internet", "computer", "whatever", "starwars",
    ]
}
