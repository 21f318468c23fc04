// SPDX-License-Identifier: MIT

/// Why a message is refused. Framing is in doubt after any of these, so the connection is answered
/// with `status` and closed (RFC 9112 §9.6); the parser that threw must not be used again.
package enum HTTPError: Error, Hashable, Sendable, CaseIterable {
    /// Not `method SP target SP HTTP/1.x`, or more empty lines before it than we ignore.
    case malformedRequestLine
    /// Not `HTTP/1.x SP 3DIGIT [SP reason]`.
    case malformedStatusLine
    /// The request line passes `HTTPLimits.maxRequestLineBytes`.
    case requestLineTooLong
    /// A target in none of the four forms of RFC 9112 §3.2, or in one its method does not take.
    case badTarget
    /// A version other than HTTP/1.x.
    case unsupportedVersion
    /// CONNECT: this is no proxy, and what follows could not be framed (RFC 9110 §9.3.6).
    case unsupportedMethod
    /// A line feed without the carriage return; intermediaries disagree on what it ends.
    case bareLineFeed
    /// A field line without colon, with a name that is no token, or with a control in its value.
    case malformedField
    /// White space between field name and colon (RFC 9112 §5.1: reject).
    case spaceBeforeColon
    /// A field line that begins with white space (RFC 9112 §5.2: reject).
    case foldedField
    /// More field lines than `HTTPLimits.maxFields`.
    case tooManyFields
    /// More bytes than `HTTPLimits.maxFieldBytes`.
    case fieldsTooLarge
    /// HTTP/1.1 without `host` (RFC 9112 §3.2).
    case missingHost
    /// More than one `host` line (RFC 9112 §3.2).
    case severalHosts
    /// A `host` that is no `uri-host [":" port]`.
    case badHost
    /// A `content-length` that is not digits only.
    case badContentLength
    /// More than one `content-length`, even of one value: we take no part in guessing.
    case severalContentLengths
    /// `content-length` together with `transfer-encoding`: the classic smuggling attempt.
    case lengthAndTransferCoding
    /// `transfer-encoding` in an HTTP/1.0 message (RFC 9112 §6.1).
    case transferCodingInHTTP10
    /// `transfer-encoding` whose last coding is not `chunked`, or that is not a plain list.
    case badTransferCoding
    /// A transfer coding before `chunked` that we do not speak.
    case unknownTransferCoding
    /// An `expect` other than `100-continue`.
    case unknownExpectation
    /// The body passes `HTTPLimits.maxBodyBytes`.
    case bodyTooLarge
    /// A chunk size line or chunk end that breaks RFC 9112 §7.1.
    case malformedChunk
    /// Chunk extensions pass `HTTPLimits.maxChunkExtensionBytes`.
    case chunkExtensionsTooLarge
    /// The connection ended inside a message.
    case truncated

    /// The status to answer with. For a client it says whose fault a response's error is: 502.
    package var status: Int { row.status }
    /// The stable word for programs and log lines.
    package var code: String { row.code }
    /// One sentence for the peer; holds nothing the peer sent.
    package var detail: String { row.detail }

    private var row: (status: Int, code: String, detail: String) {
        switch self {
        case .malformedRequestLine:
            (400, "malformed_request_line", "The request line is not HTTP/1.1.")
        case .malformedStatusLine:
            (502, "malformed_status_line", "The status line is not HTTP/1.1.")
        case .requestLineTooLong:
            (414, "request_line_too_long", "The request line is too long.")
        case .badTarget: (400, "bad_target", "The request target is malformed.")
        case .unsupportedVersion:
            (505, "unsupported_version", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        case .unsupportedMethod:
            (501, "unsupported_method", "CONNECT is not supported.")
        case .bareLineFeed: (400, "bare_line_feed", "A line ends without a carriage return.")
        case .malformedField: (400, "malformed_field", "A header field is malformed.")
        case .spaceBeforeColon:
            (400, "space_before_colon", "White space stands before the colon of a header field.")
        case .foldedField: (400, "folded_field", "A header field is folded over lines.")
        case .tooManyFields: (431, "too_many_fields", "There are too many header fields.")
        case .fieldsTooLarge: (431, "fields_too_large", "The header fields are too large.")
        case .missingHost: (400, "missing_host", "The Host field is missing.")
        case .severalHosts: (400, "several_hosts", "There is more than one Host field.")
        case .badHost: (400, "bad_host", "The Host field is malformed.")
        case .badContentLength: (400, "bad_content_length", "Content-Length is malformed.")
        case .severalContentLengths:
            (400, "several_content_lengths", "There is more than one Content-Length.")
        case .lengthAndTransferCoding:
            (
                400, "length_and_transfer_coding",
                "Content-Length and Transfer-Encoding exclude each other."
            )
        case .transferCodingInHTTP10:
            (400, "transfer_coding_in_http10", "HTTP/1.0 has no Transfer-Encoding.")
        case .badTransferCoding:
            (400, "bad_transfer_coding", "Transfer-Encoding must end in one \"chunked\".")
        case .unknownTransferCoding:
            (501, "unknown_transfer_coding", "The only transfer coding spoken here is chunked.")
        case .unknownExpectation:
            (417, "unknown_expectation", "The only expectation met here is 100-continue.")
        case .bodyTooLarge: (413, "body_too_large", "The body is too large.")
        case .malformedChunk: (400, "malformed_chunk", "The chunked coding is malformed.")
        case .chunkExtensionsTooLarge:
            (400, "chunk_extensions_too_large", "The chunk extensions are too large.")
        case .truncated: (400, "truncated", "The connection ended inside a message.")
        }
    }
}
