// SPDX-License-Identifier: MIT

/// What one peer may ask a parser to hold or read. Each bound is tested at the limit and one past it.
package struct HTTPLimits: Hashable, Sendable {
    /// Bytes of the request line or status line, CRLF not counted. RFC 9112 §3 asks for 8,000 at
    /// least; past it the answer is 414.
    package var maxRequestLineBytes: Int
    /// Lines in one field section. Browsers send about 20; past it the answer is 431.
    package var maxFields: Int
    /// Bytes of one field section, each line counted with its CRLF; past it the answer is 431.
    package var maxFieldBytes: Int
    /// Bytes of one body after chunked coding is taken off; past it the answer is 413.
    package var maxBodyBytes: Int
    /// Bytes of chunk extensions in one message: they carry nothing we use, so a peer that sends many
    /// is only making us read (CVE-2023-39326).
    package var maxChunkExtensionBytes: Int
    /// Empty lines ignored before a request line, which RFC 9112 §2.2 allows for old clients.
    package var maxEmptyLines: Int

    /// Defaults: the 8,000-byte line RFC 9112 asks for, rounded up; the 16 KiB of fields most servers
    /// allow; a body that holds Engine.IO's default `maxPayload` of 1,000,000 bytes.
    package init(
        maxRequestLineBytes: Int = 8192, maxFields: Int = 100, maxFieldBytes: Int = 16_384,
        maxBodyBytes: Int = 1_048_576, maxChunkExtensionBytes: Int = 4096, maxEmptyLines: Int = 4
    ) {
        self.maxRequestLineBytes = maxRequestLineBytes
        self.maxFields = maxFields
        self.maxFieldBytes = maxFieldBytes
        self.maxBodyBytes = maxBodyBytes
        self.maxChunkExtensionBytes = maxChunkExtensionBytes
        self.maxEmptyLines = maxEmptyLines
    }
}
