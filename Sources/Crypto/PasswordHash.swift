// SPDX-License-Identifier: MIT
internal import Bytes
internal import CArgon2

/// Why a password could not be hashed.
package enum PasswordHashError: Error, Hashable, Sendable {
    /// Longer than `PasswordHash.maxPasswordBytes`.
    case tooLong
    /// libargon2 refused, in practice for want of memory. Its code.
    case library(Int32)
}

/// Argon2id password hashes as PHC strings (RFC 9106; the format of the Password Hashing Competition):
/// `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`. Parameters travel with the hash, so they can rise.
///
/// Cost: about 30 ms of one core and 19 MiB. Call it on a bounded pool of workers, never on an event
/// loop.
package enum PasswordHash: Sendable {
    /// Cost parameters.
    package struct Parameters: Hashable, Sendable {
        /// Memory in KiB.
        package var memoryKiB: UInt32
        /// Passes over the memory.
        package var iterations: UInt32
        /// Lanes; one, since a login uses one worker.
        package var parallelism: UInt32

        package init(memoryKiB: UInt32, iterations: UInt32, parallelism: UInt32) {
            self.memoryKiB = memoryKiB
            self.iterations = iterations
            self.parallelism = parallelism
        }

        /// The first choice of the OWASP Password Storage cheat sheet: m = 19 MiB, t = 2, p = 1.
        package static let standard = Parameters(memoryKiB: 19_456, iterations: 2, parallelism: 1)
    }

    /// 128 characters of at most 4 bytes. Argon2 reads the password once, so length costs little; the
    /// bound keeps a megabyte of "password" out of the worker.
    package static let maxPasswordBytes = 512
    /// RFC 9106 §3.1 advises 16.
    private static let saltByteCount = 16
    private static let hashByteCount = 32

    /// A new hash under a random salt.
    /// - Throws: `tooLong`; `library` when memory is wanting.
    package static func hash(
        _ password: String, parameters: Parameters = .standard
    ) throws(PasswordHashError) -> String {
        let bytes = Array(password.utf8)
        guard bytes.count <= maxPasswordBytes else { throw .tooLong }
        let salt = SecureRandom.bytes(saltByteCount)
        let capacity = argon2_encodedlen(
            parameters.iterations, parameters.memoryKiB, parameters.parallelism,
            UInt32(saltByteCount), UInt32(hashByteCount), Argon2_id)
        var encoded = [CChar](repeating: 0, count: capacity)
        let code = argon2id_hash_encoded(
            parameters.iterations, parameters.memoryKiB, parameters.parallelism, bytes,
            bytes.count, salt, salt.count, hashByteCount, &encoded, capacity)
        guard code == ARGON2_OK.rawValue else { throw .library(code) }
        return String(
            decoding: encoded.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether the password is the one that was hashed. A string that is not one of our hashes, or
    /// whose cost passes 256 MiB or 16 passes, matches nothing.
    package static func verify(_ password: String, against phc: String) -> Bool {
        let bytes = Array(password.utf8)
        guard bytes.count <= maxPasswordBytes, let parameters = parameters(of: phc),
            parameters.memoryKiB <= 262_144, parameters.iterations <= 16,
            parameters.parallelism <= 16
        else { return false }
        return argon2id_verify(phc, bytes, bytes.count) == ARGON2_OK.rawValue
    }

    /// Whether a hash that just matched should be made anew: its parameters are others than ours.
    package static func needsRehash(_ phc: String, parameters: Parameters = .standard) -> Bool {
        self.parameters(of: phc) != parameters
    }

    /// The parameters a PHC string names, or nil when it is not `$argon2id$v=19$m=,t=,p=$…$…`.
    static func parameters(of phc: String) -> Parameters? {
        let parts = phc.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0].isEmpty, parts[1] == "argon2id", parts[2] == "v=19",
            !parts[4].isEmpty, !parts[5].isEmpty
        else { return nil }
        let settings = parts[3].split(separator: ",", omittingEmptySubsequences: false)
        guard settings.count == 3, settings[0].hasPrefix("m="), settings[1].hasPrefix("t="),
            settings[2].hasPrefix("p="), let memory = UInt32(settings[0].dropFirst(2)),
            let iterations = UInt32(settings[1].dropFirst(2)),
            let parallelism = UInt32(settings[2].dropFirst(2))
        else { return nil }
        return Parameters(
            memoryKiB: memory, iterations: iterations, parallelism: parallelism)
    }
}
