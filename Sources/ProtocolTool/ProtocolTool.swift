// SPDX-License-Identifier: MIT
internal import Glibc

/// A workbench for the protocol layers, not a product: what they cost, and what they say to given bytes.
@main
enum ProtocolTool {
    private static let usage = """
        usage: ProtocolTool bench              cost per frame and packet, one line a case, tab-separated:
                                               case, bytes, ns, instructions, allocations
               ProtocolTool vectors            the bytes the bench reads, one line a case: case, kind, hex
               ProtocolTool decode-socketio    messages of Engine.IO in, what the Socket.IO decoder says out:
                                               a connection a line, its messages as t<hex> or b<hex>

        """

    static func main() {
        switch CommandLine.arguments.dropFirst() {
        case ["bench"]: Bench().run()
        case ["vectors"]: Vectors.print()
        case ["decode-socketio"]: SocketDecoding.run()
        default:
            _ = usage.utf8.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) }
            exit(64)
        }
    }
}
