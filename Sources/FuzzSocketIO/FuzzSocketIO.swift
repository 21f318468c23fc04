// SPDX-License-Identifier: MIT
internal import Bytes
internal import JSON
internal import SocketIO

/// Reads the input as messages: lines are texts, lines that begin with a NUL are attachments. A packet that is
/// decoded is encoded to one that decodes to the same.
@_cdecl("LLVMFuzzerTestOneInput")
package func fuzzSocketIO(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = UnsafeBufferPointer(start: data, count: count)
    var decoder = SocketDecoder(
        limits: SocketLimits(maxAttachmentBytes: 64, maxNamespaceBytes: 16, maxDepth: 8))
    for line in input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
        let bytes = Array(line)
        guard bytes.first != 0 || !decoder.isAwaitingAttachments else {
            guard let step = try? decoder.binary(Array(bytes.dropFirst())) else { return 0 }
            if case .binaryPacket(let packet, let text, let attachments) = step {
                precondition(attachments.count == packet.attachmentCount)
                check(packet, text)
            }
            continue
        }
        // Engine.IO hands on well-formed UTF-8 only.
        guard UTF8Validator.isValid(bytes.span) else { return 0 }
        guard let step = try? decoder.text(bytes.span) else { return 0 }
        if case .packet(let packet) = step { check(packet, bytes) }
    }
    return 0
}

private func check(_ packet: SocketPacket, _ text: [UInt8]) {
    precondition(packet.namespace.utf8.count <= 16)
    var encoded: [UInt8] = []
    SocketEncoder.header(
        packet.type, namespace: packet.namespace, ackID: packet.ackID,
        attachmentCount: packet.attachmentCount, into: &encoded)
    if let data = packet.data {
        precondition((try? JSONValue(parsing: Array(text[data]))) != nil || hasRepeats(text[data]))
        encoded += text[data]
        if packet.type == .event || packet.type == .binaryEvent {
            guard let parts = try? EventArguments.split(text.span, in: data) else {
                preconditionFailure("a checked event splits")
            }
            var pieces = [Array(text[parts.name])]
            for argument in parts.arguments { pieces.append(Array(text[argument])) }
            precondition(
                pieces.allSatisfy { (try? JSONValue(parsing: $0)) != nil || hasRepeats($0[...]) })
        }
    }
    var again = SocketDecoder()
    guard let step = try? again.text(encoded.span) else {
        preconditionFailure("what is encoded is decoded")
    }
    guard case .packet(let second) = step else {
        precondition(packet.type.isBinary)
        return
    }
    precondition(second.type == packet.type && second.namespace == packet.namespace)
    precondition(second.ackID == packet.ackID)
    precondition(second.data.map { Array(encoded[$0]) } == packet.data.map { Array(text[$0]) })
}

/// Whether the tree parser refuses this text for a repeated member, which the scanner lets pass.
private func hasRepeats(_ text: ArraySlice<UInt8>) -> Bool {
    do throws(JSONError) {
        _ = try JSONValue(parsing: Array(text))
        return false
    } catch {
        if case .duplicateMember = error { return true }
        return false
    }
}
