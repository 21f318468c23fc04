// SPDX-License-Identifier: MIT
internal import Glibc
internal import Reactor

/// What a stream tells its owner, on the loop.
protocol StreamOwner: AnyObject {
    /// The connection stands.
    func streamOpened(_ stream: StreamSocket)
    func streamReceived(_ stream: StreamSocket, _ bytes: UnsafeRawBufferPointer)
    /// The peer closed or reset, or the connection was refused. Not told after `close`.
    func streamEnded(_ stream: StreamSocket)
}

/// One TCP connection on 127.0.0.1, on an event loop: bytes out as fast as the peer takes them, bytes
/// in as long as `isReading`.
final class StreamSocket: DescriptorHandler {
    weak var owner: (any StreamOwner)?
    private(set) var isOpen: Bool
    private let loop: EventLoop
    private var descriptor: Int32
    private var registration: Registration?
    private var outbox: [UInt8] = []
    private var isWatchingWrites: Bool

    /// Whether bytes are taken from the kernel. Off, the peer's sends pile up in its own buffers.
    var isReading = true { didSet { if oldValue != isReading { watch() } } }

    /// Begins to connect. Nil when there is no descriptor left.
    init?(loop: EventLoop, port: UInt16, owner: any StreamOwner, receiveBuffer: Int32? = nil) {
        self.loop = loop
        self.owner = owner
        isOpen = false
        isWatchingWrites = true
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC | O_NONBLOCK, 0)
        guard descriptor >= 0 else { return nil }
        StreamSocket.setNoDelay(descriptor)
        if var receiveBuffer {
            setsockopt(
                descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer,
                socklen_t(MemoryLayout<Int32>.size))
        }
        var address = LoopbackAddress.make(port)
        let code = LoopbackAddress.call(&address) { connect(descriptor, $0, $1) }
        guard code == 0 || errno == EINPROGRESS,
            let registration = loop.register(
                descriptor, for: [.writable, .readable], handler: self)
        else {
            Glibc.close(descriptor)
            return nil
        }
        self.registration = registration
    }

    /// Takes over an accepted, non-blocking descriptor.
    init?(loop: EventLoop, accepted: Int32, owner: any StreamOwner) {
        self.loop = loop
        self.owner = owner
        descriptor = accepted
        isOpen = true
        isWatchingWrites = false
        StreamSocket.setNoDelay(accepted)
        guard let registration = loop.register(accepted, for: .readable, handler: self) else {
            Glibc.close(accepted)
            return nil
        }
        self.registration = registration
    }

    deinit { close() }

    /// The port of our end; 0 when it is closed.
    var localPort: UInt16 { registration == nil ? 0 : LoopbackAddress.local(of: descriptor) }

    func write(_ bytes: [UInt8]) {
        guard registration != nil, !bytes.isEmpty else { return }
        outbox.append(contentsOf: bytes)
        if isOpen, outbox.count == bytes.count { flush() }
    }

    /// Bytes that the peer has not taken yet.
    var waitingBytes: Int { outbox.count }

    /// Ends the connection.
    /// - Parameter isReset: by RST, as a crashed peer or a lost NAT entry would, else by FIN.
    func close(isReset: Bool = false) {
        guard let registration else { return }
        self.registration = nil
        isOpen = false
        loop.unregister(descriptor, registration)
        if isReset {
            var abrupt = linger(l_onoff: 1, l_linger: 0)
            setsockopt(
                descriptor, SOL_SOCKET, SO_LINGER, &abrupt, socklen_t(MemoryLayout<linger>.size))
        }
        Glibc.close(descriptor)
    }

    func ready(_ readiness: Readiness) {
        if readiness.contains(.writable) {
            if !isOpen {
                var failure: Int32 = 0
                var size = socklen_t(MemoryLayout<Int32>.size)
                getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size)
                guard failure == 0 else { return end() }
                isOpen = true
                owner?.streamOpened(self)
            }
            flush()
        }
        guard registration != nil else { return }
        if readiness.contains(.readable) && isReading {
            read()
        } else if readiness.contains(.hangUp) {
            end()
        }
    }

    private func read() {
        let count = recv(descriptor, loop.readBuffer.baseAddress, loop.readBuffer.count, 0)
        if count > 0 {
            let bytes = UnsafeRawBufferPointer(rebasing: loop.readBuffer[..<count])
            owner?.streamReceived(self, bytes)
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            end()
        }
    }

    private func flush() {
        while registration != nil, isOpen, !outbox.isEmpty {
            let count = outbox.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                outbox.removeFirst(count)
            } else if errno == EAGAIN {
                break
            } else if errno != EINTR {
                return end()
            }
        }
        watch()
    }

    private func watch() {
        guard let registration else { return }
        isWatchingWrites = !isOpen || !outbox.isEmpty
        var interest: Readiness = []
        if isReading { interest.insert(.readable) }
        if isWatchingWrites { interest.insert(.writable) }
        loop.modify(descriptor, registration, for: interest)
    }

    private func end() {
        close()
        owner?.streamEnded(self)
    }

    private static func setNoDelay(_ descriptor: Int32) {
        var on: Int32 = 1
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }
}

/// 127.0.0.1 for system calls.
enum LoopbackAddress {
    static func make(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    static func call<Result>(
        _ address: inout sockaddr_in, _ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// The port that a socket is bound to.
    static func local(of descriptor: Int32) -> UInt16 {
        var address = make(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = call(&address) { pointer, _ in getsockname(descriptor, pointer, &size) }
        return UInt16(bigEndian: address.sin_port)
    }
}
