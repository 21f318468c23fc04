// SPDX-License-Identifier: MIT
internal import Addresses
internal import Glibc

/// What libcurl's callbacks of one request write to. Kept alive by `perform`; the callbacks hold it
/// unretained and run on the same thread, inside `curl_easy_perform`.
final class Transfer {
    /// Why a callback stopped libcurl, which itself only says "write error".
    private(set) var stop: HTTPClientError?
    private(set) var status = 0
    private(set) var fields: [(name: String, value: String)] = []
    private(set) var body: [UInt8] = []
    /// The final response's fields are all here.
    private(set) var isHeadComplete = false
    private(set) var hasRefusedAddress = false
    private(set) var hasAdmittedAddress = false

    private let request: Request
    private var headBytes = 0
    private var interim = 0

    init(_ request: Request) { self.request = request }

    /// One line of a head, CRLF included; `HTTP/1.1 200 OK` and the empty line are lines too.
    /// False stops the transfer.
    func takeHeader(_ line: UnsafeRawBufferPointer) -> Bool {
        headBytes += line.count
        guard headBytes <= ResponseLimits.maxHeadBytes else { return fail(.headTooLarge) }
        if isHeadComplete { return true }  // A trailer: counted, not kept (RFC 9110 §6.5.1).
        var line = line[...]
        while let last = line.last, last == 0x0D || last == 0x0A { line = line.dropLast() }
        if line.isEmpty { return endHead() }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), !line.starts(with: "HTTP/".utf8)
        else { return startHead(line) }
        guard fields.count < ResponseLimits.maxFields else { return fail(.headTooLarge) }
        fields.append(
            (
                String(decoding: line[..<colon], as: UTF8.self).lowercased(),
                Transfer.trimmed(line[(colon + 1)...])
            ))
        return true
    }

    /// A piece of the body. Answers how much was taken; less than given stops the transfer.
    func takeBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        let room = request.maxResponseBytes - body.count
        body.append(contentsOf: bytes.prefix(room))
        if bytes.count > room {
            stop = .bodyTooLarge
            return 0
        }
        return bytes.count
    }

    /// Whether a socket may be opened for this address.
    func admits(_ address: UnsafePointer<sockaddr>, count: Int) -> Bool {
        guard let (address, port) = IPAddress.read(address, count: count),
            request.admits?(address, port) ?? true
        else {
            hasRefusedAddress = true
            return false
        }
        hasAdmittedAddress = true
        return true
    }

    /// Whether the request goes on.
    func continues() -> Bool {
        guard request.isCancelled?() == true else { return true }
        return fail(.cancelled)
    }

    private func startHead(_ line: Slice<UnsafeRawBufferPointer>) -> Bool {
        let parts = line.split(separator: 0x20, maxSplits: 2)
        guard parts.count >= 2, let code = Int(String(decoding: parts[1], as: UTF8.self)),
            (100...599).contains(code)
        else { return fail(.malformed) }
        status = code
        fields = []
        return true
    }

    private func endHead() -> Bool {
        if status < 200 {
            interim += 1
            return interim <= ResponseLimits.maxInterim || fail(.headTooLarge)
        }
        let isChunked = fields.contains { $0.name == "transfer-encoding" }
        // Two framings at once are how one response is smuggled into another (RFC 9112 §11.1).
        if isChunked, fields.contains(where: { $0.name == "content-length" }) {
            return fail(.malformed)
        }
        isHeadComplete = true
        return true
    }

    private func fail(_ error: HTTPClientError) -> Bool {
        stop = error
        return false
    }

    private static func trimmed(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
        var bytes = bytes.drop { $0 == 0x20 || $0 == 0x09 }
        while let last = bytes.last, last == 0x20 || last == 0x09 { bytes = bytes.dropLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    // SAFETY: the pointer is the one `perform` made from a transfer that it keeps alive until
    // `curl_easy_perform` returns; libcurl calls back only before that and on the same thread.
    static func of(_ context: UnsafeMutableRawPointer?) -> Transfer {
        Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue()
    }
}
