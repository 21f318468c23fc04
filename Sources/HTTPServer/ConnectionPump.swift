// SPDX-License-Identifier: MIT
internal import CLinux
internal import Glibc
internal import Reactor
internal import TLS
internal import Timing

/// Keeps the TLS side of a connection that another process serves: a session cannot leave the process
/// that shook hands, so what leaves is one end of a socket pair, and this carries bytes between the
/// other end and the network.
///
///     client ◄─ciphertext─► descriptor · session · inner ◄─plaintext─► the other process
///
/// Reads from a side only while what it brought before is with the other, so that it holds one read's
/// worth each way. Ends with either side, close_notify included. Each call lives on one loop.
final class ConnectionPump: TimerTarget {
    private let server: LoopServer
    private let peer: Peer
    private let secure: SecureTransport
    private var outer: Side?
    private var inner: Side?
    /// Plaintext for the inner side.
    private var inbound: [UInt8] = []
    /// Whether the client sends no more.
    private var outerEnded = false
    private var isEnding = false

    /// One descriptor and whose bytes come from it.
    private final class Side: DescriptorHandler {
        let descriptor: Int32
        var registration: Registration?
        var interest: Readiness = .readable
        private unowned let pump: ConnectionPump
        private let isOuter: Bool

        init(_ descriptor: Int32, of pump: ConnectionPump, isOuter: Bool) {
            self.descriptor = descriptor
            self.pump = pump
            self.isOuter = isOuter
        }

        func ready(_ readiness: Readiness) { pump.ready(readiness, isOuter: isOuter) }
    }

    /// Nil when there is no descriptor or watch left; the connection is closed then.
    /// - Parameter ends: from `clinux_socketpair`, non-blocking; the first stays here.
    init?(server: LoopServer, descriptor: Int32, peer: Peer, secure: SecureTransport, inner: Int32)
    {
        self.server = server
        self.peer = peer
        self.secure = secure
        let sides = [
            Side(descriptor, of: self, isOuter: true), Side(inner, of: self, isOuter: false),
        ]
        for side in sides {
            side.registration = server.loop.register(
                side.descriptor, for: .readable, handler: side)
        }
        (self.outer, self.inner) = (sides[0], sides[1])
        guard sides.allSatisfy({ $0.registration != nil }) else {
            end()
            return nil
        }
    }

    private func ready(_ readiness: Readiness, isOuter: Bool) {
        if readiness.contains(.writable) { isOuter ? sendOut() : sendIn() }
        guard let side = isOuter ? outer : inner,
            !readiness.isDisjoint(with: .incoming)
        else { return }
        // Dead in both directions, and nobody reads to find out: it would be said again for ever.
        if !readiness.isDisjoint(with: .hangUp), !side.interest.contains(.readable) {
            return end()
        }
        isOuter ? readOut() : readIn()
    }

    /// Ciphertext from the client.
    private func readOut() {
        guard let outer else { return }
        let wire = server.wire
        let count = clinux_recv(outer.descriptor, wire.input.baseAddress, wire.input.count)
        if count == -Int(EAGAIN) { return }
        if count == 0, !isEnding { return outerHasEnded() }
        guard count > 0, !isEnding else { return end() }
        let buffer = server.loop.readBuffer
        let (plain, status) = secure.receive(
            UnsafeRawBufferPointer(rebasing: wire.input[..<count]), into: buffer)
        guard secure.push(to: outer.descriptor) != .failed else { return end() }
        inbound.append(contentsOf: buffer[..<plain])
        sendIn()
        switch status {
        case .open: updateInterest()
        case .peerClosed: outerHasEnded()
        case .failed: end()
        }
    }

    /// The other process hears of the end behind what came before it, and may answer still.
    private func outerHasEnded() {
        outerEnded = true
        if inbound.isEmpty, let inner { _ = clinux_shutdown_write(inner.descriptor) }
        updateInterest()
    }

    /// Plaintext for the other process.
    private func sendIn() {
        guard let inner, !inbound.isEmpty else { return }
        let sent = inbound.withUnsafeBytes {
            clinux_send(inner.descriptor, $0.baseAddress, $0.count)
        }
        guard sent >= 0 || sent == -Int(EAGAIN) else { return end() }
        inbound.removeFirst(max(0, sent))
        if inbound.isEmpty, outerEnded { _ = clinux_shutdown_write(inner.descriptor) }
        updateInterest()
    }

    /// Plaintext from the other process.
    private func readIn() {
        guard let outer, let inner, secure.unsent == 0 else { return }
        let buffer = server.loop.readBuffer
        let count = clinux_recv(inner.descriptor, buffer.baseAddress, 64 * 1024)
        if count == -Int(EAGAIN) { return }
        guard count > 0 else { return finish() }
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        guard secure.send(bytes, to: outer.descriptor) != .failed else { return end() }
        updateInterest()
    }

    /// Ciphertext that the kernel did not take at once.
    private func sendOut() {
        guard let outer else { return }
        guard secure.push(to: outer.descriptor) != .failed else { return end() }
        if isEnding { return finish() }
        updateInterest()
    }

    /// The other process has said all: close_notify, our half, and the client's end within the time a
    /// connection of our own has for it.
    private func finish() {
        guard let outer, let inner else { return }
        if !isEnding {
            isEnding = true
            _ = server.loop.schedule(
                self, at: server.loop.now + server.configuration.closeTimeout)
        }
        switch secure.close(to: outer.descriptor) {
        case .failed: return end()
        case .blocked: break
        case .empty: _ = clinux_shutdown_write(outer.descriptor)
        }
        watch(inner, [])
        watch(outer, secure.unsent > 0 ? [.readable, .writable] : .readable)
    }

    func timerFired(now: Instant) { end() }

    private func updateInterest() {
        guard let outer, let inner, !isEnding else { return }
        var out: Readiness = inbound.isEmpty && !outerEnded ? .readable : []
        if secure.unsent > 0 { out.insert(.writable) }
        var within: Readiness = secure.unsent == 0 ? .readable : []
        if !inbound.isEmpty { within.insert(.writable) }
        watch(outer, out)
        watch(inner, within)
    }

    private func watch(_ side: Side, _ wanted: Readiness) {
        guard wanted != side.interest, let registration = side.registration else { return }
        side.interest = wanted
        server.loop.modify(side.descriptor, registration, for: wanted)
    }

    /// Closes both sides at once.
    func end() {
        guard let outer, let inner else { return }
        (self.outer, self.inner) = (nil, nil)
        if secure.unsent == 0 { _ = secure.close(to: outer.descriptor) }
        for side in [outer, inner] {
            if let registration = side.registration {
                server.loop.unregister(side.descriptor, registration)
            }
            _ = clinux_close(side.descriptor)
        }
        server.forget(self)
        server.server.admission.leave(peer)
    }
}
