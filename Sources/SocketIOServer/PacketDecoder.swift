// SPDX-License-Identifier: MIT
internal import SocketIO

/// A decoder that is lent: between packets it remembers nothing, so that one serves all connections of a
/// loop, and stays with a connection only while attachments are due. One that has thrown is not used again.
final class PacketDecoder {
    var decoder: SocketDecoder
    /// Bytes of a packet under way that are counted among those held (`LoopSockets.hold`).
    var counted = 0

    init(limits: SocketLimits) { decoder = SocketDecoder(limits: limits) }
}
