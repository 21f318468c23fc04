// SPDX-License-Identifier: MIT
import Bytes
import Glibc
import HTTPClient
import JSON
import OAuth
import Reactor
import Store
import Locks
import TestSupport
import Timing

/// The real services as processes on free ports, in a folder of their own. Everything ends with the
/// value, however the test ends.
final class ChatStack: Sendable {
    enum Service: Hashable, Sendable {
        case auth, notification
        /// One of the instances that share a store.
        case chat(Int)
        /// One that takes over from another, with so many loops.
        case successor(of: Int, loops: Int)
        /// One started on another's port by mistake.
        case rival(of: Int)

        static let chat = Service.chat(0)

        var executable: String {
            switch self {
            case .auth: "AuthService"
            case .notification: "NotificationService"
            case .chat, .successor, .rival: "ChatService"
            }
        }
    }

    let redis: PrivateRedis?
    private let folder: TemporaryDirectory
    private let ports: [Service: UInt16]
    private let isUnlimited: Bool
    private let programs = Locked<[Service: Program]>([:])
    private let provisioner = Locked<AccountProvisioner?>(nil)

    /// Starts the services and waits until all is well with each.
    /// - Parameters:
    ///   - chats: how many instances of ChatService share the store.
    ///   - isUnlimited: without rate limits.
    init(
        chats: Int = 1, hasRedis: Bool = false, hasNotification: Bool = false,
        isUnlimited: Bool = false
    ) throws {
        folder = try TemporaryDirectory()
        redis = hasRedis ? try PrivateRedis() : nil
        self.isUnlimited = isUnlimited
        let others = (0..<chats).map { Service.chat($0) } + (hasNotification ? [.notification] : [])
        var ports: [Service: UInt16] = [:]
        for service in [.auth] + others { ports[service] = try LoopbackPort.reserve() }
        self.ports = ports
        // AuthService makes the secrets that the others read.
        try start(.auth)
        for service in others { try launch(service) }
        for service in others { try waitUntilReady(service) }
    }

    deinit {
        // Before the folder goes: a service that still runs would write into it.
        programs.withLock { $0.removeAll() }
    }

    // MARK: Processes

    /// Starts a service, again on the same port and data after its end, and waits until it is ready.
    func start(_ service: Service) throws {
        try launch(service)
        try waitUntilReady(service)
    }

    /// Ends a service as a crash would.
    func kill(_ service: Service) {
        program(service)?.send(signal: SIGKILL)
        _ = program(service)?.wait()
    }

    /// Asks a service to stop, and does not wait.
    func requestStop(_ service: Service) { program(service)?.send(signal: SIGTERM) }

    /// Sends a service any signal.
    func signal(_ service: Service, _ signal: Int32) { program(service)?.send(signal: signal) }

    /// A service's process number; 0 when it does not run.
    func pid(of service: Service) -> Int32 { program(service)?.pid ?? 0 }

    /// Where ChatService keeps its log.
    var chatDatabase: String { folder.file("chat/chat.db") }

    /// How a service ended; nil when it still runs after ten seconds.
    func end(of service: Service) -> Program.End? { program(service)?.wait() }

    private func program(_ service: Service) -> Program? { programs.withLock { $0[service] } }

    /// Starts a service and does not wait.
    func launch(_ service: Service) throws {
        let program = try Program(
            service.executable, environment: environment(of: service),
            output: folder.file("\(service).log"))
        programs.withLock { $0[service] = program }
    }

    private func waitUntilReady(_ service: Service) throws {
        var answer: Response?
        let isReady = try eventually(within: .seconds(20)) {
            guard let program = program(service), program.ended == nil else {
                throw TestSupportError("ended at its start: \(program(service)?.lastLines ?? "")")
            }
            answer = try? HTTP.call("GET", url(of: service) + "/readyz")
            guard answer?.status == 200, let checks = try answer?.json()["checks"]?.object else {
                return false
            }
            // Redis may be away by the test's own hand; all else must be well.
            return checks.members.allSatisfy { check in
                check.value["status"]?.string == "ok"
                    || ["bus", "redis"].contains(check.name) && redis?.isAnswering != true
            }
        }
        guard isReady else {
            throw TestSupportError(
                "not ready: \(answer.map { String(decoding: $0.body, as: UTF8.self) } ?? "")\n"
                    + (program(service)?.lastLines ?? ""))
        }
    }

    private func environment(of service: Service) -> [String: String] {
        var environment = [
            "LOG_LEVEL": "notice", "REDIS_URL": redis?.url ?? "",
            "UNLIMITED": isUnlimited ? "1" : "0", "AUTH_URL": url(of: .auth),
            "AUTH_ISSUER": url(of: .auth), "CHAT_URL": url(of: .chat),
        ]
        let port = String(port(service))
        switch service {
        case .auth:
            environment["AUTH_PORT"] = port
            environment["AUTH_DATA_DIR"] = folder.file("auth")
            environment["AUTH_SERVICE_SECRETS_DIR"] = folder.file("secrets")
            environment["AUTH_WEB_REDIRECT_URIS"] = redirectURI
        case .chat, .successor, .rival:
            environment["CHAT_PORT"] = port
            environment["CHAT_DATA_DIR"] = folder.file("chat")
            environment["CHAT_LOOPS"] = "2"
            environment["CHAT_SERVICE_SECRET_FILE"] = folder.file("secrets/chat-service")
            if case .successor(_, let loops) = service {
                environment["CHAT_LOOPS"] = "\(loops)"
                environment["CHAT_TAKE_OVER"] = "1"
            }
        case .notification:
            environment["NOTIFICATION_PORT"] = port
            environment["NOTIFICATION_DATA_DIR"] = folder.file("notification")
            environment["NOTIFICATION_SERVICE_SECRET_FILE"] = folder.file(
                "secrets/notification-service")
            environment["NOTIFICATION_ALLOW_HTTP"] = "1"
            environment["NOTIFICATION_ALLOW_NETWORKS"] = "127.0.0.0/8"
        }
        return environment
    }

    // MARK: Addresses

    func port(_ service: Service) -> Int {
        switch service {
        case .successor(let chat, _), .rival(let chat): port(.chat(chat))
        default: Int(ports[service] ?? 0)
        }
    }

    func url(of service: Service) -> String { "http://127.0.0.1:\(port(service))" }

    /// Where the web client is answered; nobody has to listen there.
    var redirectURI: String { url(of: .chat) + "/callback" }

    // MARK: People

    /// What an operator does with accounts, on AuthService's own data while it runs.
    func operate<Result>(_ body: (AccountProvisioner) throws -> Result) throws -> Result {
        try provisioner.withLock { known in
            let provisioner =
                try known
                ?? AccountProvisioner(
                    dataDirectory: folder.file("auth"), issuer: url(of: .auth),
                    now: SystemClock.timestamp())
            known = provisioner
            return try body(provisioner)
        }
    }

    /// An access token for a person, whose account is made when it is missing.
    func token(_ name: String, audience: String = "chat") throws -> String {
        try operate { provisioner in
            try provisioner.mintTokens(
                names: [name], audience: audience, lifetime: .seconds(600),
                now: SystemClock.timestamp())[0]
        }
    }

    /// A client that has signed in over WebSocket and read its `session`.
    func client(_ name: String, at chat: Int = 0, more: String = "") throws -> WireClient {
        let client = WireClient.webSocket(port: port(.chat(chat)))
        client.connect(token: try token(name), more: more)
        guard !client.session.isNull else {
            throw TestSupportError("\(name) cannot sign in: \(client.early)")
        }
        return client
    }

    // MARK: The log

    /// A token by which NotificationService reads ChatService's log, by client credentials.
    func serviceToken() throws -> String {
        let secret =
            TextFile.read(folder.file("secrets/notification-service"))
            .split(separator: "\n").first ?? ""
        let basic = Base64.string(Array("notification-service:\(secret)".utf8), alphabet: .standard)
        let answer = try HTTP.call(
            "POST", url(of: .auth) + "/oauth/token",
            form: [
                ("grant_type", "client_credentials"), ("audience", "chat"),
                ("scope", "internal:log"),
            ], fields: [("authorization", "Basic \(basic)")])
        guard let token = try answer.json()["access_token"]?.string else {
            throw TestSupportError("no service token: status \(answer.status)")
        }
        return token
    }

    /// Everything in ChatService's log.
    func log() throws -> [JSONValue] {
        let token = try serviceToken()
        var entries: [JSONValue] = []
        while true {
            let after = entries.last?["seq"]?.int ?? 0
            let page = try HTTP.call(
                "GET", url(of: .chat) + "/internal/log?after=\(after)&limit=1000", token: token
            ).json()["entries"]?.array
            guard let page else { throw TestSupportError("the log cannot be read") }
            if page.isEmpty { return entries }
            entries += page
        }
    }
}

/// Runs `body` on `count` threads at once, each with its number, and waits for all.
func concurrently(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let threads = (0..<count).map { number in
        WorkerThread(name: "test-\(number)") { body(number) }
    }
    for thread in threads { thread.join() }
}

extension WireClient {
    /// Sends a message and gives the answer, null when there was none.
    func say(_ text: String, in room: JSONValue = "lobby", id: String? = nil) -> JSONValue {
        ask(
            "message:send",
            [
                "room": room, "text": .string(text),
                "clientId": id.map { .string($0) } ?? .null,
            ])
    }

    /// Every message of a room, oldest first, by pages.
    func history(_ room: JSONValue = "lobby") -> [JSONValue] {
        var messages: [JSONValue] = []
        while true {
            let page = ask(
                "history:fetch",
                ["room": room, "after": messages.last?["roomSeq"] ?? 0, "limit": 200])
            messages += page["messages"]?.array ?? []
            if page["hasMore"]?.bool != true { return messages }
        }
    }

    /// The next `count` messages, fewer when no more come.
    func messages(_ count: Int) -> [JSONValue] {
        var messages: [JSONValue] = []
        while messages.count < count, let message = event("message") { messages.append(message) }
        return messages
    }
}

/// Something that runs beside the test and is waited for.
struct Background {
    private let thread: WorkerThread

    init(_ body: @escaping @Sendable () -> Void) {
        thread = WorkerThread(name: "test") { body() }
    }

    func wait() { thread.join() }
}
