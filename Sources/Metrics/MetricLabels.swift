// SPDX-License-Identifier: MIT

/// The labels that tell series of one name apart, in the order written: `["loop": "0"]`.
///
/// Each set of values is a series kept for ever, so a label never holds what peers choose: no room,
/// no user, no address.
package struct MetricLabels: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    struct Pair: Hashable, Sendable {
        let name: String
        let value: String
    }

    let pairs: [Pair]

    /// Traps on a name outside `[a-zA-Z_][a-zA-Z0-9_]*`, one that begins with `__` or is `le` (both
    /// are Prometheus's own), or one that stands twice.
    package init(dictionaryLiteral elements: (String, String)...) {
        for (name, _) in elements {
            precondition(
                MetricLabels.isName(name, colons: false) && !name.hasPrefix("__") && name != "le",
                "\(name) is no label name")
        }
        precondition(Set(elements.map(\.0)).count == elements.count, "a label stands twice")
        pairs = elements.map { Pair(name: $0.0, value: $0.1) }
    }

    static func isName(_ name: String, colons: Bool) -> Bool {
        guard let first = name.utf8.first else { return false }
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard !digits.contains(first) else { return false }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "_"):
                true
            case UInt8(ascii: ":"): colons
            default: digits.contains(byte)
            }
        }
    }
}
