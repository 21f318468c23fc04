// SPDX-License-Identifier: MIT
internal import Glibc
internal import Reactor
internal import TestSupport
internal import Timing

/// What a network may do to the connections through a proxy.
struct NetworkWeather: Hashable, Sendable {
    /// New bytes arrive this much later, both ways.
    var delay: Duration = .zero
    /// Each new connection reaches the server twice; the second copy's answers go nowhere. What the
    /// client sends is then done twice.
    var doublesConnections = false
}

/// A TCP relay in front of one server, on the clients' loop, whose connections can be cut, frozen,
/// delayed, stalled and doubled.
final class FaultProxy: DescriptorHandler, TimerTarget {
    /// Where clients connect.
    let port: UInt16
    var weather = NetworkWeather()
    /// Where new connections go.
    var targetPort: UInt16
    private let loop: EventLoop
    private let listener: Int32
    private var registration: Registration?
    private var links: [ObjectIdentifier: ProxyLink] = [:]
    private var lastSerial = 0
    /// Bytes that reached clients.
    private(set) var deliveredBytes = 0

    init(loop: EventLoop, targetPort: UInt16) throws {
        self.loop = loop
        self.targetPort = targetPort
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC | O_NONBLOCK, 0)
        var address = LoopbackAddress.make(0)
        let listener = listener
        let isListening = LoopbackAddress.call(&address) {
            bind(listener, $0, $1) == 0 && listen(listener, 1024) == 0
        }
        guard listener >= 0, isListening else {
            throw TestSupportError("the proxy cannot listen: errno \(errno)")
        }
        port = LoopbackAddress.local(of: listener)
        registration = loop.register(listener, for: .readable, handler: self)
        _ = loop.schedule(self, at: loop.now + .milliseconds(20))
    }

    func ready(_ readiness: Readiness) {
        while true {
            let accepted = accept(listener, nil, nil)
            guard accepted >= 0 else { return }
            _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
            _ = fcntl(accepted, F_SETFL, O_NONBLOCK)
            lastSerial += 1
            let link = ProxyLink(loop: loop, serial: lastSerial, proxy: self)
            if link.start(accepted: accepted, targetPort: targetPort) {
                links[ObjectIdentifier(link)] = link
            }
        }
    }

    func timerFired(now: Instant) {
        for link in Array(links.values) { link.tick(now: now) }
        if registration != nil { _ = loop.schedule(self, at: now + .milliseconds(20)) }
    }

    func forget(_ link: ProxyLink) { links[ObjectIdentifier(link)] = nil }

    func delivered(_ count: Int) { deliveredBytes += count }

    /// Some of the connections, in the order in which they were made.
    func pick(_ fraction: Double, using generator: inout SeededGenerator) -> [ProxyLink] {
        links.values.sorted { $0.serial < $1.serial }
            .filter { _ in Double.random(in: 0..<1, using: &generator) < fraction }
    }

    /// The connection of a client's port.
    func link(ofClientPort port: UInt16) -> ProxyLink? {
        links.values.first { $0.clientPort == port }
    }

    var linkCount: Int { links.count }

    func stop() {
        guard let registration else { return }
        self.registration = nil
        loop.unregister(listener, registration)
        close(listener)
        for link in Array(links.values) { link.cut(isReset: false) }
    }
}

/// One connection through a proxy.
final class ProxyLink: StreamOwner {
    private struct Parcel {
        var due: Instant
        var bytes: [UInt8]
        var isUpstream: Bool
    }

    let serial: Int
    private let loop: EventLoop
    private unowned let proxy: FaultProxy
    private var near: StreamSocket?
    private var far: StreamSocket?
    /// The server's end of the doubled connection.
    private var double: StreamSocket?
    private var parcels: [Parcel] = []
    private var thaw: Instant?
    private var stallEnd: Instant?
    private(set) var clientPort: UInt16 = 0

    init(loop: EventLoop, serial: Int, proxy: FaultProxy) {
        self.loop = loop
        self.serial = serial
        self.proxy = proxy
    }

    func start(accepted: Int32, targetPort: UInt16) -> Bool {
        var address = LoopbackAddress.make(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = LoopbackAddress.call(&address) { pointer, _ in getpeername(accepted, pointer, &size) }
        clientPort = UInt16(bigEndian: address.sin_port)
        near = StreamSocket(loop: loop, accepted: accepted, owner: self)
        // A small window, so that a reader that stalls is felt by the server and not by the kernel.
        far = StreamSocket(loop: loop, port: targetPort, owner: self, receiveBuffer: 32_768)
        if proxy.weather.doublesConnections {
            double = StreamSocket(loop: loop, port: targetPort, owner: self)
        }
        guard near != nil, far != nil else {
            near?.close()
            far?.close()
            return false
        }
        return true
    }

    // MARK: Faults

    /// Ends both sides.
    func cut(isReset: Bool) {
        near?.close(isReset: isReset)
        far?.close(isReset: isReset)
        double?.close(isReset: isReset)
        proxy.forget(self)
    }

    /// Passes nothing on, not even an end, until `end`; then the connection is gone for both sides: a
    /// half-open connection for as long as it lasts.
    func freeze(until end: Instant) {
        thaw = end
        near?.isReading = false
        far?.isReading = false
    }

    /// Takes nothing from the server until `end`.
    func stall(until end: Instant) {
        stallEnd = end
        far?.isReading = false
    }

    func tick(now: Instant) {
        if let thaw, thaw <= now { return cut(isReset: true) }
        if let stallEnd, stallEnd <= now, thaw == nil {
            self.stallEnd = nil
            far?.isReading = true
        }
        while let first = parcels.first, first.due <= now, thaw == nil {
            parcels.removeFirst()
            pass(first.bytes, isUpstream: first.isUpstream)
        }
    }

    // MARK: StreamOwner

    func streamOpened(_ stream: StreamSocket) {}

    func streamReceived(_ stream: StreamSocket, _ bytes: UnsafeRawBufferPointer) {
        if stream === double { return }
        let isUpstream = stream === near
        if proxy.weather.delay == .zero, parcels.isEmpty {
            pass(Array(bytes), isUpstream: isUpstream)
        } else {
            parcels.append(
                Parcel(
                    due: loop.now + proxy.weather.delay, bytes: Array(bytes),
                    isUpstream: isUpstream))
        }
    }

    private func pass(_ bytes: [UInt8], isUpstream: Bool) {
        if isUpstream {
            far?.write(bytes)
            double?.write(bytes)
        } else {
            proxy.delivered(bytes.count)
            near?.write(bytes)
        }
    }

    func streamEnded(_ stream: StreamSocket) {
        if stream === double {
            double = nil
            return
        }
        // Frozen: the other side is not to learn of it before the thaw.
        guard thaw == nil else { return }
        if stream === far {
            // What the server said last still counts.
            for parcel in parcels where !parcel.isUpstream {
                pass(parcel.bytes, isUpstream: false)
            }
        }
        cut(isReset: false)
    }
}
