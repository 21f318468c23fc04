// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON

/// Reads the input as one JSON text in all three ways there are, which must agree, and writes back what was
/// read, which must read the same again.
@_cdecl("LLVMFuzzerTestOneInput")
package func fuzzJSON(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: data, count: count))
    let scanned = isSound(input)
    do throws(JSONError) {
        let tree = try JSONValue(parsing: input)
        precondition(scanned, "the tree parser takes what the scanner takes")
        let text = tree.bytes
        guard let again = try? JSONValue(parsing: text) else {
            preconditionFailure("what is written is read")
        }
        precondition(again.bytes == text, "what is written is written the same again")
        slice(input, tree)
    } catch {
        if case .duplicateMember = error { return 0 }
        precondition(!scanned, "the scanner takes what the tree parser takes")
    }
    return 0
}

private func isSound(_ input: [UInt8]) -> Bool {
    var scanner = JSONScanner()
    do throws(JSONError) {
        _ = try scanner.value(in: input.span)
        try scanner.end(in: input.span)
        return true
    } catch {
        return false
    }
}

/// The top level as slices holds what the tree holds.
private func slice(_ input: [UInt8], _ tree: JSONValue) {
    let slices = try? JSONObjectSlices(input.span, in: 0..<input.count)
    precondition((slices != nil) == (tree.object != nil))
    guard let slices, let object = tree.object else { return }
    precondition(slices.count == object.members.count)
    for (index, member) in object.members.enumerated() {
        let slice = slices.member(index)
        precondition(JSONString.decode(input.span.extracting(slice.name)) == member.name)
        guard let value = try? JSONValue(parsing: input.span.extracting(slice.value)) else {
            preconditionFailure("a slice is a value")
        }
        precondition(value.bytes == member.value.bytes)
    }
}
