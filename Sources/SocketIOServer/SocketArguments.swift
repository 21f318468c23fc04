// SPDX-License-Identifier: MIT
internal import Bytes
package import JSON

/// The arguments of an event or of an answer: JSON texts, and the binary messages that their
/// placeholders stand for.
///
/// Shape: each item is one JSON text; `{"_placeholder":true,"num":n}` anywhere in it stands for
/// `attachments[n]` (Socket.IO protocol 5, Packet encoding).
package struct SocketArguments: Hashable, Sendable, ExpressibleByArrayLiteral {
    package private(set) var items: [[UInt8]] = []
    package private(set) var attachments: [[UInt8]] = []

    /// No arguments.
    package init() {}

    /// Arguments without binary.
    package init(arrayLiteral elements: JSONValue...) {
        items = elements.map(\.bytes)
    }

    /// Arguments without binary.
    package init(_ values: [JSONValue]) {
        items = values.map(\.bytes)
    }

    /// What a peer sent, to be kept or sent on as it is.
    /// - Parameters:
    ///   - ranges: one JSON text each, in `packet`.
    ///   - attachments: as many as the texts' placeholders count.
    package init(
        _ ranges: some Collection<Range<Int>>, in packet: Span<UInt8>, attachments: [[UInt8]] = []
    ) {
        items = ranges.map { packet.extracting($0).array() }
        self.attachments = attachments
    }

    /// Adds one argument.
    package mutating func append(_ value: JSONValue) { items.append(value.bytes) }

    /// Adds one argument that is binary as a whole.
    package mutating func append(binary bytes: [UInt8]) {
        items.append(placeholder(for: bytes).bytes)
    }

    /// Takes in a binary message and gives what stands for it in an argument's JSON.
    package mutating func placeholder(for bytes: [UInt8]) -> JSONValue {
        attachments.append(bytes)
        return ["_placeholder": true, "num": .int(Int64(attachments.count - 1))]
    }

    package var count: Int { items.count }

    /// The argument as a tree; binary shows as its placeholder. Nil when there is no such argument.
    package subscript(index: Int) -> JSONValue? {
        guard items.indices.contains(index) else { return nil }
        return try? JSONValue(parsing: items[index])
    }

    /// The binary message that the argument is as a whole, or that its member `name` is; nil where
    /// there is none.
    package func binary(_ index: Int, _ name: String? = nil) -> [UInt8]? {
        guard var value = self[index] else { return nil }
        if let name {
            guard let member = value[name] else { return nil }
            value = member
        }
        guard value["_placeholder"]?.bool == true, let number = value["num"]?.int,
            let place = Int(exactly: number), attachments.indices.contains(place)
        else { return nil }
        return attachments[place]
    }
}
