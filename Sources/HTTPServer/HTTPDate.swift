// SPDX-License-Identifier: MIT
internal import Timing

/// Reads the three forms of a date that RFC 9110 §5.6.7 wants read; `Timestamp.httpDate` writes the one
/// that may be written.
enum HTTPDate {
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// - Parameter year: the year it is now, by which two digits are completed: not more than 50 years
    ///   ahead.
    /// - Returns: nil for anything else. The day's name is not held against its date.
    static func parse(_ text: String, year now: Int) -> Timestamp? {
        let words = text.split(separator: " ").map(String.init)
        switch words.count {
        case 6 where words[5] == "GMT" && words[0].utf8.count == 4 && words[0].hasSuffix(","):
            // Sun, 06 Nov 1994 08:49:37 GMT
            return moment(day: words[1], month: words[2], year: number(words[3], 4), time: words[4])
        case 4 where words[3] == "GMT" && words[0].hasSuffix("day,"):
            // Sunday, 06-Nov-94 08:49:37 GMT
            let parts = words[1].split(separator: "-").map(String.init)
            guard parts.count == 3, let short = number(parts[2], 2) else { return nil }
            var year = now / 100 * 100 + short
            if year > now + 50 { year -= 100 }
            return moment(day: parts[0], month: parts[1], year: year, time: words[2])
        case 5 where words[0].utf8.count == 3:
            // Sun Nov  6 08:49:37 1994
            let day = words[2].utf8.count == 1 ? "0" + words[2] : words[2]
            return moment(day: day, month: words[1], year: number(words[4], 4), time: words[3])
        default: return nil
        }
    }

    private static func number(_ text: some StringProtocol, _ digits: Int) -> Int? {
        guard text.utf8.count == digits, text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return Int(text)
    }

    private static func moment(day: String, month: String, year: Int?, time: String) -> Timestamp? {
        let clock = time.split(separator: ":")
        guard let year, year >= 1, let day = number(day, 2),
            let index = months.firstIndex(of: month),
            clock.count == 3, let hour = number(clock[0], 2), let minute = number(clock[1], 2),
            let second = number(clock[2], 2), (1...31).contains(day), hour < 24, minute < 60,
            second <= 60  // a leap second is one
        else { return nil }
        // Days since 1970 of a date of the Gregorian calendar; years begin in March here, so that the
        // day that comes every four years is the last.
        let shifted = index < 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((index + 10) % 12) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return Timestamp(seconds: Int64(days * 86_400 + hour * 3600 + minute * 60 + second))
    }
}
