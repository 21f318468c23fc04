// SPDX-License-Identifier: MIT
import Testing
import Timing

@Suite struct TimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_000, "1994-11-06T08:49:37.000Z", "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_709_164_800_123, "2024-02-29T00:00:00.123Z", "Thu, 29 Feb 2024 00:00:00 GMT"),
            (-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 GMT"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] as [(Int64, String, String)])
    func formats(_ milliseconds: Int64, _ rfc3339: String, _ http: String) {
        #expect(Timestamp(milliseconds: milliseconds).rfc3339 == rfc3339)
        #expect(Timestamp(milliseconds: milliseconds).httpDate == http)
    }

    @Test func secondsRoundDown() {
        #expect(Timestamp(milliseconds: -1).seconds == -1)
        #expect(Timestamp(milliseconds: 1999).seconds == 1)
    }
}

@Suite struct InstantTests {
    @Test func additionHoldsAtTheEnd() {
        #expect(Instant(nanoseconds: .max - 5) + .seconds(1) == .distantFuture)
        #expect(Instant(nanoseconds: 0) + .milliseconds(3) == Instant(nanoseconds: 3_000_000))
    }
}
