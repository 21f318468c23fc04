// SPDX-License-Identifier: MIT
internal import Bytes
package import JSON

/// A socket's handler made of closures, one an event: the shape of the reference server's API, for
/// applications that need no more.
///
///     sockets.serve("/") { socket in
///         EventTable(socket)
///             .use { table, next in next(table.auth?["token"] == nil ? .init("no token") : nil) }
///             .onConnection { $0.emit("welcome") }
///             .on("echo") { arguments, acknowledge in acknowledge(arguments) }
///     }
package final class EventTable: SocketHandler {
    /// Why a client may not join.
    package struct Refusal: Sendable {
        package var message: String
        package var data: JSONValue?

        package init(_ message: String, data: JSONValue? = nil) {
            self.message = message
            self.data = data
        }
    }

    /// Answers an event; a second answer, and one that nobody asked for, is dropped.
    package typealias Acknowledge = (SocketArguments) -> Void
    package typealias Handler = (SocketArguments, @escaping Acknowledge) -> Void
    /// Calls `next` at once or later: with nil to go on, with a refusal to end it.
    package typealias Middleware = (EventTable, @escaping (Refusal?) -> Void) -> Void

    /// Held until the socket ends, which lets go of this handler.
    package let socket: Socket
    /// The handshake's `auth`; nil when the client sent none.
    package private(set) var auth: JSONValue?
    /// Whether the client has its former id, rooms and missed events.
    package private(set) var isRecovered = false
    private var middlewares: [Middleware] = []
    private var connected: ((Socket) -> Void)?
    private var ended: ((Socket.Ending) -> Void)?
    private var handlers: [String: Handler] = [:]

    package init(_ socket: Socket) { self.socket = socket }

    /// Adds a check that each client passes before it joins; checks run in the order added.
    package func use(_ middleware: @escaping Middleware) -> EventTable {
        middlewares.append(middleware)
        return self
    }

    /// Says what is done once the client has joined.
    package func onConnection(_ body: @escaping (Socket) -> Void) -> EventTable {
        connected = body
        return self
    }

    /// Says what is done once the client has gone.
    package func onDisconnect(_ body: @escaping (Socket.Ending) -> Void) -> EventTable {
        ended = body
        return self
    }

    /// Handles one event. Events without a handler are ignored.
    package func on(_ event: String, _ handler: @escaping Handler) -> EventTable {
        handlers[event] = handler
        return self
    }

    // MARK: SocketHandler

    package func connecting(_ socket: Socket, auth: Range<Int>?, in packet: Span<UInt8>) {
        self.auth = auth.flatMap { try? JSONValue(parsing: packet.extracting($0).array()) }
        pass(from: 0)
    }

    private func pass(from index: Int) {
        guard index < middlewares.count else {
            isRecovered = socket.namespace.accept(socket, auth: auth)
            connected?(socket)
            return
        }
        var isDone = false
        middlewares[index](self) { [self] refusal in
            guard !isDone, socket.phase == .connecting else { return }
            isDone = true
            if let refusal {
                socket.refuse(refusal.message, data: refusal.data)
            } else {
                pass(from: index + 1)
            }
        }
    }

    package func received(_ event: SocketEvent, in packet: Span<UInt8>) {
        guard let handler = handlers[event.decodedName(in: packet)] else { return }
        let socket = socket
        var ackID = event.ackID
        handler(SocketArguments(event.arguments, in: packet, attachments: event.attachments)) {
            guard let id = ackID else { return }
            ackID = nil
            socket.acknowledge(id, $0)
        }
    }

    package func disconnected(_ reason: Socket.Ending) {
        ended?(reason)
        // What they captured may well hold the socket.
        handlers = [:]
        middlewares = []
        connected = nil
        ended = nil
    }
}
