// SPDX-License-Identifier: MIT
internal import Glibc
internal import Reactor
internal import Timing

/// What handing bytes to sockets costs on this machine with a system call for each: a loop that does
/// nothing else. A server that has the kernel send to many sockets in one call may stay below it.
enum SocketFloor {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    struct Figures: Hashable, Sendable {
        var deliveries = 0
        var elapsed = Duration.zero
        /// CPU of the sending thread, the kernel's share of the receiving side that runs on it included.
        var usage = ProcessUsage()

        /// CPU seconds a delivery.
        var perDelivery: Double {
            deliveries > 0 ? (usage.user + usage.system) / Double(deliveries) : 0
        }
    }

    /// Sends frames of `bytes` bytes, `rate` a second to `fanout` of `sockets` loopback connections, for
    /// at most `seconds`.
    /// - Parameter window: nil sends each frame by itself; else all frames of a window go to each socket
    ///   in one call. Nil is answered when a socket gets no two frames in a window.
    static func run(
        sockets: Int, fanout: Int, bytes: Int, rate: Int, seconds: Int, window: Duration?
    ) throws(Failure) -> Figures? {
        var batch = 1
        var interval = 1_000_000_000 / Int64(rate)
        var receivers = fanout
        if let window {
            let seconds = Double(window.nanoseconds) / 1e9
            batch = Int((Double(rate) * seconds * Double(fanout) / Double(sockets)).rounded())
            guard batch > 1 else { return nil }
            interval = window.nanoseconds
            receivers = sockets
        }
        let pairs = try Pairs(count: sockets)
        defer { pairs.close() }
        return pairs.send(
            [UInt8](repeating: UInt8(ascii: "x"), count: bytes * batch), to: receivers,
            each: interval, for: .seconds(seconds), deliveriesPerSend: batch)
    }

    /// Connections over loopback TCP with a thread that reads and forgets on the far side.
    private final class Pairs {
        private var near: [Int32] = []
        private let mailbox = Mailbox()
        private let reader: WorkerThread

        init(count: Int) throws(Failure) {
            let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard listener >= 0 else { throw Failure(description: "no socket for the floor") }
            defer { Glibc.close(listener) }
            guard SocketAddress.loopback(port: 0).call({ bind(listener, $0, $1) }) == 0,
                listen(listener, 16) == 0, let address = SocketAddress.local(of: listener)
            else { throw Failure(description: "no port for the floor") }
            let mailbox = mailbox
            reader = WorkerThread(name: "floor") {
                EventLoop(index: 0, mailbox: mailbox).run()
            }
            for _ in 0..<count {
                let descriptor = socket(
                    AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
                var on: Int32 = 1
                setsockopt(
                    descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on,
                    socklen_t(MemoryLayout<Int32>.size))
                guard descriptor >= 0, address.call({ connect(descriptor, $0, $1) }) == 0,
                    case let far = accept(listener, nil, nil), far >= 0
                else { throw Failure(description: "too few descriptors for the floor") }
                near.append(descriptor)
                mailbox.post { Sink.adopt(far, on: $0) }
            }
        }

        func send(
            _ bytes: [UInt8], to receivers: Int, each interval: Int64, for length: Duration,
            deliveriesPerSend: Int
        ) -> Figures {
            var figures = Figures()
            let before = ProcessUsage.ofThisThread()
            let start = SystemClock.now()
            let end = start + length
            var due = start.nanoseconds
            var next = 0
            while SystemClock.now() < end {
                BenchClock.sleep(until: due)
                due += interval
                for _ in 0..<receivers {
                    let count = bytes.withUnsafeBytes {
                        Glibc.send(near[next], $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                    }
                    if count == bytes.count { figures.deliveries += deliveriesPerSend }
                    next = next + 1 == near.count ? 0 : next + 1
                }
            }
            figures.elapsed = SystemClock.now() - start
            figures.usage = ProcessUsage.ofThisThread() - before
            return figures
        }

        func close() {
            for descriptor in near { Glibc.close(descriptor) }
            mailbox.post { $0.stop() }
            reader.join()
        }
    }

    /// Reads and forgets.
    private final class Sink: DescriptorHandler {
        private let descriptor: Int32
        private let loop: EventLoop
        private var registration: Registration?

        static func adopt(_ descriptor: Int32, on loop: EventLoop) {
            let sink = Sink(descriptor, loop)
            sink.registration = loop.register(descriptor, for: .readable, handler: sink)
            if sink.registration == nil { Glibc.close(descriptor) }
        }

        private init(_ descriptor: Int32, _ loop: EventLoop) {
            self.descriptor = descriptor
            self.loop = loop
        }

        func ready(_ readiness: Readiness) {
            let buffer = loop.readBuffer
            let count = recv(
                descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
            guard count == 0, let registration else { return }
            loop.unregister(descriptor, registration)
            self.registration = nil
            Glibc.close(descriptor)
        }
    }
}
