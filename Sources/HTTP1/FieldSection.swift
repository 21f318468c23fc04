// SPDX-License-Identifier: MIT
internal import Bytes

/// Reads header or trailer lines into fields, strictly (RFC 9112 §5), within limits on their number
/// and bytes.
struct FieldSection: Sendable {
    private(set) var fields = HTTPFields()
    private var count = 0
    private var byteCount = 0
    private var scanner = LineScanner()

    enum Step {
        /// Lines up to `consumed` are read; the next one is not whole yet.
        case needMore(consumed: Int)
        /// The empty line was read; the section ended at `consumed`.
        case end(consumed: Int)
    }

    /// Reads as many lines as there are from `start`.
    mutating func next(
        in bytes: Span<UInt8>, from start: Int, limits: HTTPLimits
    ) throws(HTTPError) -> Step {
        var start = start
        while true {
            let room = limits.maxFieldBytes - byteCount - 2
            switch try scanner.next(in: bytes, from: start, limit: max(0, room)) {
            case .needMore: return .needMore(consumed: start)
            case .tooLong: throw .fieldsTooLarge
            case .line(let line, let next):
                if line.isEmpty { return .end(consumed: next) }
                guard line.count <= room else { throw .fieldsTooLarge }
                guard count < limits.maxFields else { throw .tooManyFields }
                if count == 0 {
                    fields.reserve(bytes: min(bytes.count - start, limits.maxFieldBytes))
                }
                count += 1
                byteCount += line.count + 2
                try add(bytes.extracting(line))
                start = next
            }
        }
    }

    private mutating func add(_ line: Span<UInt8>) throws(HTTPError) {
        if line[0] == HTTPCharacter.space || line[0] == HTTPCharacter.tab { throw .foldedField }
        var colon = 0
        while colon < line.count, HTTPCharacter.isToken(line[colon]) { colon += 1 }
        guard colon > 0, colon < line.count else { throw .malformedField }
        guard line[colon] == UInt8(ascii: ":") else {
            let isSpace = line[colon] == HTTPCharacter.space || line[colon] == HTTPCharacter.tab
            throw isSpace ? .spaceBeforeColon : .malformedField
        }
        var first = colon + 1
        var end = line.count
        while first < end, HTTPCharacter.isBlank(line[first]) { first += 1 }
        while end > first, HTTPCharacter.isBlank(line[end - 1]) { end -= 1 }
        for index in first..<end where !HTTPCharacter.isFieldText(line[index]) {
            throw .malformedField
        }
        fields.append(name: line.extracting(0..<colon), value: line.extracting(first..<end))
    }
}
