// SPDX-License-Identifier: MIT

/// What one peer may make a receiver hold. Each bound is tested at the limit and one past it.
package struct WebSocketLimits: Hashable, Sendable {
    /// Bytes of one message, fragments together, after inflation; past it the close code is 1009.
    package var maxMessageBytes: Int
    /// Frames that one message may come in. Empty fragments cost work and no bytes, so bytes alone
    /// would not bound them.
    package var maxFragments: Int
    /// Up to this length a message in one frame waits in the caller's buffer until it is whole, and is
    /// then given without a copy. Longer ones are gathered aside as they arrive, so the buffer may stay
    /// small: it needs this many bytes, or 125 where this is less, and 14 for a header.
    package var maxInPlaceBytes: Int

    /// Defaults: Engine.IO's `maxPayload`; fragments enough for any client that cuts a message of that
    /// size into kilobytes; a buffer of the usual 16 KiB.
    package init(
        maxMessageBytes: Int = 1_000_000, maxFragments: Int = 1024, maxInPlaceBytes: Int = 16_384
    ) {
        self.maxMessageBytes = maxMessageBytes
        self.maxFragments = maxFragments
        self.maxInPlaceBytes = maxInPlaceBytes
    }

    /// Bytes that a compressed message may have on the wire: the message's limit and what deflate adds
    /// to data it cannot shrink, so that any message within the limit passes.
    var maxCompressedBytes: Int { maxMessageBytes + maxMessageBytes / 256 + 1024 }
}
