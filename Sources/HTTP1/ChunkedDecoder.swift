// SPDX-License-Identifier: MIT
internal import Bytes

/// Takes chunked transfer coding off (RFC 9112 §7.1). Data is given as ranges, not copied.
///
/// ```
/// size ──size > 0──► data ──all read──► dataEnd ──CRLF──► size
///   └────size = 0──► trailers ──empty line──► (end)
/// ```
/// All moves are made in `next`. Trailer fields are checked like header fields and dropped, as RFC 9110
/// §6.5.1 wants for fields nobody has defined as safe to merge.
struct ChunkedDecoder: Sendable {
    enum Step {
        case needMore(consumed: Int)
        case data(Range<Int>)
        case end(consumed: Int)
    }

    private enum Stage { case size, data, dataEnd, trailers }

    private var stage = Stage.size
    /// Bytes of the chunk under way that are still to come.
    private var remaining = 0
    /// Data bytes announced so far, those of the chunk under way included.
    private var announced = 0
    private var extensionBytes = 0
    private var scanner = LineScanner()
    private var trailers = FieldSection()

    /// 16 digits hold any `Int`; the rest is for leading zeros, which the grammar does not forbid.
    private static let maxSizeDigits = 32

    mutating func next(
        in bytes: Span<UInt8>, from start: Int, limits: HTTPLimits, maxBodyBytes: Int
    ) throws(HTTPError) -> Step {
        var start = start
        while true {
            switch stage {
            case .size:
                let limit =
                    ChunkedDecoder.maxSizeDigits + limits.maxChunkExtensionBytes - extensionBytes
                switch try scanner.next(in: bytes, from: start, limit: limit) {
                case .needMore: return .needMore(consumed: start)
                case .tooLong: throw .chunkExtensionsTooLarge
                case .line(let line, let next):
                    remaining = try size(bytes.extracting(line), limits: limits)
                    guard remaining <= maxBodyBytes - announced else { throw .bodyTooLarge }
                    announced += remaining
                    start = next
                    stage = remaining > 0 ? .data : .trailers
                }
            case .data:
                let count = min(remaining, bytes.count - start)
                guard count > 0 else { return .needMore(consumed: start) }
                remaining -= count
                if remaining == 0 { stage = .dataEnd }
                return .data(start..<start + count)
            case .dataEnd:
                guard bytes.count > start else { return .needMore(consumed: start) }
                guard bytes[start] == HTTPCharacter.carriageReturn else { throw .malformedChunk }
                guard bytes.count > start + 1 else { return .needMore(consumed: start) }
                guard bytes[start + 1] == HTTPCharacter.lineFeed else { throw .malformedChunk }
                start += 2
                stage = .size
            case .trailers:
                switch try trailers.next(in: bytes, from: start, limits: limits) {
                case .needMore(let consumed): return .needMore(consumed: consumed)
                case .end(let consumed): return .end(consumed: consumed)
                }
            }
        }
    }

    /// The size on a chunk's first line; what stands behind it is counted and checked.
    private mutating func size(_ line: Span<UInt8>, limits: HTTPLimits) throws(HTTPError) -> Int {
        var value = 0
        var index = 0
        while index < line.count, let digit = Hex.value(of: line[index]) {
            // Compared before the shift: a size that overflows must not wrap into a small one.
            guard value <= Int.max >> 4 else { throw .bodyTooLarge }
            value = value << 4 | Int(digit)
            index += 1
        }
        guard index > 0, index <= ChunkedDecoder.maxSizeDigits else { throw .malformedChunk }
        guard index < line.count else { return value }
        extensionBytes += line.count - index
        guard extensionBytes <= limits.maxChunkExtensionBytes else {
            throw .chunkExtensionsTooLarge
        }
        // RFC 9112 §7.1.1: *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
        while index < line.count, HTTPCharacter.isBlank(line[index]) { index += 1 }
        guard index < line.count, line[index] == UInt8(ascii: ";") else { throw .malformedChunk }
        for index in index..<line.count where !HTTPCharacter.isFieldText(line[index]) {
            throw .malformedChunk
        }
        return value
    }
}
