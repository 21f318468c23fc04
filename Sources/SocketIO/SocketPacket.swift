// SPDX-License-Identifier: MIT

/// What a packet is: one ASCII digit (Socket.IO protocol 5, Packet encoding).
package enum SocketPacketType: UInt8, Hashable, Sendable, CaseIterable {
    case connect = 0x30
    case disconnect = 0x31
    case event = 0x32
    case ack = 0x33
    case connectError = 0x34
    case binaryEvent = 0x35
    case binaryAck = 0x36

    /// Whether attachments follow in packets of their own.
    package var isBinary: Bool { self == .binaryEvent || self == .binaryAck }
}

/// The header of one packet, and where its JSON stands.
package struct SocketPacket: Hashable, Sendable {
    package var type: SocketPacketType
    /// Beginning with `/`; `/` alone is the main namespace.
    package var namespace: String
    /// The number that an answer to this event, or this answer, goes by; unique a direction and namespace.
    package var ackID: Int?
    /// The checked JSON text in the bytes that the step says; nil when there is none.
    package var data: Range<Int>?
    /// Attachments that come behind: 0 unless the type is binary.
    package var attachmentCount: Int

    /// A packet made by hand, as tests do.
    package init(
        type: SocketPacketType, namespace: String = "/", ackID: Int? = nil,
        data: Range<Int>? = nil, attachmentCount: Int = 0
    ) {
        self.type = type
        self.namespace = namespace
        self.ackID = ackID
        self.data = data
        self.attachmentCount = attachmentCount
    }
}
