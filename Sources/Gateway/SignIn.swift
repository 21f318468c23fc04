// SPDX-License-Identifier: MIT
internal import JSON
internal import Timing

/// What a client came with, kept while it cannot be let in: a service that has just started has no keys
/// yet, a writer may have its hands full, a disk may be full for a moment.
///
/// Tries follow each other after 25 ms, then twice as long each time up to a second, until
/// `GatewayConfiguration.signInPatience` has passed since CONNECT.
final class SignIn {
    let token: [UInt8]
    /// The recovery of the official client: its private id and the offset of the last event it got.
    let privateID: String?
    let offset: LogCursor?
    /// Where any other client says it was.
    let cursor: LogCursor?
    /// Whether it asks for offsets or declines them; nil leaves that to what it is.
    let wantsOffset: Bool?
    private let since: Instant
    private var pause = SignIn.firstPause

    private static let firstPause = Duration.milliseconds(25)
    private static let longestPause = Duration.seconds(1)
    /// Private ids of ours are shorter by far; longer ones prove nothing and are not kept.
    private static let maxPrivateIDBytes = 128

    /// What the members of CONNECT's payload say; nil without a token.
    /// - Parameter auth: where in `packet` the payload is.
    init?(_ auth: Range<Int>, in packet: Span<UInt8>, now: Instant) {
        guard let fields = try? JSONObjectSlices(packet, in: auth),
            let token = fields.string("token", in: packet), !token.isEmpty
        else { return nil }
        self.token = Array(token.utf8)
        privateID = fields.string("pid", in: packet)
            .flatMap { $0.utf8.count <= SignIn.maxPrivateIDBytes ? $0 : nil }
        offset = fields.string("offset", in: packet).flatMap { LogCursor($0) }
        cursor = fields.string("cursor", in: packet).flatMap { LogCursor($0) }
        wantsOffset = fields.bool("recovery", in: packet)
        since = now
    }

    /// How long to wait before the next try; nil when patience has run out.
    func nextPause(now: Instant, patience: Duration) -> Duration? {
        let left = patience - (now - since)
        guard left > .zero else { return nil }
        defer { pause = min(pause * 2, SignIn.longestPause) }
        return min(pause, left)
    }
}
