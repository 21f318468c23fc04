// SPDX-License-Identifier: MIT
internal import Bytes
internal import CHiredis

/// A reply in version 2 of the Redis protocol.
enum RedisReply: Hashable, Sendable {
    case status(String)
    case error(String)
    case integer(Int64)
    case bulk([UInt8])
    case array([RedisReply])
    case null
}

/// Commands as bytes.
enum RedisCommand {
    /// Appends a command: an array of bulk strings.
    static func write(_ words: [String], into output: inout [UInt8]) {
        writeHeader(words.count, into: &output)
        for word in words { write(word, into: &output) }
    }

    /// Appends `PUBLISH channel payload`.
    static func writePublish(_ channel: String, _ payload: [UInt8], into output: inout [UInt8]) {
        writeHeader(3, into: &output)
        write("PUBLISH", into: &output)
        write(channel, into: &output)
        output.append("$")
        output.append(decimal: payload.count)
        output.append("\r\n")
        output.append(contentsOf: payload)
        output.append("\r\n")
    }

    private static func writeHeader(_ count: Int, into output: inout [UInt8]) {
        output.append("*")
        output.append(decimal: count)
        output.append("\r\n")
    }

    private static func write(_ word: String, into output: inout [UInt8]) {
        output.append("$")
        output.append(decimal: word.utf8.count)
        output.append("\r\n")
        output.append(word)
        output.append("\r\n")
    }
}

/// The stream is not the Redis protocol, or a reply is larger than we take.
struct RedisProtocolError: Error, Hashable, Sendable {
    let description: String
}

/// Turns the bytes of a connection into replies: hiredis's reader without its socket code. Bytes may
/// come cut anywhere.
struct RedisReplyReader: ~Copyable {
    private let reader: UnsafeMutablePointer<redisReader>

    init() {
        guard let reader = redisReaderCreate() else { fatalError("out of memory") }
        self.reader = reader
    }

    deinit { redisReaderFree(reader) }

    /// Takes the next bytes of the stream.
    mutating func feed(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            // Fails only when it failed before, which `next` then reports.
            _ = redisReaderFeed(
                reader, start.assumingMemoryBound(to: CChar.self), bytes.count)
        }
    }

    /// The next whole reply; nil when more bytes are needed. After an error the reader is done for.
    mutating func next() throws(RedisProtocolError) -> RedisReply? {
        var object: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &object) == REDIS_OK else {
            let text = withUnsafePointer(to: reader.pointee.errstr) {
                $0.withMemoryRebound(to: CChar.self, capacity: 128) { String(cString: $0) }
            }
            throw RedisProtocolError(description: text)
        }
        guard let object else { return nil }
        defer { freeReplyObject(object) }
        return RedisReplyReader.value(object.assumingMemoryBound(to: redisReply.self))
    }

    /// hiredis limits the nesting to seven, so the recursion is bounded.
    private static func value(_ reply: UnsafeMutablePointer<redisReply>) -> RedisReply {
        let reply = reply.pointee
        var bytes: [UInt8] {
            reply.str.map { Array(UnsafeRawBufferPointer(start: $0, count: reply.len)) } ?? []
        }
        switch reply.type {
        case REDIS_REPLY_STRING: return .bulk(bytes)
        case REDIS_REPLY_STATUS: return .status(String(decoding: bytes, as: UTF8.self))
        case REDIS_REPLY_ERROR: return .error(String(decoding: bytes, as: UTF8.self))
        case REDIS_REPLY_INTEGER: return .integer(reply.integer)
        case REDIS_REPLY_ARRAY:
            return .array(
                (0..<reply.elements).map { index in
                    reply.element?[index].map { value($0) } ?? .null
                })
        default: return .null
        }
    }
}

/// What the server tells a subscriber.
enum RedisPush: Hashable, Sendable {
    case subscribed(channel: String)
    case message(channel: String, payload: [UInt8])
    /// Anything else, such as the answer to a PING.
    case other

    init(_ reply: RedisReply) {
        guard case .array(let parts) = reply, parts.count == 3, case .bulk(let kind) = parts[0],
            case .bulk(let channel) = parts[1]
        else {
            self = .other
            return
        }
        let name = String(decoding: channel, as: UTF8.self)
        if kind.elementsEqual("message".utf8), case .bulk(let payload) = parts[2] {
            self = .message(channel: name, payload: payload)
        } else if kind.elementsEqual("subscribe".utf8) {
            self = .subscribed(channel: name)
        } else {
            self = .other
        }
    }
}
