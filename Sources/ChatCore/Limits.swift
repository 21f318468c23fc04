// SPDX-License-Identifier: MIT

/// Every bound of the domain that a peer could push against. Configuration with defaults; those a
/// client must know are told in `session`.
package struct Limits: Hashable, Sendable {
    /// UTF-8 bytes of a message's text. 4,000 holds a long paragraph and stays well inside one
    /// TCP segment burst when broadcast.
    package var messageBytes = 4000
    /// Characters (grapheme clusters) of a room's name.
    package var roomNameCharacters = 80
    /// Characters of a room's topic.
    package var topicCharacters = 500
    /// UTF-8 bytes of a `clientId`: room for a UUID and a prefix.
    package var clientIDBytes = 64
    /// Rooms one user may be a member of, the lobby included.
    package var roomsPerUser = 200
    /// Rooms of the whole system; each costs memory in every instance.
    package var roomsTotal = 100_000
    /// Invitations of one room not yet taken.
    package var invitationsPerRoom = 1000
    /// Messages in one page of history.
    package var historyPage = 200
    /// Latest messages in the answer to a join.
    package var joinMessages = 50
    /// Payload bytes in one page of history, about, since one message more may come; and in the answer to a
    /// join. What one answer costs others, who wait for it to be written and sent, is half a millisecond.
    package var pageBytes = 64 << 10
    /// Members named in a room's detail; the count is always whole.
    package var memberPage = 200
    /// Rooms in one answer to a listing.
    package var roomListCount = 1000
    /// Requests a second of one user, over all connections and REST. Enforced by the gateway.
    package var messagesPerSecond = 50
    /// How many of them may come at once: five seconds' worth, since a stock client that was offline
    /// sends all it has buffered the moment it is back.
    package var requestBurst: Int { messagesPerSecond * 5 }
    /// Events replayed to a returning client before it is told to take a snapshot instead.
    package var replayEvents = 10_000
    /// Entries of the log that may lie between a returning client's offset and the head, in whatever
    /// rooms: a day at eleven a second. The store remembers the room of each of them (5 bytes).
    package var replayDistance = 1_000_000
    /// Bytes of payload replayed to a returning client before it is told to take a snapshot instead.
    package var replayBytes = 32 << 20
    /// How long a `clientId` is remembered, by the clock of the instance that is asked.
    package var idempotencyWindow: Duration = .seconds(86_400)
    /// A `clientId` among so many latest entries of the log is remembered however old it is, also if
    /// a clock has jumped.
    package var idempotencyMinimumEntries = 100_000
    /// Where memory (56 bytes a send) and the time of a start end the window early: above 11 entries a
    /// second for a whole day it is shorter than `idempotencyWindow`, at 1,000 a second 16 minutes.
    package var idempotencyMaximumEntries = 1_000_000

    package init() {}
}
