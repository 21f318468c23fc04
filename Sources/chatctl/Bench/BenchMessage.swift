// SPDX-License-Identifier: MIT
internal import Bytes
internal import Glibc

/// The texts of load messages and how they are found again: `~`, nine digits that number the message,
/// then words to the length wanted, which compress as people's words do.
enum BenchMessage {
    static let leastTextBytes = 10

    private static let words = Array(
        """
        the boat leaves at seven and nobody has told Marta, so could one of you ring her before lunch? I \
        looked through last week's list again: two boxes of screws, some rope, a lamp for the shed and \
        whatever Jonas meant by 'the usual'. If it rains we meet under the bridge instead; otherwise same \
        place, same time, bring gloves. By the way, who has the key to the green door? It was on its hook \
        yesterday evening, I am quite sure, next to the map of the old harbour. No hurry with the photos, \
        just send what you have. My train was late by forty minutes, again, because of a cow on the track \
        near Ebersbach, which made everybody laugh except the driver. Does anyone know a good dentist? \
        Thursday would suit me best, Friday not at all. We should paint the fence while it is still dry \
        and warm enough; blue, as we said in March, or would you rather keep it brown?
        """.utf8)

    static func text(index: Int, bytes: Int) -> [UInt8] {
        var text: [UInt8] = [UInt8(ascii: "~")]
        let digits = String(index)
        text.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: 9 - digits.utf8.count))
        text.append(digits)
        // 31 and the number of bytes have no divisor in common, so that every place is a beginning.
        var place = index &* 31 % words.count
        while text.count < bytes {
            let part = words[place...].prefix(bytes - text.count)
            text.append(contentsOf: part)
            place = 0
        }
        return text
    }
}

/// A durable room event among the frames of a client.
struct BenchDelivery: Hashable, Sendable {
    var roomSeq: Int64
    /// `BenchDelivery.key` of the room's id.
    var room: UInt64
    /// The number of the load message; nil for any other event.
    var index: Int?

    /// FNV-1a over an id: tells the few rooms of one run apart without making strings.
    static func key(_ id: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in id { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return hash
    }

    /// Reads one Engine.IO text packet without building anything: the load generator reads millions a
    /// second and must be cheaper than what it measures. Knows the documented order of fields,
    /// `42["message",{"seq":7,"roomSeq":3,"room":"r_…",…,"text":"~000000001words"…`; nil for whatever
    /// looks otherwise.
    @inline(__always)
    static func read(_ bytes: UnsafeRawBufferPointer) -> BenchDelivery? {
        var cursor = Cursor(bytes: bytes)
        guard cursor.take("42[\"") else { return nil }
        let isMessage = cursor.take("message\",{\"seq\":")
        guard isMessage || cursor.take("member\",{\"seq\":") || cursor.take("room\",{\"seq\":"),
            cursor.number() != nil, cursor.take(",\"roomSeq\":"), let roomSeq = cursor.number(),
            cursor.take(",\"room\":\""), let room = cursor.keyToQuote()
        else { return nil }
        var index: Int?
        // No id, time or name of a load run holds a tilde, so the first one opens the text.
        if isMessage, cursor.skip(past: UInt8(ascii: "~")) {
            index = cursor.number(digits: 9).map(Int.init)
        }
        return BenchDelivery(roomSeq: roomSeq, room: room, index: index)
    }
}

/// The answer to a load message: `43<id>[{"ok":true,…,"roomSeq":3,…}]`.
struct BenchAnswer: Hashable, Sendable {
    var id: Int
    var isAccepted: Bool
    /// Where the answer's JSON array begins.
    var payload: Int
    /// The stored message's place in its room; 0 when the answer names none.
    var roomSeq: Int64 = 0

    /// Nil when the packet is no answer.
    static func read(_ bytes: UnsafeRawBufferPointer) -> BenchAnswer? {
        guard bytes.count > 4, bytes[0] == UInt8(ascii: "4"), bytes[1] == UInt8(ascii: "3") else {
            return nil
        }
        var id = 0
        var offset = 2
        while offset < min(bytes.count, 20), case let digit = bytes[offset] &- UInt8(ascii: "0"),
            digit < 10
        {
            id = id * 10 + Int(digit)
            offset += 1
        }
        var cursor = Cursor(bytes: bytes, offset: offset)
        var answer = BenchAnswer(id: id, isAccepted: cursor.take("[{\"ok\":true"), payload: offset)
        if answer.isAccepted, cursor.find(",\"roomSeq\":") {
            answer.roomSeq = cursor.number() ?? 0
        }
        return answer
    }
}

/// Reads known text off the front of a packet.
private struct Cursor {
    let bytes: UnsafeRawBufferPointer
    var offset = 0

    @inline(__always)
    mutating func take(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard bytes.count - offset >= count,
            memcmp(bytes.baseAddress! + offset, text.utf8Start, count) == 0
        else { return false }
        offset += count
        return true
    }

    @inline(__always)
    mutating func number(digits limit: Int = 18) -> Int64? {
        var value: Int64 = 0
        let start = offset
        while offset < bytes.count, offset - start < limit {
            let digit = bytes[offset] &- UInt8(ascii: "0")
            guard digit < 10 else { break }
            value = value &* 10 &+ Int64(digit)
            offset += 1
        }
        return offset > start ? value : nil
    }

    @inline(__always)
    mutating func keyToQuote() -> UInt64? {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            if byte == UInt8(ascii: "\"") { return hash }
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
        }
        return nil
    }

    @inline(__always)
    mutating func skip(past byte: UInt8) -> Bool {
        guard offset < bytes.count,
            let found = memchr(bytes.baseAddress! + offset, Int32(byte), bytes.count - offset)
        else { return false }
        offset = UnsafeRawPointer(found) - bytes.baseAddress! + 1
        return true
    }

    /// Moves behind the next place of a text, which does not begin again within itself.
    mutating func find(_ text: StaticString) -> Bool {
        let first = text.utf8Start.pointee
        while skip(past: first) {
            offset -= 1
            if take(text) { return true }
            offset += 1
        }
        return false
    }
}
