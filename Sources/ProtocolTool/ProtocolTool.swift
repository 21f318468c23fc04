// SPDX-License-Identifier: MIT
internal import Glibc

/// A workbench for the protocol layers, not a product: what they cost, and what they say to given bytes.
@main
enum ProtocolTool {
    private static let usage = """
        usage: ProtocolTool bench              cost per frame and packet, one line a case, tab-separated:
                                               case, bytes, ns, allocations
               ProtocolTool rounds CASE N      one case N times, for a simulator that counts instructions
               ProtocolTool allocations        the cases whose allocations differ from those in git; exit status 1
               ProtocolTool vectors            the bytes the bench reads, one line a case: case, kind, hex
               ProtocolTool decode-socketio    messages of Engine.IO in, what the Socket.IO decoder says out:
                                               a connection a line, its messages as t<hex> or b<hex>

        """

    static func main() {
        switch CommandLine.arguments.dropFirst() {
        case ["bench"]: Bench.run()
        case let words where words.count == 3 && words.first == "rounds":
            guard let rounds = words.last.flatMap({ Int($0) }),
                Bench.rounds(words[words.startIndex + 1], rounds)
            else { fail("there is no such case") }
        case ["allocations"]: exit(AllocationFigures.check() ? 0 : 1)
        case ["vectors"]: Vectors.print()
        case ["decode-socketio"]: SocketDecoding.run()
        default: fail(usage)
        }
    }

    private static func fail(_ text: String) -> Never {
        _ = text.utf8.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) }
        exit(64)
    }
}
