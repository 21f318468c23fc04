// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO

/// Reads the input as a polling body and as a query. A body that is read is written back the same.
@_cdecl("LLVMFuzzerTestOneInput")
package func fuzzEngineIO(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: data, count: count))
    let query = EngineQuery.parse(String(decoding: input, as: UTF8.self))
    precondition(query.transport == nil || !query.hasUnknownTransport)
    _ = EngineRefusal.first(for: query, method: "GET", isUpgrade: false, sessionTransport: nil)

    var reader = PollPayloadReader()
    var writer = PollPayloadWriter()
    var written: [UInt8] = []
    while true {
        guard let step = try? reader.next(in: input.span) else { return 0 }
        switch step {
        case .packet(let type, let range):
            writer.text(type, input.span.extracting(range), into: &written)
        case .binary(let bytes): writer.binary(bytes.span, into: &written)
        case .end:
            precondition(written == input, "a body that is read is written back the same")
            return 0
        }
    }
}
