// SPDX-License-Identifier: MIT

/// Ranges of a buffer in the order they were found. The first sixteen lie in the value itself, so that
/// taking apart what most messages look like allocates nothing; only what is longer takes an array for
/// the rest.
///
/// Shape: offsets into the buffer that was read, which must still hold the same bytes when they are
/// used. Not generic over its room: such a type, where it is not specialised, costs a hundred times more.
package struct RangeList: Sendable {
    /// Ranges that lie in the value.
    @inlinable static var inlineCount: Int { 16 }

    /// Lower bound in the upper half, upper bound in the lower.
    @usableFromInline var head: InlineArray<16, UInt64> = .init(repeating: 0)
    @usableFromInline var headCount = 0
    /// What comes behind, and from the first range on whose bounds do not fit 32 bits.
    @usableFromInline var tail: [Range<Int>] = []

    /// No ranges.
    @inlinable
    package init() {}

    /// Adds a range behind those there are.
    @inlinable
    package mutating func append(_ range: Range<Int>) {
        if headCount < RangeList.inlineCount, tail.isEmpty, range.lowerBound >= 0,
            range.upperBound <= Int(UInt32.max)
        {
            head[headCount] = UInt64(range.lowerBound) << 32 | UInt64(range.upperBound)
            headCount += 1
        } else {
            tail.append(range)
        }
    }
}

extension RangeList: RandomAccessCollection {
    @inlinable
    package var startIndex: Int { 0 }
    @inlinable
    package var endIndex: Int { headCount + tail.count }

    @inlinable
    package subscript(index: Int) -> Range<Int> {
        guard index < headCount else { return tail[index - headCount] }
        let bounds = head[index]
        return Int(bounds >> 32)..<Int(bounds & 0xFFFF_FFFF)
    }
}

extension RangeList: Hashable {
    @inlinable
    package static func == (left: RangeList, right: RangeList) -> Bool {
        left.elementsEqual(right)
    }

    @inlinable
    package func hash(into hasher: inout Hasher) {
        for range in self { hasher.combine(range) }
    }
}

extension RangeList: ExpressibleByArrayLiteral {
    @inlinable
    package init(arrayLiteral elements: Range<Int>...) {
        for element in elements { append(element) }
    }
}
