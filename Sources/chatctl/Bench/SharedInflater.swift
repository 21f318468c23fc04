// SPDX-License-Identifier: MIT
internal import Bytes
internal import WebSocket

/// Inflates what a server deflated once for many clients, once for all clients of a loop: the load
/// generator would otherwise spend more on inflating than the server on everything. Right only where
/// no message refers to the one before (`server_no_context_takeover`).
struct SharedInflater {
    /// Distinct frames that are kept. Broadcasts reach all clients within moments, so that old ones
    /// can be forgotten all at once.
    private static let capacity = 1024

    private struct Entry {
        let frame: [UInt8]
        let text: [UInt8]
    }

    private var receiver: MessageReceiver?
    private var entries: [Int: Entry] = [:]

    /// The text of a whole, compressed frame; nil when it does not inflate.
    mutating func inflate(
        _ frame: UnsafeRawBufferPointer, parameters: DeflateParameters
    ) -> [UInt8]? {
        var hasher = Hasher()
        hasher.combine(bytes: frame)
        let key = hasher.finalize()
        if let entry = entries[key], entry.frame.elementsEqual(frame) { return entry.text }
        var reading = receiver ?? MessageReceiver(role: .client, deflate: parameters)
        receiver = nil
        let original = Array(frame)
        var copy = original
        var text: [UInt8]?
        var span = copy.mutableSpan
        if let step = try? reading.next(in: &span), case .text(.assembled(let bytes)) = step.event {
            text = bytes
        }
        guard let text else { return nil }
        receiver = reading
        if entries.count == SharedInflater.capacity { entries.removeAll(keepingCapacity: true) }
        entries[key] = Entry(frame: original, text: text)
        return text
    }
}
