// SPDX-License-Identifier: MIT

/// Why a request was refused, as the client is told: `{code, message, retryAfterMs?}`.
package struct ChatError: Error, Hashable, Sendable {
    /// Stable codes; clients switch on them.
    package enum Code: String, Hashable, Sendable, CaseIterable {
        /// A field is missing, of the wrong type, empty or malformed.
        case badRequest = "bad_request"
        /// No such event name.
        case unknownEvent = "unknown_event"
        /// No such room, user or message, or one that the sender may not know of.
        case notFound = "not_found"
        /// The sender may know of it but not do this.
        case forbidden
        /// The sender is not a member of the room.
        case notMember = "not_member"
        /// A field is longer than its limit.
        case tooLarge = "too_large"
        /// Too many requests; `retryAfterMs` says when to come back.
        case rateLimited = "rate_limited"
        /// The server's queue is full; nothing happened; `retryAfterMs` says when to come back.
        case busy
        /// The log could not be written. The request did not take effect as far as we know; the same
        /// `clientId` makes a repetition safe.
        case storageUnavailable = "storage_unavailable"
        /// It contradicts what is there, as a room name that is taken.
        case conflict
        /// A count is at its limit, as rooms per user.
        case limitReached = "limit_reached"
    }

    package var code: Code
    /// One English sentence for a person; never switch on it.
    package var message: String
    /// Milliseconds to wait before trying again, where that makes sense.
    package var retryAfterMs: Int?

    package init(_ code: Code, _ message: String, retryAfterMs: Int? = nil) {
        self.code = code
        self.message = message
        self.retryAfterMs = retryAfterMs
    }

    /// The queue to the writer is full.
    package static let busy = ChatError(
        .busy, "The server is busy. Try again shortly.", retryAfterMs: 250)
    /// Another process has the log's write lock and does not let go of it.
    package static let locked = ChatError(
        .busy, "The server is busy. Try again shortly.", retryAfterMs: 1000)
    /// The log cannot be written now.
    package static let storageUnavailable = ChatError(
        .storageUnavailable, "Messages cannot be stored at the moment.", retryAfterMs: 1000)
}
