// SPDX-License-Identifier: MIT
internal import Glibc
internal import Timing

/// A blocking TCP client that sends what it is told, byte for byte. Every read ends after two seconds,
/// so that a silent server fails a test instead of hanging it.
package final class RawClient {
    package let descriptor: Int32
    /// Whether the server's end has been seen, as opposed to silence.
    package private(set) var hasEnded = false

    /// - Parameter receiveBuffer: bytes of SO_RCVBUF: a small one makes a slow reader.
    package init(port: Int, receiveBuffer: Int32? = nil) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer {
            setsockopt(
                descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = in_addr_t(UInt32(0x7F00_0001).bigEndian)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        precondition(result == 0, "connect: \(errno)")
        var timeout = timeval(tv_sec: 2 * patience, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    package func send(_ text: String) { send(Array(text.utf8)) }

    package func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    /// Sends the same bytes again and again for as long as the kernel takes them within a time: how many it
    /// has taken.
    package func pour(_ bytes: [UInt8], for milliseconds: Int32) -> Int {
        var sent = 0
        let end = SystemClock.now() + .milliseconds(Int64(milliseconds))
        while true {
            let left = (end - SystemClock.now()).milliseconds
            guard left > 0 else { return sent }
            var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&wanted, 1, Int32(left)) > 0 else { return sent }
            let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
            let count = bytes[(sent % bytes.count)...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, flags)
            }
            guard count > 0 else { return sent }
            sent += count
        }
    }

    package func shutdownWrite() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Resets the connection: no goodbye reaches the server.
    package func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &linger,
            socklen_t(MemoryLayout.size(ofValue: linger)))
        shutdown(descriptor, Int32(SHUT_RD))
    }

    /// Whether bytes, or the end, come within a time.
    package func hears(within milliseconds: Int32) -> Bool {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&wanted, 1, milliseconds * Int32(patience)) > 0
    }

    /// The next bytes, at most `count`; empty at the end or after two seconds of silence.
    package func read(_ count: Int = 65_536) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: count)
        var received = recv(descriptor, &buffer, count, 0)
        while received < 0, errno == EINTR { received = recv(descriptor, &buffer, count, 0) }
        if received == 0 || received < 0 && errno != EAGAIN { hasEnded = true }
        return received > 0 ? Array(buffer[..<received]) : []
    }

    /// Everything up to and with `end`, or what came before the silence.
    package func read(until end: String) -> String {
        var bytes: [UInt8] = []
        let mark = Array(end.utf8)
        while !bytes.contains(sequence: mark) {
            let more = read(1)
            if more.isEmpty { break }
            bytes += more
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Everything up to the server's end.
    package func readToEnd() -> String {
        var bytes: [UInt8] = []
        while true {
            let more = read()
            if more.isEmpty { break }
            bytes += more
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// One response: head, and as many bytes of body as it announces.
    package func readResponse() -> (head: String, body: String) {
        let head = read(until: "\r\n\r\n")
        var length = 0
        for line in head.lowercased().split(separator: "\r\n")
        where line.hasPrefix("content-length:") {
            length = Int(line.split(separator: ":")[1].drop { $0 == " " }) ?? 0
        }
        var body: [UInt8] = []
        while body.count < length {
            let more = read(length - body.count)
            if more.isEmpty { break }
            body += more
        }
        return (head, String(decoding: body, as: UTF8.self))
    }
}

extension [UInt8] {
    fileprivate func contains(sequence: [UInt8]) -> Bool {
        count >= sequence.count && suffix(sequence.count).elementsEqual(sequence)
    }
}
