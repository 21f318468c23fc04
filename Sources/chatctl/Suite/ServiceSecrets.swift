// SPDX-License-Identifier: MIT
internal import Crypto
internal import Store

/// The secrets by which services authenticate themselves to AuthService: 32 random bytes each, as
/// base64url, one file a service.
enum ServiceSecrets {
    /// Creates those that are missing; never changes one that exists.
    /// - Returns: the paths of the files created.
    static func create(in directory: String) throws -> [String] {
        try DataDirectory.prepare(directory)
        return try SuiteLayout.serviceClients.map { "\(directory)/\($0)" }.filter { path in
            try PrivateFile.create(path) { SecureRandom.token(bytes: 32) + "\n" }
        }
    }
}
