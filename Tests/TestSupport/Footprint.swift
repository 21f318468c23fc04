// SPDX-License-Identifier: MIT

/// What values take of the heap.
package enum Footprint {
    /// Bytes that malloc hands out for an object of a class: its fields and the 16 of the object's header,
    /// rounded up to what glibc has (16 n, of which 8 are its own).
    package static func bytes(of type: AnyClass) -> Int {
        // SAFETY: class metadata of Swift's ABI where there is no Objective-C: kind, superclass, flags (4),
        // address point (4), instance size (4). `FootprintTests` checks it with a class of known size.
        let size = unsafeBitCast(type, to: UnsafeRawPointer.self)
            .load(fromByteOffset: 24, as: UInt32.self)
        return max(32, (Int(size) + 8 + 15) / 16 * 16)
    }
}
