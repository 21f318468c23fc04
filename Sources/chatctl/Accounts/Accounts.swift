// SPDX-License-Identifier: MIT
internal import Crypto
internal import Glibc
internal import OAuth
internal import Store
internal import Timing

/// Accounts and tokens straight from a data directory, whether or not AuthService runs.
struct Accounts {
    /// Names of the demo accounts.
    static let demoNames = ["ada", "grace"]

    private let provisioner: AccountProvisioner
    private let databasePath: String

    /// - Parameters:
    ///   - dataDirectory: of a suite (`D/auth` is in it), or of AuthService itself.
    ///   - issuer: nil takes the environment's AUTH_ISSUER, else what the suite's record says, else
    ///     the default. Must be AuthService's own, or no service takes the tokens.
    init(dataDirectory: String, issuer: String? = nil) throws {
        let inside = "\(dataDirectory)/auth"
        let isSuite = access(inside, F_OK) == 0 || access("\(dataDirectory)/auth.db", F_OK) != 0
        let directory = isSuite ? inside : dataDirectory
        let environment = getenv("AUTH_ISSUER").map { String(cString: $0) } ?? ""
        let masterKeyFile = getenv("AUTH_MASTER_KEY_FILE").map { String(cString: $0) } ?? ""
        let issuer =
            issuer ?? (environment.isEmpty ? nil : environment)
            ?? SuiteRecord.read(dataDirectory)?.issuer ?? "http://127.0.0.1:3002"
        provisioner = try AccountProvisioner(
            dataDirectory: directory, masterKeyFile: masterKeyFile.isEmpty ? nil : masterKeyFile,
            issuer: issuer, now: SystemClock.timestamp())
        databasePath = "\(directory)/auth.db"
    }

    /// Access tokens for one service, one a name, in order; missing accounts are made.
    func tokens(
        names: [String], audience: String = "chat", lifetime: Duration
    ) throws -> [String] {
        do throws(ProvisioningError) {
            return try provisioner.mintTokens(
                names: names, audience: audience, lifetime: lifetime, now: SystemClock.timestamp())
        } catch {
            throw Suite.Failure(Accounts.sentence(error))
        }
    }

    /// Makes an account with a password.
    func add(_ name: String, password: String, roles: [String] = []) throws {
        do throws(ProvisioningError) {
            _ = try provisioner.createAccount(
                name: name, password: password, roles: roles, now: SystemClock.timestamp())
        } catch {
            throw Suite.Failure(Accounts.sentence(error))
        }
    }

    func disable(_ name: String) throws {
        do throws(ProvisioningError) {
            try provisioner.disable(name, now: SystemClock.timestamp())
        } catch {
            throw Suite.Failure(Accounts.sentence(error))
        }
    }

    func enable(_ name: String) throws {
        do throws(ProvisioningError) {
            try provisioner.enable(name, now: SystemClock.timestamp())
        } catch {
            throw Suite.Failure(Accounts.sentence(error))
        }
    }

    /// One line an account: id, name, when it was made, and whether it is closed.
    func list() throws -> [String] {
        let database = try SQLiteDatabase(path: databasePath, mode: .readOnly)
        return try database.all(
            "SELECT id, name, created_at, disabled_at FROM account ORDER BY created_at, name"
        ) { row in
            let state = row.isNull(3) ? "active" : "disabled"
            let made = Timestamp(milliseconds: row.int64(2)).rfc3339
            return "\(row.text(0))\t\(row.text(1))\t\(made)\t\(state)"
        }
    }

    /// The demo accounts with their passwords: made on first use and kept in `file`.
    /// - Returns: lines `NAME PASSWORD`.
    func demoAccounts(file: String) throws -> [String] {
        if access(file, F_OK) != 0 {
            var lines: [String] = []
            for name in Accounts.demoNames {
                let password = Accounts.password()
                // An account that is there already belongs to somebody: its password is not ours.
                if (try? add(name, password: password)) != nil {
                    lines.append("\(name) \(password)")
                }
            }
            try PrivateFile.create(file) { lines.map { $0 + "\n" }.joined() }
        }
        return try PrivateFile.read(file).split(separator: "\n").map(String.init)
    }

    /// A random password that can be typed: five groups of four letters and digits, 100 bits.
    static func password() -> String {
        // 32 characters, five bits each: none of l, 1, o and 0, which look alike.
        let letters = Array("abcdefghijkmnpqrstuvwxyz23456789")
        let characters = SecureRandom.bytes(20).map { letters[Int($0 & 31)] }
        return stride(from: 0, to: 20, by: 4).map { String(characters[$0..<($0 + 4)]) }
            .joined(separator: "-")
    }

    private static func sentence(_ error: ProvisioningError) -> String {
        switch error {
        case .invalidName(let name): "\"\(name)\" cannot be an account's name"
        case .password(let complaint): complaint.text
        case .nameTaken(let name): "there is an account \(name) already"
        case .unknownAccount(let name): "there is no account \(name)"
        case .unknownAudience(let audience): "there are no tokens for \(audience)"
        case .store(let failure): "the account store failed: \(failure)"
        }
    }
}
