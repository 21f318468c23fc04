// SPDX-License-Identifier: MIT
internal import Bytes

/// A request that landed on another instance than its session's, with what is needed to go on with it
/// there. Travels with its connection's descriptor.
package struct PassedRequest: Hashable, Sendable {
    /// The loop that owns the session.
    package var loop: Int
    /// The connection's other end, numeric, without port; at most 255 bytes.
    package var address: String
    /// Whether a trusted proxy is at the other end.
    package var isProxy: Bool
    /// Whether the client's bytes were encrypted on their way.
    package var isSecure: Bool
    /// What the connection brought, from the request's first byte on.
    package var bytes: [UInt8]

    package init(
        loop: Int, address: String, isProxy: Bool = false, isSecure: Bool = false, bytes: [UInt8]
    ) {
        self.loop = loop
        self.address = address
        self.isProxy = isProxy
        self.isSecure = isSecure
        self.bytes = bytes
    }
}

/// What instances say to each other over a local stream socket.
///
/// ```
///  0         4      5             6        8
///  ├─ count ─┼ kind ┼ descriptors ┼ unused ┼─ count bytes ─┤     integers little-endian
/// ```
///
/// Descriptors come with the frame's first byte. Both ends run the same program, or two versions of
/// it during an upgrade: a kind that is not known is skipped.
enum InstanceFrame: Hashable, Sendable {
    /// The first on a link: who calls.
    case hello(number: Int)
    /// Nothing to say, still here.
    case beat
    /// A message of the bus.
    case message(channel: String, payload: [UInt8])
    /// A request with its connection: one descriptor.
    case connection(PassedRequest)
    /// Asks for the listening sockets of an address.
    case listenersWanted(host: String, port: Int)
    /// The answer: as many descriptors as there are; none when the address is not listened on.
    case listeners
    /// The asker accepts connections: the one asked may go.
    case takenOver
    /// Something of a newer version.
    case unknown

    static let headerBytes = 8
    /// Above any request the server takes, and any message of the bus.
    static let maxBytes = 8 << 20

    private var kind: UInt8 {
        switch self {
        case .hello: 1
        case .beat: 2
        case .message: 3
        case .connection: 4
        case .listenersWanted: 5
        case .listeners: 6
        case .takenOver: 7
        case .unknown: 0
        }
    }

    /// The whole frame.
    /// - Parameter descriptors: how many go with it.
    func encoded(descriptors: Int = 0) -> [UInt8] {
        var output: [UInt8] = [0, 0, 0, 0, kind, UInt8(descriptors), 0, 0]
        switch self {
        case .hello(let number): output.append(little: number)
        case .message(let channel, let payload):
            output.reserveCapacity(output.count + 1 + channel.utf8.count + payload.count)
            output.append(short: channel)
            output.append(contentsOf: payload)
        case .connection(let request):
            output.reserveCapacity(output.count + 32 + request.bytes.count)
            output.append(little: request.loop)
            output.append((request.isProxy ? 1 : 0) | (request.isSecure ? 2 : 0))
            output.append(short: request.address)
            output.append(contentsOf: request.bytes)
        case .listenersWanted(let host, let port):
            output.append(little: port)
            output.append(short: host)
        case .beat, .listeners, .takenOver, .unknown: break
        }
        let count = output.count - InstanceFrame.headerBytes
        for index in 0..<4 { output[index] = UInt8(truncatingIfNeeded: count >> (8 * index)) }
        return output
    }

    /// Reads what stands behind the header. Nil when it is malformed.
    init?(kind: UInt8, _ body: ArraySlice<UInt8>) {
        var body = body
        switch kind {
        case 1:
            guard let number = body.popLittle() else { return nil }
            self = .hello(number: number)
        case 2: self = .beat
        case 3:
            guard let channel = body.popShort() else { return nil }
            self = .message(channel: channel, payload: Array(body))
        case 4:
            guard let loop = body.popLittle(), let flags = body.popFirst(),
                let address = body.popShort()
            else { return nil }
            self = .connection(
                PassedRequest(
                    loop: loop, address: address, isProxy: flags & 1 != 0,
                    isSecure: flags & 2 != 0, bytes: Array(body)))
        case 5:
            guard let port = body.popLittle(), let host = body.popShort() else { return nil }
            self = .listenersWanted(host: host, port: port)
        case 6: self = .listeners
        case 7: self = .takenOver
        default: self = .unknown
        }
    }
}

/// Why a link cannot be read on: what follows cannot be told apart.
enum InstanceFrameError: Error, Hashable, Sendable {
    case tooLarge(Int)
    case malformed(kind: UInt8)
}

/// Cuts a link's bytes into frames.
struct InstanceFrameReader: Sendable {
    private var input: [UInt8] = []
    private var start = 0

    mutating func feed(_ bytes: some Collection<UInt8>) {
        if start > 0 {
            input.removeFirst(start)
            start = 0
        }
        input.append(contentsOf: bytes)
    }

    /// The next whole frame and how many descriptors go with it; nil when more bytes are needed.
    mutating func next() throws(InstanceFrameError) -> (InstanceFrame, descriptors: Int)? {
        guard input.count - start >= InstanceFrame.headerBytes else { return nil }
        var count = 0
        for index in 0..<4 { count |= Int(input[start + index]) << (8 * index) }
        guard count <= InstanceFrame.maxBytes else { throw .tooLarge(count) }
        let (kind, descriptors) = (input[start + 4], Int(input[start + 5]))
        let body = start + InstanceFrame.headerBytes
        guard input.count - body >= count else { return nil }
        guard let frame = InstanceFrame(kind: kind, input[body..<body + count]) else {
            throw .malformed(kind: kind)
        }
        start = body + count
        if start == input.count {
            input.removeAll(keepingCapacity: input.count <= 1 << 18)
            start = 0
        }
        return (frame, descriptors)
    }
}

extension [UInt8] {
    /// Appends the low 16 bits.
    fileprivate mutating func append(little value: Int) {
        append(UInt8(truncatingIfNeeded: value))
        append(UInt8(truncatingIfNeeded: value >> 8))
    }

    /// Appends a text of at most 255 bytes behind its length; longer ones are cut.
    fileprivate mutating func append(short text: String) {
        let bytes = text.utf8.prefix(255)
        append(UInt8(bytes.count))
        append(contentsOf: bytes)
    }
}

extension ArraySlice<UInt8> {
    fileprivate mutating func popLittle() -> Int? {
        guard let low = popFirst(), let high = popFirst() else { return nil }
        return Int(low) | Int(high) << 8
    }

    fileprivate mutating func popShort() -> String? {
        guard let length = popFirst(), count >= Int(length) else { return nil }
        defer { removeFirst(Int(length)) }
        return String(validating: prefix(Int(length)), as: UTF8.self)
    }
}
