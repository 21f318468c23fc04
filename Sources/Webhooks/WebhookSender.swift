// SPDX-License-Identifier: MIT
internal import Bytes
internal import HTTPClient
package import Store
package import Timing

/// One attempt as it went.
package struct SentAttempt: Sendable {
    package var result: AttemptResult
    /// The address that was connected to; empty when none was.
    package var peer: String
    package var timings: AttemptTimings
    /// The head of the response's body, at most `WebhookSender.maxStoredBytes`.
    package var response: [UInt8]
}

/// Signs and sends one attempt. Blocks for `timeout` at most. The URL is judged again each time, and
/// each address at the connect: what was allowed when the endpoint was made may not be now.
package struct WebhookSender: Sendable {
    /// What is read of a response before the connection is closed.
    package static let maxReadBytes = 64 << 10
    /// What is kept of it.
    package static let maxStoredBytes = 16 << 10

    package var policy: URLPolicy
    package var keeper: SecretKeeper
    /// For everything from the name lookup to the last byte. Standard Webhooks: 15 to 30 s.
    package var timeout: Duration
    package var connectTimeout: Duration
    /// Authorities to trust in place of the system's.
    package var authoritiesFile: String?
    package var userAgent: String

    package init(
        policy: URLPolicy, keeper: SecretKeeper, timeout: Duration = .seconds(15),
        connectTimeout: Duration = .seconds(5), authoritiesFile: String? = nil,
        userAgent: String = "chat-webhooks/1"
    ) {
        self.policy = policy
        self.keeper = keeper
        self.timeout = timeout
        self.connectTimeout = connectTimeout
        self.authoritiesFile = authoritiesFile
        self.userAgent = userAgent
    }

    /// Sends `body` once.
    /// - Parameters:
    ///   - attempt: from 1; told to the receiver as a hint that is not signed.
    ///   - isCancelled: asked while waiting; true gives up with `.cancelled`.
    package func send(
        id: String, body: [UInt8], attempt: Int, to endpoint: EndpointRecord, now: Timestamp,
        isCancelled: (@Sendable () -> Bool)? = nil
    ) -> SentAttempt {
        guard (try? policy.check(endpoint.url)) != nil else { return failed(.blockedAddress) }
        let secrets = secrets(of: endpoint, now: now)
        guard !secrets.isEmpty else { return failed(.invalidRequest) }
        var fields: [(name: String, value: String)] = [
            ("content-type", "application/json"), ("user-agent", userAgent), ("webhook-id", id),
            ("webhook-timestamp", "\(now.seconds)"),
            (
                "webhook-signature",
                WebhookSignature.sign(id: id, timestamp: now, body: body, secrets: secrets)
            ), ("webhook-attempt", "\(attempt)"),
        ]
        fields += endpoint.fields.map { ($0.name, $0.value) }
        let addresses = policy.addresses
        let request = Request(
            method: "POST", url: endpoint.url, fields: fields, body: body,
            connectTimeout: connectTimeout, totalTimeout: timeout,
            maxResponseBytes: WebhookSender.maxReadBytes, overflow: .truncate,
            admits: { addresses.admits($0, port: $1) }, authoritiesFile: authoritiesFile,
            isCancelled: isCancelled)
        do throws(HTTPClientError) {
            let response = try perform(request)
            return SentAttempt(
                result: .status(response.status, retryAfter: response["retry-after"]),
                peer: response.peer, timings: AttemptTimings(response.timings),
                response: Array(response.body.prefix(WebhookSender.maxStoredBytes)))
        } catch {
            return failed(error)
        }
    }

    /// What requests are signed with: the current secret and, through a rotation, the one before.
    private func secrets(of endpoint: EndpointRecord, now: Timestamp) -> [WebhookSecret] {
        var sealed = [endpoint.secret]
        if let previous = endpoint.previousSecret, let until = endpoint.previousUntil, now < until {
            sealed.append(previous)
        }
        return sealed.compactMap { keeper.open($0, endpoint: endpoint.id) }
    }

    private func failed(_ error: HTTPClientError) -> SentAttempt {
        SentAttempt(result: .failed(error), peer: "", timings: AttemptTimings(), response: [])
    }
}

extension AttemptTimings {
    init(_ timings: PhaseTimings) {
        self.init()
        func micros(_ duration: Duration) -> Int64 { duration.nanoseconds / 1000 }
        resolved = micros(timings.resolved)
        connected = micros(timings.connected)
        secured = micros(timings.secured)
        firstByte = micros(timings.firstByte)
        total = micros(timings.total)
    }
}
