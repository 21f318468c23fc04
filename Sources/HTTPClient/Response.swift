// SPDX-License-Identifier: MIT
package import JSON

/// One final response, 3xx included: redirects are never followed.
package struct Response: Sendable {
    /// 200 to 599.
    package var status: Int
    /// In the order received, names in lower case, values without white space around them.
    package var fields: [(name: String, value: String)]
    package var body: [UInt8]
    /// The body is not all the peer had to say: longer than the cap, stalled or cut off. Only with
    /// `Request.Overflow.truncate`.
    package var isBodyTruncated: Bool
    /// The address that was connected to; empty when none is known.
    package var peer: String
    package var timings: PhaseTimings

    /// The first field of that name; `name` must be in lower case.
    package subscript(name: String) -> String? {
        fields.first { $0.name == name }?.value
    }

    /// The body as one JSON text.
    package func json() throws(JSONError) -> JSONValue {
        try JSONValue(parsing: body)
    }
}

/// Where the time of one request went. Each is measured from the start of the request; zero means
/// that the phase was not reached or, on a kept connection, not needed.
package struct PhaseTimings: Sendable, Hashable {
    /// The name was looked up.
    package var resolved: Duration = .zero
    /// TCP was connected.
    package var connected: Duration = .zero
    /// TLS was agreed; zero for `http`.
    package var secured: Duration = .zero
    /// The first byte of the response came.
    package var firstByte: Duration = .zero
    /// All was done.
    package var total: Duration = .zero

    package init() {}
}
