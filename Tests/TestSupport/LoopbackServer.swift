// SPDX-License-Identifier: MIT
internal import Glibc
internal import Locks
internal import Synchronization

/// A server on 127.0.0.1 for tests of clients: blocking sockets, one thread a connection, and a
/// handler that may answer bytes no real server would. Stops when `stop` is called or it is let go.
package final class LoopbackServer: Sendable {
    /// One request as it came.
    package struct Received: Sendable {
        package var method: String
        /// Path and query as written.
        package var target: String
        /// Names in lower case.
        package var fields: [String: String]
        package var body: [UInt8]
    }

    /// What to do with one request.
    package enum Reply: Sendable {
        /// A well-formed response; `content-length` is added and the connection stays open.
        case response(status: Int, fields: [(String, String)] = [], body: [UInt8] = [])
        /// These bytes as they are, then close.
        case raw(String)
        /// These bytes, then silence until the server stops.
        case stall(String)
        /// Close without a word.
        case close
    }

    package typealias Handler = @Sendable (Received) -> Reply

    /// The port that was bound.
    package let port: UInt16
    private let listener: Int32
    private let isStopped = Atomic(false)
    private let open = Locked<Set<Int32>>([])
    private let log = Locked<[Received]>([])
    private let handler: Handler

    /// - Parameter port: 0 takes any free one; a fixed one lets a receiver come back where it was.
    package init(port: UInt16 = 0, _ handler: @escaping Handler) {
        self.handler = handler
        (listener, self.port) = LoopbackServer.listen(port)
        LoopbackServer.spawn { [self] in acceptLoop() }
    }

    /// A listening socket on 127.0.0.1 and its port; 0 takes any free one.
    static func listen(_ port: UInt16) -> (listener: Int32, port: UInt16) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        precondition(listener >= 0)
        var on: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, size) == 0 && Glibc.listen(listener, 128) == 0
                    && getsockname(listener, pointer, &size) == 0
            }
        }
        precondition(isBound, "cannot listen on 127.0.0.1:\(port)")
        return (listener, UInt16(bigEndian: address.sin_port))
    }

    package var url: String { "http://127.0.0.1:\(port)" }

    /// The requests so far, in the order they were read.
    package var requests: [Received] { log.withLock { $0 } }

    /// Closes the listener and every connection.
    package func stop() {
        guard !isStopped.exchange(true, ordering: .sequentiallyConsistent) else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        open.withLock { for descriptor in $0 { shutdown(descriptor, Int32(SHUT_RDWR)) } }
    }

    private func acceptLoop() {
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { break }
            open.withLock { _ = $0.insert(descriptor) }
            if isStopped.load(ordering: .sequentiallyConsistent) {
                shutdown(descriptor, Int32(SHUT_RDWR))
            }
            LoopbackServer.spawn { [self] in
                serve(descriptor)
                open.withLock { _ = $0.remove(descriptor) }
                close(descriptor)
            }
        }
        close(listener)
    }

    private func serve(_ descriptor: Int32) {
        var buffer: [UInt8] = []
        while let request = LoopbackServer.read(descriptor, &buffer) {
            log.withLock { $0.append(request) }
            switch handler(request) {
            case .response(let status, let fields, let body):
                var head = "HTTP/1.1 \(status) Status\r\ncontent-length: \(body.count)\r\n"
                for (name, value) in fields { head += "\(name): \(value)\r\n" }
                guard LoopbackServer.write(descriptor, Array((head + "\r\n").utf8) + body) else {
                    return
                }
            case .raw(let text):
                _ = LoopbackServer.write(descriptor, Array(text.utf8))
                shutdown(descriptor, Int32(SHUT_WR))
                return
            case .stall(let text):
                _ = LoopbackServer.write(descriptor, Array(text.utf8))
                var byte: UInt8 = 0
                while recv(descriptor, &byte, 1, 0) > 0 {}
                return
            case .close:
                return
            }
        }
    }

    private static func read(_ descriptor: Int32, _ buffer: inout [UInt8]) -> Received? {
        var scratch = [UInt8](repeating: 0, count: 64 << 10)
        func more() -> Bool {
            let count = recv(descriptor, &scratch, scratch.count, 0)
            guard count > 0 else { return false }
            buffer += scratch[..<count]
            return true
        }
        func headEnd() -> Int? {
            guard buffer.count >= 4 else { return nil }
            return (0...(buffer.count - 4)).first {
                buffer[$0..<$0 + 4].elementsEqual("\r\n\r\n".utf8)
            }
        }
        while headEnd() == nil { guard more() else { return nil } }
        let end = headEnd()!
        let lines = String(decoding: buffer[..<end], as: UTF8.self).split(separator: "\r\n")
        let start = lines[0].split(separator: " ")
        guard start.count == 3 else { return nil }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            fields[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
        }
        let length = fields["content-length"].flatMap { Int($0) } ?? 0
        while buffer.count < end + 4 + length { guard more() else { return nil } }
        let body = Array(buffer[(end + 4)..<(end + 4 + length)])
        buffer.removeFirst(end + 4 + length)
        return Received(
            method: String(start[0]), target: String(start[1]), fields: fields, body: body)
    }

    static func write(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    static func spawn(_ body: @escaping @Sendable () -> Void) {
        final class Box: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(body))
        let code = pthread_create(
            &thread, nil,
            {
                Unmanaged<Box>.fromOpaque($0!).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        precondition(code == 0)
        pthread_detach(thread)
    }
}
