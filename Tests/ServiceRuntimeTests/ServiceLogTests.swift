// SPDX-License-Identifier: MIT
import JSON
import Logging
import Locks
import Testing
import Timing

@testable import ServiceRuntime

struct ServiceLogTests {
    final class Lines: Sendable {
        private let lines = Locked<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func append(_ line: String) { lines.withLock { $0.append(line) } }
    }

    func logger(_ format: LogFormat, level: Logger.Level = .info, into lines: Lines) -> Logger {
        Logger(label: "chat") { label in
            LineHandler(
                label: label, format: format, level: level,
                now: { Timestamp(milliseconds: 1_000) }, write: { lines.append($0) })
        }
    }

    @Test func textIsOneLineWithSortedFields() {
        let lines = Lines()
        logger(.text, into: lines).info("ready", metadata: ["port": "3001", "host": "127.0.0.1"])
        #expect(
            lines.all == ["1970-01-01T00:00:01.000Z info chat: ready host=127.0.0.1 port=3001\n"])
    }

    @Test func whatAPeerWroteCanNeitherEndTheLineNorPassForAField() {
        let lines = Lines()
        logger(.text, into: lines).warning("refused\nevil", metadata: ["origin": "a\nb=\"c\" d"])
        #expect(
            lines.all == [
                "1970-01-01T00:00:01.000Z warning chat: refused evil origin=\"a\\nb=\\\"c\\\" d\"\n"
            ])
    }

    @Test func jsonHoldsTheSameFields() throws {
        let lines = Lines()
        logger(.json, into: lines).error(
            "failed", metadata: ["level": "x", "parts": ["a", ["b": "c"]]])
        #expect(
            lines.all == [
                #"{"at":"1970-01-01T00:00:01.000Z","level":"error","logger":"chat","#
                    + #""message":"failed","_level":"x","parts":["a",{"b":"c"}]}"# + "\n"
            ])
    }

    @Test func linesBelowTheLevelAreNotWritten() {
        let lines = Lines()
        logger(.text, level: .warning, into: lines).info("quiet")
        #expect(lines.all.isEmpty)
    }

    @Test(arguments: ["token", "accessToken", "client_secret", "Password", "Set-Cookie"])
    func metadataNamedAsASecretIsHidden(name: String) {
        for format in LogFormat.allCases {
            let lines = Lines()
            logger(format, into: lines).info(
                "x", metadata: ["\(name)": "hunter2", "nested": ["\(name)": "hunter2"]])
            #expect(lines.all.count == 1)
            #expect(!lines.all[0].contains("hunter2"))
        }
    }
}
