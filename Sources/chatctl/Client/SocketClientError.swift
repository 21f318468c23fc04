// SPDX-License-Identifier: MIT
internal import Glibc

/// Why a client of ours cannot go on, in words for the terminal.
enum SocketClientError: Error, Hashable, CustomStringConvertible {
    /// The URL is none of `http://HOST[:PORT]` with a numeric address or `localhost`.
    case badURL(String)
    /// No connection; `code` is the errno.
    case cannotConnect(String, code: Int32)
    /// The server spoke neither HTTP nor WebSocket as it should, or refused to switch.
    case handshake(String)
    /// Bytes that are no valid frame or packet.
    case malformed(String)
    /// The server refused the connection with this code.
    case refused(code: String, message: String)
    /// The server answered a request with this error.
    case failed(code: String, message: String)
    /// The server closed the connection.
    case closed(code: UInt16?, reason: String)
    /// Nothing came in time.
    case timedOut

    var description: String {
        switch self {
        case .badURL(let text): "\"\(text)\" is no URL such as http://127.0.0.1:3001"
        case .cannotConnect(let url, let code):
            "cannot connect to \(url): \(String(cString: strerror(code)))"
        case .handshake(let text): "the server did not switch to WebSocket: \(text)"
        case .malformed(let text): "the server sent what is no Socket.IO: \(text)"
        case .refused(let code, let message):
            "the server refused the connection: \(code): \(message)"
        case .failed(let code, let message): "\(code): \(message)"
        case .closed(let code?, let reason): "the server closed the connection: \(code) \(reason)"
        case .closed(nil, _): "the server closed the connection"
        case .timedOut: "the server did not answer in time"
        }
    }
}
