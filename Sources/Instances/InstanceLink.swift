// SPDX-License-Identifier: MIT
internal import CLinux
internal import DequeModule
internal import Glibc
internal import Timing

/// Why a link ended.
enum InstanceLinkError: Error, Hashable, Sendable {
    case closedByPeer
    /// A system call failed; `code` is the errno.
    case failed(code: Int32)
    /// Descriptors got lost on the way: which request each belongs to is not known any more.
    case descriptorsLost
    case wrongFrame(InstanceFrameError)
}

/// Something on its way to another instance.
struct InstanceParcel: Sendable {
    /// One whole frame.
    let frame: [UInt8]
    /// Descriptors that go with it; closed here once it has left.
    var descriptors: [Int32] = []
    /// Takes the descriptors back when it did not leave. Nil: they are closed.
    var giveBack: (@Sendable () -> Void)?
    /// Since when it waits.
    var since = Instant(nanoseconds: 0)

    func delivered() {
        for descriptor in descriptors { _ = clinux_close(descriptor) }
    }

    func undelivered() {
        if let giveBack { giveBack() } else { delivered() }
    }
}

/// One connection between two instances, on the mesh's thread. Owns its descriptor.
final class InstanceLink {
    let descriptor: Int32
    /// Whether we called. Requests and messages go from the caller to the called.
    let isOutgoing: Bool
    /// The other end's number: known from the start when we called, else from its hello.
    var peer: Int?
    private var reader = InstanceFrameReader()
    /// Descriptors that came and whose frames are not whole yet, in order.
    private var arrived = Deque<Int32>()
    private var output = Deque<InstanceParcel>()
    /// Bytes of the first parcel that have left.
    private var sent = 0

    init(_ descriptor: Int32, isOutgoing: Bool, peer: Int? = nil) {
        self.descriptor = descriptor
        self.isOutgoing = isOutgoing
        self.peer = peer
    }

    deinit {
        _ = clinux_close(descriptor)
        for descriptor in arrived { _ = clinux_close(descriptor) }
        for parcel in output { parcel.undelivered() }
    }

    var hasOutput: Bool { !output.isEmpty }

    func queue(_ parcel: InstanceParcel) { output.append(parcel) }

    /// Gives back what has waited since before `moment` and has not begun to leave.
    func giveUp(before moment: Instant) {
        guard let first = output.first, first.since < moment else { return }
        let old = output
        output.removeAll()
        for (index, parcel) in old.enumerated() {
            if index == 0 && sent > 0 || parcel.giveBack == nil || parcel.since >= moment {
                output.append(parcel)
            } else {
                parcel.undelivered()
            }
        }
    }

    /// Sends what goes without waiting.
    func flush() throws(InstanceLinkError) {
        while let parcel = output.first {
            let count = parcel.frame.withUnsafeBytes { bytes in
                let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
                return sent == 0 && !parcel.descriptors.isEmpty
                    ? clinux_send_rights(
                        descriptor, rest.baseAddress, rest.count, parcel.descriptors,
                        Int32(parcel.descriptors.count))
                    : clinux_send(descriptor, rest.baseAddress, rest.count)
            }
            if count == -Int(EAGAIN) { return }
            // Too many descriptors of ours are on their way already; they will be read (unix(7)).
            if count == -Int(ETOOMANYREFS) { return }
            guard count >= 0 else { throw .failed(code: Int32(-count)) }
            sent += count
            guard sent == parcel.frame.count else { continue }
            sent = 0
            output.removeFirst()
            parcel.delivered()
        }
    }

    /// Takes in what has arrived, at most 1 MiB a call, and gives each whole frame with its
    /// descriptors, which are then the callee's.
    func receive(
        buffer: UnsafeMutableRawBufferPointer, _ body: (InstanceFrame, [Int32]) -> Void
    ) throws(InstanceLinkError) {
        var rights = [Int32](repeating: -1, count: Int(CLINUX_RIGHTS))
        for _ in 0..<16 {
            var rightsCount: Int32 = 0
            let count = clinux_recv_rights(
                descriptor, buffer.baseAddress, buffer.count, &rights, &rightsCount)
            if count == -Int(EAGAIN) { return }
            if count == -Int(EMSGSIZE) { throw .descriptorsLost }
            guard count >= 0 else { throw .failed(code: Int32(-count)) }
            guard count > 0 else { throw .closedByPeer }
            arrived.append(contentsOf: rights[..<Int(rightsCount)])
            reader.feed(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            while let (frame, wanted) = try nextFrame() {
                guard arrived.count >= wanted else { throw .descriptorsLost }
                let own = Array(arrived.prefix(wanted))
                arrived.removeFirst(wanted)
                body(frame, own)
            }
            if count < buffer.count, rightsCount == 0 { return }
        }
    }

    private func nextFrame() throws(InstanceLinkError) -> (InstanceFrame, descriptors: Int)? {
        do throws(InstanceFrameError) {
            return try reader.next()
        } catch {
            throw .wrongFrame(error)
        }
    }
}
