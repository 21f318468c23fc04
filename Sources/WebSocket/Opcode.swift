// SPDX-License-Identifier: MIT

/// What a frame is (RFC 6455 §5.2). The values between are reserved.
package enum Opcode: UInt8, Hashable, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    /// Whether it may stand between the fragments of a message and must not be fragmented (§5.4, §5.5).
    package var isControl: Bool { rawValue & 0x8 != 0 }
}

/// Which end of the connection this is: clients mask, servers do not (RFC 6455 §5.1).
package enum Role: Hashable, Sendable {
    case client
    case server
}
