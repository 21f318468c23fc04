// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto

/// Where a session lives.
package struct SessionOwner: Hashable, Sendable {
    /// The process, by its number among those that share a data directory.
    package let instance: Int
    /// The event loop in it.
    package let loop: Int

    init(instance: Int, loop: Int) {
        self.instance = instance
        self.loop = loop
    }
}

/// A session's id as the client knows it.
///
/// Shape: 24 characters, URL-safe base64 of 18 bytes: instance, loop, and the key's 16.
struct SessionName: Hashable, Sendable {
    let owner: SessionOwner
    let key: SessionKey

    init(owner: SessionOwner, key: SessionKey) {
        self.owner = owner
        self.key = key
    }

    /// What a well-formed id says; nil for any other.
    init?(_ sid: Substring) {
        guard sid.utf8.count == 24, let bytes = Base64.decode(Array(sid.utf8), alphabet: .url)
        else { return nil }
        owner = SessionOwner(instance: Int(bytes[0]), loop: Int(bytes[1]))
        key = SessionKey(bytes[2...])
    }

    var text: String {
        Base64.string(
            [UInt8(truncatingIfNeeded: owner.instance), UInt8(truncatingIfNeeded: owner.loop)]
                + key.bytes, alphabet: .url)
    }
}

/// Names a session among those of its loop: three bytes say its place there, and thirteen from the
/// system's random source that it is the one. So there is no table to search, and knowing the place,
/// which tells no more than the count of users that everybody is told, does not help to guess the id.
struct SessionKey: Hashable, Sendable {
    /// Sessions that one loop can have places for.
    static let places = 1 << 24

    private let high: UInt64
    private let low: UInt64

    init(place: Int) {
        precondition(place < SessionKey.places)
        let random = SecureRandom.bytes(13)
        self.init(
            [UInt8(place >> 16), UInt8(place >> 8 & 0xFF), UInt8(place & 0xFF)] + random[...])
    }

    fileprivate init(_ bytes: ArraySlice<UInt8>) {
        precondition(bytes.count == 16)
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    var place: Int { Int(high >> 40) }

    fileprivate var bytes: [UInt8] {
        [high, low].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) }
        }
    }

    /// Takes as long whether the first byte differs or the last.
    static func == (a: SessionKey, b: SessionKey) -> Bool {
        (a.high ^ b.high) | (a.low ^ b.low) == 0
    }
}

/// The sessions of one loop by their place: eight bytes each.
struct SessionTable {
    private var places: [EngineConnection?] = []
    private var free: [UInt32] = []
    private(set) var count = 0

    /// A key that names nobody yet: the next to be added is to have it.
    func nextKey() -> SessionKey { SessionKey(place: free.last.map { Int($0) } ?? places.count) }

    subscript(key: SessionKey) -> EngineConnection? {
        guard key.place < places.count, let found = places[key.place], found.key == key else {
            return nil
        }
        return found
    }

    /// Adds a session under the key that was `nextKey`.
    mutating func add(_ session: EngineConnection) {
        let place = session.key.place
        if place == places.count {
            places.append(session)
        } else {
            precondition(free.popLast().map { Int($0) } == place)
            places[place] = session
        }
        count += 1
    }

    /// - Returns: whether it was there.
    mutating func remove(_ session: EngineConnection) -> Bool {
        let place = session.key.place
        guard place < places.count, places[place] === session else { return false }
        places[place] = nil
        free.append(UInt32(place))
        count -= 1
        return true
    }

    var all: [EngineConnection] { places.compactMap { $0 } }
}
