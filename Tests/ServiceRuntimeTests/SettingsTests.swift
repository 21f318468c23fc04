// SPDX-License-Identifier: MIT
import Addresses
import HTTPServer
import Logging
import Metrics
import Testing

@testable import ServiceRuntime

struct SettingsTests {
    enum Mode: String, CaseIterable, Sendable { case open, closed }

    static let port = SettingKey.port("CHAT_PORT", default: 3001, help: "Port.")
    static let loops = SettingKey.int(
        "CHAT_LOOPS", default: 2, in: 1...64, unit: "COUNT", help: "Loops.")
    static let loud = SettingKey.bool("UNLIMITED", help: "No limits.")
    static let wait = SettingKey.duration(
        "WAIT", default: .seconds(30), in: .milliseconds(1)...(.seconds(3600)), help: "Wait.")
    static let path = SettingKey.path("DATA_DIR", default: "./data", help: "Data.")
    static let redis = SettingKey.url(
        "REDIS_URL", default: "", schemes: ["redis"], help: "Redis.")
    static let issuer = SettingKey.url(
        "AUTH_URL", default: "http://127.0.0.1:3002", help: "Issuer.")
    static let origins = SettingKey.list("ORIGINS", help: "Origins.")
    static let networks = SettingKey.networks("NETWORKS", help: "Networks.")
    static let mode = SettingKey<Mode>.choice("MODE", default: .open, help: "Mode.")
    static let secret = SettingKey.secret("KEY", minimumBytes: 4, help: "Key.")
    static let keys: [any SettingDeclaration] = [
        port, loops, loud, wait, path, redis, issuer, origins, networks, mode, secret,
    ]
    static let program = Settings.Program(name: "chat", summary: "Chats.", version: "1.2.3")

    func read(
        _ arguments: [String] = [], _ environment: [String: String] = [:],
        files: [String: String] = [:]
    ) throws(Settings.Refusal) -> Settings {
        try Settings(
            program: Self.program, keys: Self.keys, arguments: arguments, environment: environment
        ) { (path) throws(SettingProblem) in
            guard let text = files[path] else { throw SettingProblem("cannot be read") }
            return text
        }
    }

    func refusal(
        _ arguments: [String] = [], _ environment: [String: String] = [:],
        files: [String: String] = [:]
    ) -> Settings.Refusal? {
        do throws(Settings.Refusal) {
            _ = try read(arguments, environment, files: files)
            return nil
        } catch {
            return error
        }
    }

    @Test func defaultsStandWhenNothingIsGiven() throws {
        let settings = try read()
        #expect(settings[Self.port] == 3001)
        #expect(settings[Self.loops] == 2)
        #expect(settings[Self.loud] == false)
        #expect(settings[Self.wait] == .seconds(30))
        #expect(settings[Self.path] == "./data")
        #expect(settings[Self.redis] == "")
        #expect(settings[Self.origins] == [])
        #expect(settings[Self.networks] == [])
        #expect(settings[Self.mode] == .open)
        #expect(settings[Self.secret] == nil)
    }

    @Test func flagsWinOverTheEnvironment() throws {
        let environment = ["CHAT_PORT": "4001", "REDIS_URL": "redis://r:6379", "UNLIMITED": "yes"]
        #expect(try read([], environment)[Self.port] == 4001)
        #expect(try read(["--chat-port", "5001"], environment)[Self.port] == 5001)
        #expect(try read(["--chat-port=5001"], environment)[Self.port] == 5001)
        #expect(try read([], environment)[Self.loud])
        #expect(try read(["--unlimited=0"], environment)[Self.loud] == false)
        #expect(try read(["--redis-url="], environment)[Self.redis] == "")
    }

    @Test func anEmptyVariableCountsAsNotSet() throws {
        let settings = try read([], ["CHAT_PORT": "", "KEY": "", "KEY_FILE": ""])
        #expect(settings[Self.port] == 3001)
        #expect(settings[Self.secret] == nil)
    }

    @Test func aToggleNeverTakesTheNextArgument() throws {
        #expect(try read(["--unlimited", "--chat-port", "1"])[Self.loud])
        #expect(
            refusal(["--unlimited", "0"])
                == .usage("chat: takes no argument \"0\" (try --help)"))
    }

    @Test(arguments: [
        (["--chat-port", "65536"], "--chat-port \"65536\" is no port (0 to 65535)"),
        (["--chat-port", "+1"], "--chat-port \"+1\" is no port (0 to 65535)"),
        (["--chat-port", ""], "--chat-port \"\" is no port (0 to 65535)"),
        (["--chat-port", "\u{1B}[31m1\n"], "--chat-port \"?[31m1?\" is no port (0 to 65535)"),
        (["--chat-loops", "0"], "--chat-loops \"0\" is no whole number (1 to 64)"),
        (["--unlimited=maybe"], "--unlimited \"maybe\" is neither 1 nor 0 (true, false)"),
        (["--wait", "2h"], "--wait \"2h\" is no time such as 250ms, 30s, 5m (1ms to 1h)"),
        (["--mode", "ajar"], "--mode \"ajar\" is none of open|closed"),
        (["--data-dir="], "--data-dir \"\" is empty"),
        (
            ["--networks", "10.0.0.0/8,10.0.0.1/8"],
            "--networks \"10.0.0.0/8,10.0.0.1/8\" has no network such as 10.0.0.0/8 or fd00::/8 in place 2"
        ),
        (
            ["--networks", "proxy"],
            "--networks \"proxy\" has no network such as 10.0.0.0/8 or fd00::/8 in place 1"
        ),
        (["--networks", "::1,"], "--networks \"::1,\" has an empty place in its list"),
        (["--origins", "a,,b"], "--origins \"a,,b\" has an empty place in its list"),
        (
            ["--redis-url", "http://r"],
            "--redis-url \"http://r\" is no URL that begins with redis:// and a host"
        ),
        (
            ["--auth-url", "http://h:0"],
            "--auth-url \"http://h:0\" has no port from 1 to 65535 behind its colon"
        ),
        (["--chat-port"], "misses the value of --chat-port (try --help)"),
        (
            ["--chat-prot", "1"],
            "has no option --chat-prot; did you mean --chat-port? (try --help)"
        ),
        (["--bogus"], "has no option --bogus (try --help)"),
        (["--key", "text"], "has no option --key (try --help)"),
        (["--mode=open", "--mode=open"], "has option --mode twice (try --help)"),
    ])
    func wrongFlagsAreRefusedInOneLine(arguments: [String], line: String) {
        #expect(refusal(arguments) == .usage("chat: " + line))
    }

    @Test func wrongVariablesAreNamedAsVariables() {
        #expect(
            refusal([], ["CHAT_PORT": "http"])
                == .usage("chat: CHAT_PORT \"http\" is no port (0 to 65535)"))
    }

    @Test func secretsComeFromEnvironmentOrFileNeverBothAndAreNeverShown() throws {
        #expect(try read([], ["KEY": "abcd"])[Self.secret]?.exposed == "abcd")
        #expect(
            try read([], ["KEY_FILE": "/k"], files: ["/k": "efgh"])[Self.secret]?.exposed == "efgh")
        #expect(
            try read(["--key-file", "/k"], ["KEY": "abcd"], files: ["/k": "efgh"])[Self.secret]?
                .exposed
                == "efgh")
        #expect(
            refusal([], ["KEY": "abcd", "KEY_FILE": "/k"])
                == .usage("chat: KEY and KEY_FILE are both set; keep one"))
        #expect(refusal([], ["KEY": "abc"]) == .usage("chat: KEY is shorter than 4 bytes"))
        #expect(refusal([], ["KEY_FILE": "/no"]) == .usage("chat: KEY_FILE cannot be read"))
        let secret = Secret("hunter2")
        #expect("\(secret)" == "(secret)")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!dumped.contains("hunter2"))
    }

    @Test func helpListsEveryOptionWithVariableAndDefault() {
        guard case .help(let text) = refusal(["--chat-port", "bogus", "--help"]) else {
            Issue.record("no help")
            return
        }
        #expect(text.hasPrefix("chat 1.2.3: Chats.\n"))
        #expect(text.contains("  --chat-port PORT   CHAT_PORT\n      Port. Default: 3001.\n"))
        #expect(text.contains("  --unlimited   UNLIMITED\n      No limits. Off by default.\n"))
        #expect(text.contains("  --wait TIME   WAIT\n      Wait. Default: 30s.\n"))
        #expect(text.contains("  --redis-url URL   REDIS_URL\n      Redis. Default: none.\n"))
        #expect(text.contains("  --key-file PATH   KEY_FILE\n"))
        #expect(refusal(["--version"]) == .version("chat 1.2.3"))
    }

    @Test(
        arguments: [
            ("250ms", Duration.milliseconds(250)), ("0s", .zero), ("90s", .seconds(90)),
            ("5m", .seconds(300)), ("2h", .seconds(7200)), ("1d", .seconds(86400)),
            ("", nil), ("5", nil), ("s", nil), ("-1s", nil), ("1.5s", nil), ("1 s", nil),
            ("1S", nil),
            ("99999999999999999999s", nil), ("999999999999999999d", nil),
        ] as [(String, Duration?)])
    func durationsAreReadWithTheirUnit(text: String, duration: Duration?) {
        #expect(DurationText.parse(text) == duration)
    }

    @Test(arguments: [
        (Duration.zero, "0s"), (.milliseconds(1), "1ms"), (.milliseconds(1500), "1500ms"),
        (.seconds(90), "90s"), (.seconds(120), "2m"), (.seconds(7200), "2h"),
        (.seconds(86400), "1d"),
    ])
    func durationsAreWrittenInTheLargestWholeUnit(duration: Duration, text: String) {
        #expect(DurationText.string(duration) == text)
    }

    @Test(
        arguments: [
            ("http://h", "http://h"), ("https://h:8443/a/", "https://h:8443/a"),
            ("http://[::1]:80", "http://[::1]:80"), ("http://[::1]", "http://[::1]"),
            ("ftp://h", nil), ("http://", nil), ("http://:80", nil), ("http://h:", nil),
            ("http://h:70000", nil), ("http://h#f", nil), ("http://h /", nil), ("h", nil),
        ] as [(String, String?)])
    func urlsAreAbsoluteAndLoseTheirLastSlash(text: String, expected: String?) {
        #expect((try? URLText.check(text, schemes: ["http", "https"])) == expected)
    }

    @Test func listsAreSplitAtCommasAndTrimmed() throws {
        #expect(try read(["--origins", "a, b ,c"])[Self.origins] == ["a", "b", "c"])
        #expect(
            try read(["--networks", "10.0.0.0/8, ::1"])[Self.networks]
                == [NetworkRange("10.0.0.0/8"), NetworkRange("::1/128")])
    }

    @Test func everyServiceKnowsItsProxies() throws {
        let settings = try Settings(
            program: Self.program, keys: CommonSettings.keys, arguments: [],
            environment: ["TRUSTED_PROXIES": "172.29.77.0/24"]
        ) { (_) throws(SettingProblem) in "" }
        let context = ServiceContext(
            settings: settings, logger: Logger(label: "test"), metrics: MetricsRegistry())
        #expect(
            context.serverConfiguration(port: 0).trustedProxies == [NetworkRange("172.29.77.0/24")])
    }
}
