// SPDX-License-Identifier: MIT
package import Timing

/// Where a user wants events sent. Secrets are sealed by whoever gives them here: this layer never
/// sees a key.
package struct EndpointRecord: Hashable, Sendable {
    package struct Field: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// `ep_` and 16 random characters.
    package var id: String
    /// The `sub` of the owner's token. Every question about an endpoint names its owner.
    package var owner: String
    package var url: String
    package var description: String
    /// Patterns of event types; empty for all.
    package var types: [String]
    /// Room ids; empty for all of the owner's.
    package var rooms: [String]
    /// The least rank of an alert: 0 to 2.
    package var minSeverity: Int
    /// Added to each request.
    package var fields: [Field]
    /// The current secret, sealed.
    package var secret: [UInt8]
    /// The one before, sealed, and until when requests are signed with it too.
    package var previousSecret: [UInt8]?
    package var previousUntil: Timestamp?
    package var isEnabled: Bool
    /// Why it was switched off: `owner`, `gone` (410), `failing` (for days) or `account` (closed).
    package var disabledReason: String?
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    /// From 1, one more with each change that its owner can see: its entity tag.
    package var version: Int64
    /// Attempts that failed since the latest that did not.
    package var failures: Int
    /// When the first of those failed.
    package var failingSince: Timestamp?

    package init(
        id: String, owner: String, url: String, description: String = "", types: [String] = [],
        rooms: [String] = [], minSeverity: Int = 0, fields: [Field] = [], secret: [UInt8],
        createdAt: Timestamp
    ) {
        self.id = id
        self.owner = owner
        self.url = url
        self.description = description
        self.types = types
        self.rooms = rooms
        self.minSeverity = minSeverity
        self.fields = fields
        self.secret = secret
        isEnabled = true
        self.createdAt = createdAt
        updatedAt = createdAt
        version = 1
        failures = 0
    }
}

/// Where a delivery stands. Raw values are stored.
package enum DeliveryState: Int, Sendable, Hashable, CaseIterable {
    /// Waits for its time, or for its endpoint to be switched on.
    case ready = 0
    /// An attempt is under way, or was when the process died.
    case inFlight = 1
    case delivered = 2
    /// Given up; kept so that it can be sent again by hand.
    case dead = 3

    /// The word of the API.
    package var name: String {
        switch self {
        case .ready: "queued"
        case .inFlight: "in_flight"
        case .delivered: "delivered"
        case .dead: "dead"
        }
    }
}

/// One event on its way to one endpoint.
package struct DeliveryRecord: Hashable, Sendable {
    /// Rises with each new delivery: the cursor of lists.
    package var number: Int64
    /// `webhook-id`: the same at every attempt.
    package var id: String
    package var endpoint: String
    package var type: String
    package var source: String
    package var sequence: Int64
    package var room: String?
    package var state: DeliveryState
    package var attempts: Int
    package var nextAt: Timestamp
    package var createdAt: Timestamp
    package var finishedAt: Timestamp?
    /// Of the latest attempt.
    package var status: Int?
    package var error: String?
}

/// How the time of an attempt was spent, in microseconds from its start; 0 where not reached.
package struct AttemptTimings: Hashable, Sendable {
    package var resolved: Int64 = 0
    package var connected: Int64 = 0
    package var secured: Int64 = 0
    package var firstByte: Int64 = 0
    package var total: Int64 = 0

    package init() {}
}

/// One attempt of a delivery.
package struct AttemptRecord: Hashable, Sendable {
    /// From 1 in its delivery.
    package var number: Int
    package var startedAt: Timestamp
    package var status: Int?
    /// A stable word; `interrupted` when the process died meanwhile, nil while it lasts.
    package var error: String?
    /// The address that was connected to.
    package var peer: String
    package var timings: AttemptTimings
    /// The head of the response's body.
    package var response: [UInt8]
}

/// What follows from an attempt, as the store writes it down.
package enum AttemptEnd: Hashable, Sendable {
    case delivered
    case retry(at: Timestamp)
    case dead
    /// Dead, and the endpoint is switched off.
    case gone
}

/// An attempt that ended.
package struct FinishedAttempt: Hashable, Sendable {
    package var delivery: Int64
    /// The attempt's row, from `ClaimedDelivery`.
    package var attempt: Int64
    package var endpoint: String
    package var end: AttemptEnd
    package var status: Int?
    package var error: String?
    package var peer: String
    package var timings: AttemptTimings
    package var response: [UInt8]

    package init(
        delivery: Int64, attempt: Int64, endpoint: String, end: AttemptEnd, status: Int? = nil,
        error: String? = nil, peer: String = "", timings: AttemptTimings = AttemptTimings(),
        response: [UInt8] = []
    ) {
        self.delivery = delivery
        self.attempt = attempt
        self.endpoint = endpoint
        self.end = end
        self.status = status
        self.error = error
        self.peer = peer
        self.timings = timings
        self.response = response
    }
}

/// A delivery that an attempt is to be made for now.
package struct ClaimedDelivery: Hashable, Sendable {
    package var delivery: Int64
    package var id: String
    package var attempt: Int64
    /// Which attempt this is, from 1.
    package var attempts: Int
    package var endpoint: EndpointRecord
    /// The same bytes at every attempt.
    package var body: [UInt8]
    package var createdAt: Timestamp
}

/// One entry of a source's log as the store takes it in.
package struct SourceEntry: Hashable, Sendable {
    /// Who may get an event: whom the endpoint's owner must be.
    package enum Audience: Hashable, Sendable {
        /// A member of the room when the entry was committed.
        case members(room: String)
        /// A member of any of them.
        case membersOfAny([String])
        case user(String)
        case everyone
        case nobody
    }

    package enum Membership: Hashable, Sendable {
        case joined(room: String, user: String)
        case left(room: String, user: String)
    }

    package var sequence: Int64
    package var at: Timestamp
    /// The webhook's type; nil for an entry that makes none.
    package var type: String?
    package var room: String?
    package var audience: Audience
    package var membership: Membership?
    /// An account that was closed: its endpoints are switched off.
    package var closedAccount: String?
    /// The rank of an alert.
    package var severity: Int?
    /// One JSON object as text: the event as clients see it.
    package var data: [UInt8]

    package init(
        sequence: Int64, at: Timestamp, type: String?, room: String? = nil, audience: Audience,
        membership: Membership? = nil, closedAccount: String? = nil, severity: Int? = nil,
        data: [UInt8]
    ) {
        self.sequence = sequence
        self.at = at
        self.type = type
        self.room = room
        self.audience = audience
        self.membership = membership
        self.closedAccount = closedAccount
        self.severity = severity
        self.data = data
    }
}

/// An alert on its way to ChatService.
package struct AlertRecord: Hashable, Sendable {
    package var number: Int64
    /// `al_` and 16 random characters.
    package var id: String
    /// The body of `POST /internal/alerts`.
    package var body: [UInt8]
    package var attempts: Int
    package var createdAt: Timestamp
    package var expiresAt: Timestamp
}
