// SPDX-License-Identifier: MIT
import SocketIOServer
import TestSupport
import Testing

@testable import ChatCore
@testable import EngineIOServer
@testable import Gateway
@testable import HTTPServer
@testable import Reactor
@testable import SocketIOServer
@testable import Timing

/// What a client costs that is only there, part by part, against figures: a field more in one of these is
/// a field more for everybody. `chatctl bench --scenario idle` measures the whole.
@Suite struct FootprintTests {
    @Test(arguments: [
        ("Connection", Footprint.bytes(of: Connection.self), 144),
        ("WebSocketChannel", Footprint.bytes(of: WebSocketChannel.self), 64),
        ("EngineConnection", Footprint.bytes(of: EngineConnection.self), 160),
        ("SocketConnection", Footprint.bytes(of: SocketConnection.self), 80),
        ("Socket", Footprint.bytes(of: Socket.self), 144),
        ("ChatClient", Footprint.bytes(of: ChatClient.self), 128),
        ("place in the loop", MemoryLayout<EventLoop.Slot>.stride, 24),
        ("timer", TimerWheel<any TimerTarget>.bytesPerTimer, 40),
        ("place in a room", MemoryLayout<Room.Member>.stride, 16),
        ("place in the presence", PresenceState.bytesPerUser, 56),
        ("known user", MemoryLayout<ChatState.KnownUser>.stride, 40),
        ("membership", MemoryLayout<ChatState.Member>.stride, 16),
    ])
    func takes(_ part: String, _ bytes: Int, _ figure: Int) {
        #expect(bytes == figure, "\(part)")
    }

    private final class Known {
        let one = 1
        let two: Int32 = 2
    }

    /// The measure itself.
    @Test func bytesOfAnObject() {
        #expect(Footprint.bytes(of: Known.self) == 48)
    }
}
