// SPDX-License-Identifier: MIT
internal import Addresses
internal import CCurl
internal import Glibc

/// Sends one request and waits for its response: blocks the calling thread for `totalTimeout` at
/// most. Never call it on an event loop. Redirects are not followed, proxies of the environment are
/// ignored, certificates are verified, only `http` and `https` are spoken, no content coding is
/// asked for. Each thread keeps one libcurl handle with its connections until the thread ends.
/// - Throws: `HTTPClientError`; a response of any status is not an error.
package func perform(_ request: Request) throws(HTTPClientError) -> Response {
    guard RequestCheck.admits(request) else { throw .invalidRequest }
    let easy = EasyHandle.current()
    curl_easy_reset(easy)
    let transfer = Transfer(request)
    let context = Unmanaged.passUnretained(transfer).toOpaque()
    let lists = Lists()
    configure(easy, request, context, lists)
    let code = withExtendedLifetime((transfer, lists)) { curl_easy_perform(easy) }
    let timings = PhaseTimings(easy)

    if code != CURLE_OK {
        let error = classify(code, transfer, timings, isSecure: request.url.hasHTTPSPrefix)
        // A complete head is an answer whatever becomes of the body (`Overflow.truncate`).
        guard transfer.isHeadComplete, request.overflow == .truncate, error != .cancelled,
            error != .malformed, error != .headTooLarge
        else { throw error }
    } else if !transfer.isHeadComplete {
        throw .closed
    }
    return Response(
        status: transfer.status, fields: transfer.fields, body: transfer.body,
        isBodyTruncated: code != CURLE_OK,
        peer: ccurl_string_info(easy, CURLINFO_PRIMARY_IP).map { String(cString: $0) } ?? "",
        timings: timings)
}

/// The libcurl handle of each thread, freed when the thread ends.
private enum EasyHandle {
    private static let key: pthread_key_t = {
        // Not thread-safe by itself before libcurl 7.84: this static's own once guards it.
        curl_global_init(ccurl_global_all)
        var key = pthread_key_t()
        precondition(pthread_key_create(&key, { curl_easy_cleanup($0) }) == 0)
        return key
    }()

    static func current() -> UnsafeMutableRawPointer {
        if let handle = pthread_getspecific(key) { return handle }
        guard let handle = curl_easy_init() else { fatalError("libcurl: out of memory") }
        pthread_setspecific(key, handle)
        return handle
    }
}

/// The string lists of one request: libcurl does not copy them.
private final class Lists {
    var fields: UnsafeMutablePointer<curl_slist>?
    var resolve: UnsafeMutablePointer<curl_slist>?

    deinit {
        curl_slist_free_all(fields)
        curl_slist_free_all(resolve)
    }
}

private func configure(
    _ easy: UnsafeMutableRawPointer, _ request: Request, _ context: UnsafeMutableRawPointer,
    _ lists: Lists
) {
    func set(_ option: CURLoption, _ value: Int) { ccurl_set_long(easy, option, value) }
    func set(_ option: CURLoption, _ value: String) { ccurl_set_string(easy, option, value) }

    set(CURLOPT_URL, request.url)
    set(CURLOPT_NOSIGNAL, 1)  // SIGALRM for name lookups would hit any thread.
    set(CURLOPT_PROTOCOLS_STR, "http,https")
    set(CURLOPT_FOLLOWLOCATION, 0)
    set(CURLOPT_PROXY, "")
    set(CURLOPT_NOPROXY, "*")
    set(CURLOPT_HTTP_VERSION, ccurl_http_1_1)
    set(CURLOPT_SSLVERSION, ccurl_tls_1_2)
    set(CURLOPT_SSL_VERIFYPEER, 1)
    set(CURLOPT_SSL_VERIFYHOST, 2)
    set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1)
    set(CURLOPT_PATH_AS_IS, 1)
    // Each request looks up once and judges what it got. Pinned addresses live in the same cache and
    // must last until the connect, but not until a later request that pins none.
    set(CURLOPT_DNS_CACHE_TIMEOUT, request.resolve == nil ? 0 : 60)
    set(CURLOPT_FRESH_CONNECT, request.keepsConnection ? 0 : 1)
    set(CURLOPT_FORBID_REUSE, request.keepsConnection ? 0 : 1)
    set(CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeout.wholeMilliseconds)
    set(CURLOPT_TIMEOUT_MS, request.totalTimeout.wholeMilliseconds)
    if let file = request.authoritiesFile { set(CURLOPT_CAINFO, file) }

    if let body = request.body {
        set(CURLOPT_POST, 1)
        ccurl_set_size(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count))
        // Copies, so that the array need not be pinned for the length of the request.
        body.withUnsafeBytes { bytes in
            _ = ccurl_set_pointer(
                easy, CURLOPT_COPYPOSTFIELDS,
                UnsafeMutableRawPointer(mutating: bytes.baseAddress ?? UnsafeRawPointer(context)))
        }
    } else {
        set(CURLOPT_HTTPGET, 1)
    }
    if request.method == "HEAD" { set(CURLOPT_NOBODY, 1) }
    set(CURLOPT_CUSTOMREQUEST, request.method)

    // What libcurl would add of its own: a name with nothing behind the colon takes it away.
    var lines = ["Expect:"]
    for name in ["Accept", "Content-Type"] {
        guard !request.fields.contains(where: { $0.name.lowercased() == name.lowercased() })
        else { continue }
        lines.append("\(name):")
    }
    // ... and a semicolon in place of the colon sends a name whose value is empty.
    lines += request.fields.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
    for line in lines { lists.fields = curl_slist_append(lists.fields, line) }
    ccurl_set_list(easy, CURLOPT_HTTPHEADER, lists.fields)

    if let addresses = request.resolve, let (host, port) = RequestCheck.authority(request.url) {
        let list = addresses.map { address in
            if case .v6 = address { "[\(address)]" } else { "\(address)" }
        }
        lists.resolve = curl_slist_append(
            nil, "+\(host):\(port):\(list.joined(separator: ","))")
        ccurl_set_list(easy, CURLOPT_RESOLVE, lists.resolve)
    }

    ccurl_set_pointer(easy, CURLOPT_WRITEDATA, context)
    ccurl_on_body(easy) { bytes, size, count, context in
        Transfer.of(context).takeBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
    }
    ccurl_set_pointer(easy, CURLOPT_HEADERDATA, context)
    ccurl_on_header(easy) { bytes, size, count, context in
        let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
        return Transfer.of(context).takeHeader(line) ? line.count : 0
    }
    ccurl_set_pointer(easy, CURLOPT_OPENSOCKETDATA, context)
    ccurl_on_open_socket(easy) { context, _, address in
        guard let address else { return ccurl_bad_socket }
        let isAdmitted = withUnsafePointer(to: &address.pointee.addr) {
            Transfer.of(context).admits($0, count: Int(address.pointee.addrlen))
        }
        guard isAdmitted else { return ccurl_bad_socket }
        return socket(
            address.pointee.family, address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue),
            address.pointee.protocol)
    }
    if request.isCancelled != nil {
        set(CURLOPT_NOPROGRESS, 0)
        ccurl_set_pointer(easy, CURLOPT_XFERINFODATA, context)
        ccurl_on_progress(easy) { context, _, _, _, _ in Transfer.of(context).continues() ? 0 : 1 }
    }
}

private func classify(
    _ code: CURLcode, _ transfer: Transfer, _ timings: PhaseTimings, isSecure: Bool
) -> HTTPClientError {
    if let stop = transfer.stop { return stop }
    switch code {
    case CURLE_URL_MALFORMAT, CURLE_LOGIN_DENIED:
        return .invalidRequest
    case CURLE_COULDNT_RESOLVE_HOST:
        return .unresolved
    case CURLE_COULDNT_CONNECT:
        return transfer.hasRefusedAddress && !transfer.hasAdmittedAddress
            ? .blockedAddress : .unreachable
    case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE,
        CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_ISSUER_ERROR:
        return .tls
    case CURLE_OPERATION_TIMEDOUT:
        if transfer.isHeadComplete { return .timeout(.body) }
        if timings.resolved == .zero { return .timeout(.resolve) }
        if timings.connected == .zero { return .timeout(.connect) }
        if isSecure, timings.secured == .zero { return .timeout(.tls) }
        return .timeout(.response)
    case CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_RECV_ERROR, CURLE_SEND_ERROR:
        return .closed
    case CURLE_OUT_OF_MEMORY where !transfer.isHeadComplete:
        // What libcurl 7.88 says of one field line that outgrows its own buffer.
        return .headTooLarge
    // An answer without a status line is HTTP/0.9 to libcurl: an "unsupported protocol".
    case CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL, CURLE_BAD_CONTENT_ENCODING:
        return .malformed
    default:
        return .failed(code: Int32(bitPattern: code.rawValue))
    }
}

extension PhaseTimings {
    fileprivate init(_ easy: UnsafeMutableRawPointer) {
        func time(_ info: CURLINFO) -> Duration { .microseconds(ccurl_time_info(easy, info)) }
        self.init()
        resolved = time(CURLINFO_NAMELOOKUP_TIME_T)
        connected = time(CURLINFO_CONNECT_TIME_T)
        secured = time(CURLINFO_APPCONNECT_TIME_T)
        firstByte = time(CURLINFO_STARTTRANSFER_TIME_T)
        total = time(CURLINFO_TOTAL_TIME_T)
    }
}

extension Duration {
    /// At least one, since zero means "for ever" to libcurl; at most a day.
    fileprivate var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        guard seconds < 86_400 else { return 86_400_000 }
        return max(1, Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
    }
}

extension String {
    fileprivate var hasHTTPSPrefix: Bool { prefix(6).lowercased() == "https:" }
}
