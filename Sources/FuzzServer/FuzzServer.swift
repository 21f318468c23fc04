// SPDX-License-Identifier: MIT
internal import Bytes

/// The server as it runs, on one loop that this thread turns, under a clock of the fuzzer's: connections are
/// socket pairs, everything behind them is the real thing. The input is a script of what up to four clients
/// do (`Script`); what holds at the end whatever they did, `Stage.end` checks.
@_cdecl("LLVMFuzzerTestOneInput")
package func fuzzServer(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: data, count: count))
    guard let options = input.first else { return 0 }
    let stage = Stage(compresses: options & 1 != 0, recovers: options & 2 != 0)
    var script = Script(Array(input.dropFirst()))
    while let step = script.next() { stage.perform(step) }
    stage.end()
    return 0
}

/// What the clients do, as bytes.
///
/// Shape: a byte whose upper two bits name the client and whose lower three bits the act; for `write`
/// two more with the length, low one first, and so many bytes; for `wait` one more.
struct Script {
    enum Step {
        /// Sends bytes, connecting first where that has not been done. `$0`…`$3` stand for the ids of the
        /// sessions in the order they were opened, `$4`…`$7` for the private ids of their sockets.
        case write(client: Int, [UInt8])
        case read(client: Int)
        case shutDown(client: Int)
        case close(client: Int)
        /// Time goes by: so many quarters of a second.
        case wait(quarters: Int)
    }

    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func next() -> Step? {
        guard let first = take() else { return nil }
        let client = Int(first >> 6)
        switch first & 7 {
        case 0, 1, 2, 3:
            guard let low = take(), let high = take() else { return nil }
            let count = min(Int(low) | Int(high) << 8, bytes.count - offset)
            defer { offset += count }
            return .write(client: client, Array(bytes[offset..<offset + count]))
        case 4: return .read(client: client)
        case 5: return .shutDown(client: client)
        case 6: return .close(client: client)
        default: return take().map { .wait(quarters: Int($0)) }
        }
    }

    private mutating func take() -> UInt8? {
        guard offset < bytes.count else { return nil }
        defer { offset += 1 }
        return bytes[offset]
    }
}
