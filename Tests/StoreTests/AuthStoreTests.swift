// SPDX-License-Identifier: MIT
import Crypto
import Glibc
import JSON
import OAuth
import Store
import Locks
import TestSupport
import Testing
import Timing

@Suite struct AuthStoreTests {
    private let directory: TemporaryDirectory
    private let store: SQLiteAuthStore
    private let now = Timestamp(seconds: 1_800_000_000)

    init() throws {
        directory = try TemporaryDirectory()
        store = try SQLiteAuthStore(path: directory.file("auth.db"))
    }

    private func account(_ name: String) -> Account { Account(name: name, createdAt: now) }

    @Test func rowsComeBackAsTheyWentIn() throws {
        var account = Account(
            name: "Ada", passwordHash: "$x", roles: ["admin", "ops"], createdAt: now)
        let client = Client(
            id: "c", name: "C", secretHash: [1, 2], redirectURIs: ["https://a/b", "https://c/d"],
            grantTypes: [.refreshToken, .authorizationCode], scopes: ["chat"], isFirstParty: true,
            isNative: true, audience: .chat)
        let login = Login(
            hash: [3], accountID: account.id, createdAt: now, lastSeenAt: now, expiresAt: now)
        let code = AuthorizationCode(
            hash: [4], clientID: "c", accountID: account.id, redirectURI: "https://a/b",
            challenge: nil, scope: ["chat"], loginHash: [3], userAgent: "ü", address: "::1",
            expiresAt: now, grantID: "s_1", failures: 3)
        let grant = Grant(
            accountID: account.id, clientID: "c", scope: ["chat", "x"], createdAt: now,
            expiresAt: now + .seconds(5), loginHash: [3], userAgent: "u", address: "a",
            lastSeenAt: now, lastTokenExpiry: now + .seconds(1))
        let token = RefreshToken(hash: [5], grantID: grant.id, expiresAt: now, usedAt: now)
        try store.write { (writer) throws(AuthStoreFailure) in
            try writer.insert(account)
            try writer.put(client)
            try writer.insert(login)
            try writer.insert(code)
            try writer.insert(grant)
            try writer.insert(token)
        }
        account.disabledAt = now
        let changed = account
        try store.write { (writer) throws(AuthStoreFailure) in try writer.update(changed) }
        try store.read { (reader) throws(AuthStoreFailure) in
            #expect(try reader.account(id: changed.id) == changed)
            #expect(try reader.account(nameKey: "ada") == changed)
            #expect(try reader.client(id: "c") == client)
            #expect(try reader.clients() == [client])
            #expect(try reader.login(hash: [3]) == login)
            #expect(try reader.code(hash: [4]) == code)
            #expect(try reader.grant(id: grant.id) == grant)
            #expect(try reader.activeGrants(accountID: changed.id, now: now) == [grant])
            #expect(try reader.grants(loginHash: [3]) == [grant])
            #expect(try reader.refreshToken(hash: [5]) == token)
        }
    }

    @Test func aFailedChangeLeavesNothingAndHarmsNobody() throws {
        try store.write { (writer) throws(AuthStoreFailure) in try writer.insert(account("ada")) }
        #expect(throws: AuthStoreFailure.conflict) {
            try store.write { (writer) throws(AuthStoreFailure) in
                try writer.append(AuthEvent(.userCreated), at: now)
                try writer.insert(account("ADA"))
            }
        }
        let head = try store.read { (reader) throws(AuthStoreFailure) in try reader.logHead() }
        #expect(head == 0)
    }

    @Test func manyWritersShareCommitsAndKeepTheLogInOrder() async throws {
        let heard = Locked<[Int64]>([])
        store.onCommit { entries in heard.withLock { $0 += entries.map(\.seq) } }
        let store = store
        let now = now
        let conflicts = await withTaskGroup(of: Int.self) { group in
            for index in 0..<200 {
                group.addTask {
                    do throws(AuthStoreFailure) {
                        try store.write { (writer) throws(AuthStoreFailure) in
                            // Every tenth name is taken by its neighbour.
                            let name = index % 10 == 9 ? "n\(index - 1)" : "n\(index)"
                            try writer.append(AuthEvent(.userCreated), at: now)
                            try writer.insert(Account(name: name, createdAt: now))
                        }
                        return 0
                    } catch {
                        return 1
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(conflicts == 20)
        #expect(heard.withLock { $0 } == Array(1...180))
    }

    @Test func aNewVerifierReadsFromTheFirstLiveRevocation() throws {
        try store.write { (writer) throws(AuthStoreFailure) in
            try writer.append(AuthEvent(.userCreated), at: now)
            for seconds: Int64 in [10, 600, 20] {
                try writer.append(
                    AuthEvent(.sessionRevoked, sessionID: "s", expiresAt: now + .seconds(seconds)),
                    at: now)
            }
            try writer.append(
                AuthEvent(.sessionCreated, sessionID: "s", expiresAt: now + .seconds(9999)), at: now
            )
        }
        func start(_ seconds: Int64) throws -> Int64 {
            try store.read { (reader) throws(AuthStoreFailure) in
                try reader.revocationStart(now: now + .seconds(seconds))
            }
        }
        #expect(try start(0) == 1)
        #expect(try start(10) == 2)
        #expect(try start(600) == 5)
    }

    @Test func pruningKeepsWhatCanStillMatter() throws {
        let server = AuthorizationServer(
            store: store, master: SecureRandom.bytes(32), issuer: "i")
        try server.maintain(now: now)
        let tokens = try AccountProvisioner(server: server).mintTokens(
            names: ["ada"], lifetime: .seconds(600), now: now)
        #expect(tokens.count == 1)
        try store.write { (writer) throws(AuthStoreFailure) in
            try writer.prune(now: now + .seconds(29 * 86_400))
        }
        let ada = try #require(
            try store.read { (reader) throws(AuthStoreFailure) in
                try reader.account(nameKey: "ada")
            })
        func sessions() throws -> Int {
            try store.read { (reader) throws(AuthStoreFailure) in
                try reader.activeGrants(accountID: ada.id, now: now).count
            }
        }
        #expect(try sessions() == 1)
        try store.write { (writer) throws(AuthStoreFailure) in
            try writer.prune(now: now + .seconds(31 * 86_400))
        }
        #expect(try sessions() == 0)
    }

    @Test func tokensAreMintedInBulk() throws {
        let path = directory.path + "/bulk"
        let provisioner = try AccountProvisioner(dataDirectory: path, issuer: "i", now: now)
        let names = (0..<2000).map { "user\($0)" }
        let first = try provisioner.mintTokens(names: names, lifetime: .seconds(3600), now: now)
        let again = try provisioner.mintTokens(names: names, lifetime: .seconds(3600), now: now)
        #expect(Set(first + again).count == 4000)
        let (server, _) = try AuthDirectory.open(path, issuer: "i", now: now)
        let reader = Client(
            id: "chat-service", name: "", grantTypes: [], scopes: [], audience: .chat)
        let answer = try server.introspect(token: first[7], client: reader, now: now)
        #expect(answer["username"]?.string == "user7")
        #expect(answer["exp"]?.int == now.seconds + 3600)
    }

    @Test func theMasterKeyMustBeARealOne() throws {
        let path = directory.file("weak")
        try DataDirectory.prepare(path)
        for text in [
            String(repeating: "A", count: 43), "short", String(repeating: "00", count: 32),
        ] {
            let file = path + "/key\(text.count)\(text.prefix(2))"
            try FileText.write(text, to: file)
            #expect(throws: AuthDirectoryError.self) {
                try AuthDirectory.open(path, masterKeyFile: file, issuer: "i", now: now)
            }
        }
    }

    @Test func secretsAreMadeOnceAndStay() throws {
        let folder = directory.file("secrets")
        let first = try AuthDirectory.serviceSecret("chat-service", in: folder)
        #expect(first.utf8.count == 43)
        #expect(try AuthDirectory.serviceSecret("chat-service", in: folder) == first)
    }
}

/// Small files for tests.
private enum FileText {
    static func write(_ text: String, to path: String) throws {
        guard let file = fopen(path, "w") else { throw TestSupportError("cannot write \(path)") }
        fputs(text, file)
        fclose(file)
    }
}
