// SPDX-License-Identifier: MIT
internal import Addresses

extension SettingKey where Value == Int {
    /// A TCP port, 0 to 65535; 0 lets the kernel choose.
    package static func port(_ name: String, default fallback: Int, help: String) -> SettingKey {
        .int(name, default: fallback, in: 0...65535, unit: "PORT", help: help, noun: "port")
    }

    /// A whole number within a range.
    /// - Parameter unit: what it counts, in capitals as help shows it: `BYTES`.
    package static func int(
        _ name: String, default fallback: Int, in range: ClosedRange<Int>, unit: String,
        help: String
    ) -> SettingKey {
        .int(name, default: fallback, in: range, unit: unit, help: help, noun: "whole number")
    }

    private static func int(
        _ name: String, default fallback: Int, in range: ClosedRange<Int>, unit: String,
        help: String, noun: String
    ) -> SettingKey {
        SettingKey(
            name: name, placeholder: unit, help: help, fallback: String(fallback), source: .plain
        ) { (text) throws(SettingProblem) in
            // `Int.init` takes a leading plus sign too; a configuration has no use for it.
            guard let text, let value = Int(text), range.contains(value), !text.hasPrefix("+")
            else {
                let bounds =
                    range.upperBound == .max
                    ? "at least \(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
                throw SettingProblem("is no \(noun) (\(bounds))")
            }
            return value
        }
    }
}

extension SettingKey where Value == Bool {
    /// A switch, off by default: 1 or 0, true or false, yes or no, on or off. The flag alone
    /// switches it on and never takes the next argument; `--name=0` switches it off.
    package static func bool(_ name: String, help: String) -> SettingKey {
        SettingKey(name: name, placeholder: "", help: help, fallback: "0", source: .toggle) {
            (text) throws(SettingProblem) in
            switch text?.lowercased() {
            case "1", "true", "yes", "on": true
            case "0", "false", "no", "off": false
            default: throw SettingProblem("is neither 1 nor 0 (true, false)")
            }
        }
    }
}

extension SettingKey where Value == Duration {
    /// A length of time within a range, written with its unit: `250ms`, `30s`, `5m`, `2h`, `1d`.
    package static func duration(
        _ name: String, default fallback: Duration, in range: ClosedRange<Duration>, help: String
    ) -> SettingKey {
        SettingKey(
            name: name, placeholder: "TIME", help: help, fallback: DurationText.string(fallback),
            source: .plain
        ) { (text) throws(SettingProblem) in
            guard let text, let value = DurationText.parse(text), range.contains(value) else {
                let least = DurationText.string(range.lowerBound)
                let most = DurationText.string(range.upperBound)
                throw SettingProblem("is no time such as 250ms, 30s, 5m (\(least) to \(most))")
            }
            return value
        }
    }
}

extension SettingKey where Value == String {
    /// Any text on one line. With an empty default it may stay empty, which means "none".
    package static func text(
        _ name: String, default fallback: String, placeholder: String = "TEXT", help: String
    ) -> SettingKey {
        SettingKey(
            name: name, placeholder: placeholder, help: help, fallback: fallback, source: .plain
        ) { (text) throws(SettingProblem) in
            let text = text ?? ""
            guard fallback.isEmpty || !text.isEmpty else { throw SettingProblem("is empty") }
            // A control character is an accident of quoting, and breaks what is built on one line.
            guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                throw SettingProblem("holds a control character")
            }
            return text
        }
    }

    /// A path in the file system, not looked at here. With an empty default it may stay empty.
    package static func path(
        _ name: String, default fallback: String, help: String
    ) -> SettingKey {
        .text(name, default: fallback, placeholder: "PATH", help: help)
    }

    /// An absolute URL of one of `schemes` without fragment; a trailing slash is dropped, so that
    /// paths can be appended and issuers compared. With an empty default it may stay empty.
    package static func url(
        _ name: String, default fallback: String, schemes: [String] = ["http", "https"],
        help: String
    ) -> SettingKey {
        SettingKey(name: name, placeholder: "URL", help: help, fallback: fallback, source: .plain) {
            (text) throws(SettingProblem) in
            let text = text ?? ""
            if text.isEmpty, fallback.isEmpty { return "" }
            return try URLText.check(text, schemes: schemes)
        }
    }
}

extension SettingKey where Value == [String] {
    /// Texts separated by commas; blanks around them are dropped. Empty is the empty list.
    package static func list(
        _ name: String, default fallback: [String] = [], placeholder: String = "A,B", help: String
    ) -> SettingKey {
        SettingKey(
            name: name, placeholder: placeholder, help: help,
            fallback: fallback.joined(separator: ","), source: .plain
        ) { (text) throws(SettingProblem) in try ListText.items(text) }
    }
}

extension SettingKey where Value == [NetworkRange] {
    /// Networks in CIDR notation separated by commas, none by default; a bare address is a network of
    /// one.
    package static func networks(_ name: String, help: String) -> SettingKey {
        SettingKey(name: name, placeholder: "CIDR,CIDR", help: help, fallback: "", source: .plain) {
            (text) throws(SettingProblem) in
            var ranges: [NetworkRange] = []
            for (index, item) in try ListText.items(text).enumerated() {
                guard let range = NetworkRange(item) else {
                    throw SettingProblem(
                        "has no network such as 10.0.0.0/8 or fd00::/8 in place \(index + 1)")
                }
                ranges.append(range)
            }
            return ranges
        }
    }
}

extension SettingKey where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One of the words of an enumeration.
    package static func choice(
        _ name: String, default fallback: Value, help: String
    ) -> SettingKey {
        let words = Value.allCases.map(\.rawValue).joined(separator: "|")
        return SettingKey(
            name: name, placeholder: words, help: help, fallback: fallback.rawValue, source: .plain
        ) { (text) throws(SettingProblem) in
            guard let text, let value = Value(rawValue: text) else {
                throw SettingProblem("is none of \(words)")
            }
            return value
        }
    }
}

extension SettingKey where Value == Secret? {
    /// A secret: from the environment, or from the file that `NAME_FILE` or `--name-file` names (its
    /// last line end is dropped). Nil when neither is given.
    /// - Parameter minimumBytes: shorter ones are refused.
    package static func secret(
        _ name: String, minimumBytes: Int = 16, help: String
    ) -> SettingKey {
        SettingKey(name: name, placeholder: "PATH", help: help, fallback: nil, source: .secret) {
            (text) throws(SettingProblem) in
            guard let text else { return nil }
            guard text.utf8.count >= minimumBytes else {
                throw SettingProblem("is shorter than \(minimumBytes) bytes")
            }
            return Secret(text)
        }
    }
}

/// Lists as configuration writes them.
enum ListText {
    /// The parts between commas without the blanks around them; none of an empty text.
    static func items(_ text: String?) throws(SettingProblem) -> [String] {
        guard let text, !text.isEmpty else { return [] }
        var items: [String] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let item = part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
            guard !item.isEmpty else { throw SettingProblem("has an empty place in its list") }
            items.append(String(item))
        }
        return items
    }
}

/// Lengths of time as configuration writes them.
enum DurationText {
    private static let units: [(suffix: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// A whole number and a unit, without a blank between; nil for anything else.
    static func parse(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        // Eighteen digits cannot overflow before the multiplication, which is checked.
        guard !digits.isEmpty, digits.count <= 18, let count = Int64(digits),
            let unit = units.first(where: { $0.suffix == text.dropFirst(digits.count) })
        else { return nil }
        let (milliseconds, over) = count.multipliedReportingOverflow(by: unit.milliseconds)
        return over ? nil : .milliseconds(milliseconds)
    }

    /// The shortest way to write a whole number of milliseconds.
    static func string(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        let unit = units.last { milliseconds.isMultiple(of: $0.milliseconds) && milliseconds != 0 }
        guard let unit else { return "0s" }
        return "\(milliseconds / unit.milliseconds)\(unit.suffix)"
    }
}

/// The little that configuration must know of URLs.
enum URLText {
    static func check(_ text: String, schemes: [String]) throws(SettingProblem) -> String {
        let expected = schemes.map { "\($0)://" }.joined(separator: " or ")
        let problem = SettingProblem("is no URL that begins with \(expected) and a host")
        guard let scheme = schemes.first(where: { text.hasPrefix("\($0)://") }) else {
            throw problem
        }
        let rest = text.dropFirst(scheme.count + 3)
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let host = authority.split(separator: "@").last ?? ""
        guard !host.isEmpty, !host.hasPrefix(":"), !text.contains("#"),
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { throw problem }
        // The port stands behind the last colon outside the brackets of an IPv6 address.
        let afterBracket = host.split(separator: "]", omittingEmptySubsequences: false).last ?? host
        if let colon = afterBracket.lastIndex(of: ":") {
            let digits = afterBracket[afterBracket.index(after: colon)...]
            guard let port = Int(digits), (1...65535).contains(port) else {
                throw SettingProblem("has no port from 1 to 65535 behind its colon")
            }
        }
        return text.hasSuffix("/") ? String(text.dropLast()) : text
    }
}
