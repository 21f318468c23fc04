// SPDX-License-Identifier: MIT
internal import HTTPClient
internal import JSON
internal import Testing
internal import Timing

@testable internal import Webhooks

@Suite struct RetryScheduleTests {
    private let schedule = RetrySchedule()
    private let now = Timestamp(seconds: 784_111_777)  // Sun, 06 Nov 1994 08:49:37 GMT

    @Test func makesTenAttemptsOverThreeDays() {
        let delays = (1...9).map { schedule.delay(afterAttempts: $0, random: 0.5) }
        #expect(
            delays == [
                .seconds(5), .seconds(300), .seconds(1800), .seconds(7200), .seconds(18_000),
                .seconds(36_000), .seconds(50_400), .seconds(72_000), .seconds(86_400),
            ])
        let total = delays.compactMap(\.self).reduce(Duration.zero, +)
        #expect(total == .seconds(272_105), "75:35:05")
        #expect(schedule.delay(afterAttempts: 10, random: 0.5) == nil)
        #expect(schedule.delay(afterAttempts: .max, random: 0.5) == nil)
        #expect(schedule.delay(afterAttempts: 0, random: 0.5) == nil)
    }

    @Test func spreadsByAFifthEachWay() {
        #expect(schedule.delay(afterAttempts: 1, random: 0) == .seconds(4))
        #expect(schedule.delay(afterAttempts: 1, random: 1) == .seconds(6))
    }

    @Test func waitsAsLongAsAskedUpToTwoHoursMore() {
        func delay(_ asked: Duration) -> Duration? {
            schedule.delay(afterAttempts: 1, random: 0.5, atLeast: asked)
        }
        #expect(delay(.seconds(1)) == .seconds(5))
        #expect(delay(.seconds(60)) == .seconds(60))
        #expect(delay(.seconds(7205)) == .seconds(7205))
        #expect(delay(.seconds(7206)) == .seconds(7205))
        #expect(delay(.seconds(1 << 31)) == .seconds(7205))
    }

    @Test(arguments: [
        ("0", Duration.seconds(0)), ("120", .seconds(120)),
        ("99999999999999999999", .seconds(1 << 31)),
        ("Sun, 06 Nov 1994 08:49:38 GMT", .seconds(1)),
        ("Sun, 06 Nov 1994 08:49:00 GMT", .zero),
        ("Tue, 08 Nov 1994 00:00:00 GMT", .seconds(141_023)),
        ("Thu, 29 Feb 1996 00:00:00 GMT", .seconds(41_440_223)),
    ])
    func readsRetryAfter(_ value: String, _ duration: Duration) {
        #expect(RetrySchedule.retryAfter(value, now: now) == duration)
    }

    @Test(arguments: [
        "", "-1", "1.5", "soon", "Mon, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        "Thu, 31 Feb 1994 00:00:00 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 06 Nov 99999 08:49:37 GMT",
    ])
    func readsNothingElse(_ value: String) {
        #expect(RetrySchedule.retryAfter(value, now: now) == nil)
    }
}

@Suite struct DeliveryVerdictTests {
    private let now = Timestamp(seconds: 1000)

    private func verdict(_ result: AttemptResult, attempts: Int = 1) -> DeliveryVerdict {
        .of(result, attempts: attempts, schedule: RetrySchedule(), random: 0.5, now: now)
    }

    @Test(
        arguments: [
            (200, nil, DeliveryVerdict.delivered), (204, "9", .delivered), (299, nil, .delivered),
            (300, nil, .retry(at: Timestamp(seconds: 1005))),
            (302, "900", .retry(at: Timestamp(seconds: 1005))),
            (400, nil, .retry(at: Timestamp(seconds: 1005))), (410, nil, .gone),
            (429, nil, .retry(at: Timestamp(seconds: 1060))),
            (429, "10", .retry(at: Timestamp(seconds: 1010))),
            (429, "1", .retry(at: Timestamp(seconds: 1005))),
            (500, "900", .retry(at: Timestamp(seconds: 1005))),
            (502, nil, .retry(at: Timestamp(seconds: 1005))),
            (503, "900", .retry(at: Timestamp(seconds: 1900))),
            (504, "soon", .retry(at: Timestamp(seconds: 1005))),
        ] as [(Int, String?, DeliveryVerdict)])
    func followsFromTheStatus(_ status: Int, _ retryAfter: String?, _ expected: DeliveryVerdict) {
        #expect(verdict(.status(status, retryAfter: retryAfter)) == expected)
    }

    @Test func triesAgainAfterEachKindOfFailureUntilTheLast() {
        for error in [HTTPClientError.blockedAddress, .tls, .timeout(.connect), .closed] {
            #expect(verdict(.failed(error)) == .retry(at: Timestamp(seconds: 1005)))
            #expect(verdict(.failed(error), attempts: 10) == .dead)
        }
        #expect(verdict(.status(500, retryAfter: nil), attempts: 10) == .dead)
        #expect(verdict(.status(200, retryAfter: nil), attempts: 10) == .delivered)
        #expect(verdict(.status(410, retryAfter: nil), attempts: 10) == .gone)
    }
}

@Suite struct EventFilterTests {
    @Test(
        arguments: [
            ([], "message.created", true), (["*"], "message.created", true),
            (["message.*"], "message.created", true), (["message.*"], "message", false),
            (["message.*"], "messages.created", false), (["message.*"], "message.", false),
            (["message.created"], "message.created", true),
            (["message.created"], "message.edited", false),
            (["receipt.*", "message.created"], "message.created", true),
            (["security.*"], "security.session_revoked", true),
        ] as [([String], String, Bool)])
    func matchesTypes(_ patterns: [String], _ type: String, _ isWanted: Bool) {
        #expect((EventFilter(types: patterns).drop(type: type, room: nil) == nil) == isWanted)
    }

    @Test func saysWhyItDrops() {
        let filter = EventFilter(types: ["alert.*"], rooms: ["lobby"], minSeverity: .warning)
        #expect(filter.drop(type: "message.created", room: "lobby") == .type)
        #expect(filter.drop(type: "alert.raised", room: "other", severity: .critical) == .room)
        #expect(filter.drop(type: "alert.raised", room: nil, severity: .info) == .severity)
        #expect(filter.drop(type: "alert.raised", room: nil, severity: .warning) == nil)
        #expect(filter.drop(type: "alert.raised", room: "lobby", severity: .critical) == nil)
    }

    @Test(arguments: [
        ("*", true), ("message.*", true), ("a.b.c", true), ("a_1.b", true), ("", false),
        (".", false),
        ("a.", false), ("*.a", false), ("a*", false), ("A", false), ("a b", false), ("**", false),
    ])
    func knowsPatterns(_ text: String, _ isPattern: Bool) {
        #expect(EventFilter.isPattern(text) == isPattern)
    }

    @Test(
        arguments: [
            ("user.created", "security.user_created"),
            ("session.revoked", "security.session_revoked"),
            ("security.refresh_reuse", "security.refresh_reuse"), ("key.rotated", nil),
        ] as [(String, String?)])
    func namesAuthEntries(_ entry: String, _ type: String?) {
        #expect(EventTypes.ofAuthEntry(entry) == type)
        if let type { #expect(EventTypes.all.contains(type)) }
    }
}

@Suite struct WebhookPayloadTests {
    @Test func carriesTheEventAndItsPlace() throws {
        let data = Array("{\"text\":\"hé\"}".utf8)
        let body = WebhookPayload.build(
            type: "message.created", at: Timestamp(seconds: 0), source: "chat", sequence: 7,
            room: "lobby", data: data.span)
        #expect(
            String(decoding: body, as: UTF8.self) == """
                {"v":1,"type":"message.created","timestamp":"1970-01-01T00:00:00.000Z",\
                "source":"chat","sequence":7,"room":"lobby","data":{"text":"hé"}}
                """)
    }

    @Test func turnsThinPastTheCap() throws {
        let head = "{\"text\":\""
        let tail = "\"}"
        func build(_ count: Int) -> [UInt8] {
            let data = Array((head + String(repeating: "x", count: count) + tail).utf8)
            return WebhookPayload.build(
                type: "message.created", at: Timestamp(seconds: 0), source: "chat", sequence: 7,
                room: nil, data: data.span)
        }
        let overhead = build(0).count
        let full = build(WebhookPayload.maxBytes - overhead)
        #expect(full.count == WebhookPayload.maxBytes)
        let thin = try JSONValue(parsing: build(WebhookPayload.maxBytes - overhead + 1))
        #expect(thin["truncated"] == true)
        #expect(thin["sequence"] == 7)
        #expect(thin["data"] == [:])
    }
}
