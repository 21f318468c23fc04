// SPDX-License-Identifier: MIT
internal import Bytes
internal import WebSocket

/// One whole connection: the first byte chooses the cut, the second how it is set up, the rest is what the
/// peer sends: requests, an upgrade, frames, Engine.IO packets, Socket.IO packets.
///
/// Cuts must change nothing, and all that the server writes must be sound to a strict client.
@_cdecl("LLVMFuzzerTestOneInput")
package func fuzzConnection(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: data + 2, count: count - 2))
    let (cut, options) = (data[0], data[1])
    let whole = StackedConnection(deflates: options & 1 != 0, maxInPlaceBytes: 4096)
    whole.receive(input[...])
    whole.end()
    let pieces = StackedConnection(
        deflates: options & 1 != 0, maxInPlaceBytes: Int(options >> 4) * 16)
    var rest = input[...]
    // Pieces of uneven sizes, so that buffers are filled and drained out of step.
    var size = Int(cut & 63) + 1
    while !rest.isEmpty {
        pieces.receive(rest.prefix(size))
        rest = rest.dropFirst(size)
        size = cut & 64 == 0 ? size : (size * 7 + 3) % 61 + 1
    }
    pieces.end()
    if whole.isReproducible {
        precondition(whole.said == pieces.said, "cuts change nothing")
        precondition(whole.written == pieces.written, "cuts change no answer")
    }
    Client(options & 1 != 0).read(whole)
    return 0
}
