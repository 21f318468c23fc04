// SPDX-License-Identifier: MIT

/// What a `range` field asks for of a representation (RFC 9110 §14.1.2, §14.2). Pure.
enum ByteRanges: Hashable, Sendable {
    /// No ranges, or such as a server need not serve: the whole is the answer.
    case whole
    /// One or more, each within the representation and not empty, in the order asked.
    case some([Range<Int>])
    /// None of them is within the representation: 416.
    case unsatisfiable

    /// Ranges of one request that are served; a request for more gets the whole.
    static let maxRanges = 16

    /// - Parameters:
    ///   - field: the field's value.
    ///   - count: bytes of the representation.
    init(_ field: String, of count: Int) {
        self = .whole
        let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].lowercased() == "bytes" else { return }
        var ranges: [Range<Int>] = []
        var specs = 0
        for item in parts[1].split(separator: ",") {
            let spec = item.filter { $0 != " " && $0 != "\t" }
            if spec.isEmpty { continue }
            specs += 1
            guard specs <= ByteRanges.maxRanges else { return }
            let ends = spec.split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count == 2 else { return }
            switch (ByteRanges.position(ends[0]), ByteRanges.position(ends[1])) {
            case (.none, .none), (.malformed, _), (_, .malformed): return
            case (.none, .at(let last)):
                if last > 0, count > 0 { ranges.append(count - min(last, count)..<count) }
            case (.at(let first), .none):
                if first < count { ranges.append(first..<count) }
            case (.at(let first), .at(let last)):
                guard first <= last else { return }
                if first < count { ranges.append(first..<min(last, count - 1) + 1) }
            }
        }
        guard specs > 0 else { return }
        guard !ranges.isEmpty else {
            self = .unsatisfiable
            return
        }
        // Ranges that lie over one another ask for more than there is (RFC 9110 §17.15).
        guard ranges.count == 1 || ranges.reduce(0, { $0 + $1.count }) <= count else { return }
        self = .some(ranges)
    }

    private enum Position {
        case none
        case at(Int)
        case malformed
    }

    private static func position(_ text: Substring) -> Position {
        guard !text.isEmpty else { return .none }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return .malformed }
        // More than any file has: held, so that it is past the end and not negative.
        return .at(Int(text) ?? .max - 1)
    }
}
