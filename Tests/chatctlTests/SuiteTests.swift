// SPDX-License-Identifier: MIT
import Glibc
import JSON
import Locks
import Testing

@testable import chatctl

struct SuiteLayoutTests {
    static let layout = SuiteLayout(
        dataDirectory: "/d", ports: [.chat: 4001, .auth: 4002, .notification: 4003])

    @Test func eachServiceGetsItsPortDirectoryAndSecret() {
        let chat = Self.layout.environment(of: .chat, inherited: ["PATH": "/bin"])
        #expect(chat["PATH"] == "/bin")
        #expect(chat["CHAT_PORT"] == "4001")
        #expect(chat["CHAT_DATA_DIR"] == "/d/chat")
        #expect(chat["CHAT_SERVICE_SECRET_FILE"] == "/d/secrets/chat-service")
        #expect(chat["AUTH_URL"] == "http://127.0.0.1:4002")
        #expect(chat["AUTH_ISSUER"] == "http://127.0.0.1:4002")
        #expect(chat["UNLIMITED"] == "0")
        #expect(chat["SUPERVISED"] == "1")
        let notification = Self.layout.environment(of: .notification, inherited: [:])
        #expect(notification["NOTIFICATION_PORT"] == "4003")
        #expect(notification["CHAT_URL"] == "http://127.0.0.1:4001")
        #expect(
            notification["NOTIFICATION_SERVICE_SECRET_FILE"] == "/d/secrets/notification-service")
    }

    @Test func redirectAddressesFollowTheChatPort() {
        let auth = Self.layout.environment(of: .auth, inherited: [:])
        #expect(
            auth["AUTH_WEB_REDIRECT_URIS"]
                == "http://127.0.0.1:4001/callback,http://localhost:4001/callback")
        #expect(auth["AUTH_SERVICE_SECRETS_DIR"] == "/d/secrets")
    }

    @Test func aProxysAddressesStay() {
        let inherited = [
            "AUTH_ISSUER": "https://chat.example",
            "AUTH_WEB_REDIRECT_URIS": "https://chat.example/c",
        ]
        let auth = Self.layout.environment(of: .auth, inherited: inherited)
        #expect(auth["AUTH_ISSUER"] == "https://chat.example")
        #expect(auth["AUTH_WEB_REDIRECT_URIS"] == "https://chat.example/c")
        #expect(
            Self.layout.environment(of: .auth, inherited: ["AUTH_ISSUER": ""])["AUTH_ISSUER"]
                == "http://127.0.0.1:4002")
    }

    @Test func anInheritedSecretGivesWayToTheFile() {
        let chat = Self.layout.environment(of: .chat, inherited: ["CHAT_SERVICE_SECRET": "x"])
        #expect(chat["CHAT_SERVICE_SECRET"] == nil)
    }

    @Test func certificatesAreNotForTheSuite() {
        #expect(SuiteLayout.complaint(inherited: ["TLS_CERT_FILE": "", "PATH": "/bin"]) == nil)
        for name in ["TLS_CERT_FILE", "TLS_KEY_FILE"] {
            let complaint = SuiteLayout.complaint(inherited: [name: "chat.pem"])
            #expect(complaint?.hasPrefix(name) == true)
        }
    }

    /// The services' own questions, the readiness probes first of them, would be closed unanswered.
    @Test(arguments: [
        ("1", "127.0.0.0/8,10.0.0.0/8", true), ("yes", "127.0.0.1", true),
        ("1", "10.0.0.0/8", false),
        ("1", "127.0.0.2", false), ("0", "127.0.0.1", false), ("", "127.0.0.1", false),
        ("perhaps", "127.0.0.1", false),
    ])
    func aProxyHeaderFromLoopbackIsNotForTheSuite(
        _ wanted: String, _ proxies: String, _ isRefused: Bool
    ) {
        let complaint = SuiteLayout.complaint(
            inherited: ["PROXY_PROTOCOL": wanted, "TRUSTED_PROXIES": proxies])
        #expect((complaint?.hasPrefix("PROXY_PROTOCOL") ?? false) == isRefused)
    }

    @Test func theRecordIsReadBack() {
        let record = SuiteRecord(issuer: "http://i", chatURL: "http://c")
        #expect(SuiteRecord(text: record.text) == record)
        #expect(SuiteRecord(text: "{}") == nil)
    }
}

struct BackoffTests {
    @Test func waitsDoubleUpToTenSecondsAndBeginAnewAfterAHealthyRun() {
        var backoff = Backoff()
        let waits = (0..<8).map { _ in backoff.next(afterRunning: .seconds(1)) }
        #expect(
            waits == [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000].map { .milliseconds($0) })
        #expect(backoff.next(afterRunning: .seconds(30)) == .milliseconds(200))
    }
}

struct LineSplitterTests {
    @Test func linesAreCutWhereverTheBytesAre() {
        let text = Array("one\ntwo\r\n\nthree".utf8)
        for cut in 0...text.count {
            var splitter = LineSplitter()
            var lines = splitter.take(text[..<cut])
            lines += splitter.take(text[cut...])
            #expect(lines == ["one", "two", ""])
            #expect(splitter.finish() == "three")
            #expect(splitter.finish() == nil)
        }
    }

    @Test func aLineWithoutEndIsHandedOutInPieces() {
        var splitter = LineSplitter()
        let lines = splitter.take(
            [UInt8](repeating: 65, count: LineSplitter.maxLineBytes * 2 + 1))
        #expect(lines.map(\.utf8.count) == [LineSplitter.maxLineBytes, LineSplitter.maxLineBytes])
        #expect(splitter.finish() == "A")
    }
}

struct EventLineTests {
    @Test func aMessageIsOneLine() {
        let data: JSONValue = [
            "at": "2026-01-31T23:59:59.000Z", "room": "lobby", "roomSeq": 7,
            "user": ["id": "u_1", "name": "ada"], "text": "hello\nworld",
        ]
        #expect(
            EventLine.render(name: "message", data: data, json: false)
                == "2026-01-31T23:59:59.000Z lobby #7 ada: hello world\n")
        #expect(
            EventLine.render(name: "typing", data: ["on": true], json: true)
                == "{\"event\":\"typing\",\"data\":{\"on\":true}}\n")
    }

    @Test func whatMovesATerminalIsReplaced() {
        #expect(
            EventLine.visible("a\u{1B}[31mb\u{7}\u{9B}c\u{202E}d")
                == "a\u{FFFD}[31mb\u{FFFD}\u{FFFD}c\u{FFFD}d")
        #expect(EventLine.visible("grüß 🙂") == "grüß 🙂")
    }
}

struct ServerAddressTests {
    @Test func urlsOfTheLocalMachineAreRead() throws {
        let address = try ServerAddress(url: "http://127.0.0.1:3001/x")
        #expect(address.authority == "127.0.0.1:3001")
        #expect(try ServerAddress(url: "http://localhost").authority == "127.0.0.1:80")
    }

    @Test(arguments: [
        "", "https://127.0.0.1", "http://example.org", "http://127.0.0.1:0", "http://127.0.0.1:x",
        "http://127.0.0.1:1:2", "http://",
    ])
    func othersAreRefused(url: String) {
        #expect(throws: SocketClientError.badURL(url)) { try ServerAddress(url: url) }
    }
}

struct AccountsTests {
    @Test func passwordsAreFourLettersFiveTimes() {
        let password = Accounts.password()
        let groups = password.split(separator: "-")
        #expect(groups.count == 5)
        #expect(groups.allSatisfy { $0.count == 4 })
        #expect(password != Accounts.password())
        #expect(!password.contains { "l1o0".contains($0) })
    }
}

/// Real processes, pipes and files, in a directory of their own.
struct ChildProcessTests {
    final class Lines: Sendable {
        private let lines = Locked<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func append(_ line: String) { lines.withLock { $0.append(line) } }
    }

    func output(of child: ChildProcess) -> String {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
        defer { buffer.deallocate() }
        var text: [UInt8] = []
        while case let count = child.read(into: buffer), count > 0 {
            text.append(contentsOf: buffer[..<count])
        }
        return String(decoding: text, as: UTF8.self)
    }

    @Test func aChildHasTheEnvironmentGivenAndNothingElse() throws {
        let child = try ChildProcess(
            path: "/usr/bin/env", environment: ["A": "1", "B": "x=y"])
        let lines = output(of: child).split(separator: "\n").sorted()
        #expect(lines == ["A=1", "B=x=y"])
        #expect(child.wait() == .exited(0))
    }

    @Test func theEndOfAChildIsTold() throws {
        let failing = try ChildProcess(
            path: "/bin/sh", arguments: ["-c", "exit 64"], environment: [:])
        #expect(failing.wait() == .exited(64))
        let sleeping = try ChildProcess(
            path: "/bin/sleep", arguments: ["60"], environment: [:])
        sleeping.send(signal: SIGKILL)
        #expect(sleeping.wait() == .killed(signal: SIGKILL))
        // After the end its number may be another's: nothing is sent.
        sleeping.send(signal: SIGKILL)
    }

    @Test func inputEndsWhenTheParentLetsGo() throws {
        var child: ChildProcess? = try ChildProcess(path: "/bin/cat", environment: [:])
        let pid = try #require(child?.pid)
        child = nil
        var status: Int32 = 0
        #expect(waitpid(pid, &status, 0) == pid)
        #expect(ChildEnd(status: status) == .exited(0))
    }

    @Test func aMissingProgramIsAnError() {
        #expect(throws: ChildProcess.Failure.self) {
            try ChildProcess(path: "/nowhere/at/all", environment: [:])
        }
    }

    @Test func aServiceThatDiesIsStartedAgainAndSaysSo() throws {
        let lines = Lines()
        // Dies at its first breath.
        let runner = ServiceRunner(.chat, path: "/bin/false", environment: [:]) {
            lines.append($0)
        }
        runner.start()
        // Bounded wait on real processes: two lives take 200 ms.
        for _ in 0..<500 where !lines.all.contains(where: { $0.hasPrefix("started again") }) {
            usleep(10_000)
        }
        runner.stop()
        for _ in 0..<500 where !runner.hasEnded { usleep(10_000) }
        #expect(runner.hasEnded)
        runner.join()
        #expect(lines.all.first == "ended with exit code 1; starting again in 200 ms")
        #expect(lines.all.contains { $0.hasPrefix("started again as process ") })
    }

    @Test func privateFilesAreMadeOnceForOurEyesOnly() throws {
        var template = Array("/tmp/chatctl-XXXXXX\0".utf8).map { CChar(bitPattern: $0) }
        try #require(mkdtemp(&template) != nil)
        let folder = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { Tree.remove(folder) }
        let path = "\(folder)/secret"
        #expect(try PrivateFile.create(path) { "one" })
        #expect(try !PrivateFile.create(path) { "two" })
        #expect(try PrivateFile.read(path) == "one")
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        try PrivateFile.replace(path, text: "three")
        #expect(try PrivateFile.read(path) == "three")
        let secrets = try ServiceSecrets.create(in: "\(folder)/secrets")
        #expect(secrets.count == 2)
        #expect(try ServiceSecrets.create(in: "\(folder)/secrets").isEmpty)
        Tree.remove(folder)
        #expect(access(folder, F_OK) != 0)
    }

    @Test func portsThatAreTakenAreNotFree() throws {
        let port = try #require(Ports.anyFree())
        #expect(Ports.isFree(port))
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        let address = SocketAddress.loopback(port: port)
        try #require(address.call { bind(descriptor, $0, $1) } == 0 && listen(descriptor, 1) == 0)
        #expect(!Ports.isFree(port))
    }
}
