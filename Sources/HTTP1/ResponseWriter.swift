// SPDX-License-Identifier: MIT
internal import Bytes

/// Writes responses in HTTP/1.1. Appends to a buffer given to it; allocates nothing of its own.
package enum ResponseWriter {
    /// Appends a response's head, up to and with the empty line.
    ///
    /// `content-length`, `transfer-encoding`, `connection` and, where `date` is given, `date` are written
    /// here from the arguments; lines of those names in `fields` are left out, so that framing has one
    /// author. A 101 and a 426 keep their `connection`, since it must list `upgrade` (RFC 9110 §7.8).
    /// A control character in a value becomes a space, so no value can start a line of its own.
    ///
    /// - Parameters:
    ///   - bodyCount: bytes of the body, nil for chunked (`writeChunk`). For HEAD, what a GET would get.
    ///   - keepAlive: whether the connection lives on; `connection: close` is written if not.
    ///   - isHead: whether this answers HEAD.
    ///   - date: IMF-fixdate (`Timestamp.httpDate`), cached by the caller for its second; empty for none.
    ///   - minorVersion: the request's. A client of HTTP/1.0 is told that the connection stays, and gets
    ///     no chunks: for it a nil `bodyCount` needs `keepAlive` false and bytes sent bare until close.
    /// - Returns: whether the body is to be sent behind: not for HEAD, 1xx, 204 and 304 (RFC 9110 §6.4.1).
    @discardableResult
    package static func write(
        status: Int, reason: String, fields: HTTPFields, bodyCount: Int?, keepAlive: Bool,
        isHead: Bool, date: String, minorVersion: Int = 1, into output: inout [UInt8]
    ) -> Bool {
        output.append("HTTP/1.1 ")
        output.append(decimal: status)
        output.append(UInt8(ascii: " "))
        appendClean(reason, into: &output)
        output.append("\r\n")
        let keepsConnection = status == 101 || status == 426
        let hasNoContent = status < 200 || status == 204 || status == 304
        if !date.isEmpty, status >= 200 { line("date", date, into: &output) }
        fields.forEach { name, value in
            if name.equals("content-length") || name.equals("transfer-encoding")
                || !keepsConnection && name.equals("connection")
                || !date.isEmpty && name.equals("date")
            {
                return
            }
            line(name, value, into: &output)
        }
        if !hasNoContent {
            if let bodyCount {
                output.append("content-length: ")
                output.append(decimal: bodyCount)
                output.append("\r\n")
            } else if minorVersion > 0 {
                output.append("transfer-encoding: chunked\r\n")
            }
        }
        if status >= 200 {
            if !keepAlive {
                output.append("connection: close\r\n")
            } else if minorVersion == 0 {
                output.append("connection: keep-alive\r\n")
            }
        }
        output.append("\r\n")
        return !isHead && !hasNoContent
    }

    /// Appends the interim response that a peer waits for (RFC 9110 §10.1.1).
    package static func writeContinue(into output: inout [UInt8]) {
        output.append("HTTP/1.1 100 Continue\r\n\r\n")
    }

    /// Appends one chunk (RFC 9112 §7.1). Nothing for no bytes: an empty chunk would end the body.
    package static func writeChunk(_ data: Span<UInt8>, into output: inout [UInt8]) {
        guard data.count > 0 else { return }
        var shift = (63 - data.count.leadingZeroBitCount) / 4 * 4
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: data.count >> shift & 15)
            output.append(
                digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            shift -= 4
        }
        output.append("\r\n")
        output.append(data)
        output.append("\r\n")
    }

    /// Appends the chunk that ends the body, without trailers.
    package static func writeLastChunk(into output: inout [UInt8]) {
        output.append("0\r\n\r\n")
    }

    private static func line(_ name: String, _ value: String, into output: inout [UInt8]) {
        output.append(name)
        output.append(": ")
        appendClean(value, into: &output)
        output.append("\r\n")
    }

    static func line(_ name: Span<UInt8>, _ value: Span<UInt8>, into output: inout [UInt8]) {
        output.append(name)
        output.append(": ")
        let start = output.count
        output.append(value)
        clean(from: start, &output)
        output.append("\r\n")
    }

    static func appendClean(_ text: String, into output: inout [UInt8]) {
        let start = output.count
        output.append(text)
        clean(from: start, &output)
    }

    private static func clean(from start: Int, _ output: inout [UInt8]) {
        for index in start..<output.count where !HTTPCharacter.isFieldText(output[index]) {
            output[index] = HTTPCharacter.space
        }
    }
}
