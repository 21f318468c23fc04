// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIOServer
internal import Timing

/// An Engine.IO session whose every message comes back.
class EngineEcho: EngineDelegate {
    unowned let connection: EngineConnection

    init(_ connection: EngineConnection) { self.connection = connection }

    func received(text: Span<UInt8>) { connection.send(text: text.array()) }
    func received(binary: Span<UInt8>) { connection.send(binary: binary.array()) }
    func deadlinePassed(now: Instant) {}
    func drained() {}
    func closed() {}
}
