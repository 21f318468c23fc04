// SPDX-License-Identifier: MIT
internal import Bytes

/// Writes requests in HTTP/1.1, for clients and tests.
package enum RequestWriter {
    /// Appends a request's head, up to and with the empty line; the body is the caller's to append.
    ///
    /// - Parameters:
    ///   - method: a token; not checked, since it is ours.
    ///   - target: in a form that `method` takes; not checked.
    ///   - fields: must hold `host`. `content-length` and `transfer-encoding` in it are left out.
    ///   - bodyCount: bytes of the body; nil when there is none.
    package static func write(
        method: String, target: String, fields: HTTPFields, bodyCount: Int? = nil,
        into output: inout [UInt8]
    ) {
        output.append(method)
        output.append(UInt8(ascii: " "))
        output.append(target)
        output.append(" HTTP/1.1\r\n")
        fields.forEach { name, value in
            guard !name.equals("content-length"), !name.equals("transfer-encoding") else { return }
            ResponseWriter.line(name, value, into: &output)
        }
        if let bodyCount {
            output.append("content-length: ")
            output.append(decimal: bodyCount)
            output.append("\r\n")
        }
        output.append("\r\n")
    }
}
