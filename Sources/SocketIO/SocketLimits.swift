// SPDX-License-Identifier: MIT

/// What one peer may make a decoder hold. Each bound is tested at the limit and one past it. The text of a
/// packet is bounded below, by Engine.IO's `maxPayload`.
package struct SocketLimits: Hashable, Sendable {
    /// Attachments of one packet. 10 is the reference parser's own bound.
    package var maxAttachments: Int
    /// Bytes of all attachments of one packet together: they are held until the last has come.
    package var maxAttachmentBytes: Int
    /// Bytes of a namespace's name.
    package var maxNamespaceBytes: Int
    /// Levels that JSON may nest; checking recurses that deep.
    package var maxDepth: Int

    /// Defaults: the reference's ten attachments; four payloads of Engine.IO's default size; names longer
    /// than any that is typed by hand; nesting deeper than any event that people design.
    package init(
        maxAttachments: Int = 10, maxAttachmentBytes: Int = 4_000_000,
        maxNamespaceBytes: Int = 256, maxDepth: Int = 32
    ) {
        self.maxAttachments = maxAttachments
        self.maxAttachmentBytes = maxAttachmentBytes
        self.maxNamespaceBytes = maxNamespaceBytes
        self.maxDepth = maxDepth
    }
}
