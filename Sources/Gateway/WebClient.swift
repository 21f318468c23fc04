// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import Glibc
internal import HTTP1
package import HTTPServer
internal import JSON
internal import Timing

/// The built web client, served from memory: small, immutable while the process lives, and so never
/// a file system's business again. Compressed variants are the build's (`app.js.gz`,
/// `app.js.br`).
package struct WebClient: Sendable {
    /// The directory has no `index.html`, or a file of it cannot be read.
    package struct Unreadable: Error, CustomStringConvertible {
        let path: String
        let code: Int32
        package var description: String { "\(path): \(String(cString: strerror(code)))" }
    }

    private let assets: [String: StaticFile]
    private let index: StaticFile
    private let policy: String
    private let configuration: HTTPResponse

    /// Reads everything below `root`.
    /// - Parameters:
    ///   - issuer: where sign-in happens; the page may connect there.
    package init(root: String, issuer: String, version: String) throws(Unreadable) {
        var files: [String: (bytes: [UInt8], modified: Timestamp)] = [:]
        try WebClient.read(root, below: "", into: &files)
        var assets: [String: StaticFile] = [:]
        for (name, file) in files where !name.hasSuffix(".gz") && !name.hasSuffix(".br") {
            assets["/" + name] = StaticFile(
                type: WebClient.type(of: name), bytes: file.bytes,
                tag: Base64.string(Array(SHA256.digest(file.bytes)[..<12]), alphabet: .url),
                modified: file.modified,
                // A name that changes with its contents.
                cacheControl: WebClient.isHashed(name)
                    ? "public, max-age=31536000, immutable" : "no-cache",
                encoded: [("br", ".br"), ("gzip", ".gz")].compactMap { coding, suffix in
                    files[name + suffix].map { .init(coding: coding, bytes: $0.bytes) }
                })
        }
        guard let index = assets["/index.html"] else {
            throw Unreadable(path: "\(root)/index.html", code: ENOENT)
        }
        self.assets = assets
        self.index = index
        policy =
            "default-src 'self'; connect-src 'self' ws: wss: \(issuer); img-src 'self' data:; "
            + "style-src 'self' 'unsafe-inline'; base-uri 'none'; object-src 'none'; "
            + "frame-ancestors 'none'; form-action 'self'"
        configuration = .json([
            "issuer": .string(issuer), "clientId": "web", "version": .string(version),
        ])
    }

    /// Adds the routes. Last of all: any path that nothing else takes and that names no file is the
    /// application's own, and gets its page.
    package func add(to router: inout Router) {
        router.on("GET", "/config.json", .immediate { [configuration] _ in configuration })
        router.on("GET", "/{path...}", .immediate { [self] in answer($0) })
    }

    private func answer(_ request: HTTPRequest) -> HTTPResponse {
        let path = FormURLEncoded.decode(request.path, plusIsSpace: false)
        if let asset = assets[path] { return respond(asset, to: request) }
        let isReserved = ["/api/", "/internal/", "/socket.io"].contains { path.hasPrefix($0) }
        let name = path.split(separator: "/").last ?? ""
        guard !isReserved, !name.contains(".") else {
            return .problem(404, code: "not_found", detail: "There is nothing at this path.")
        }
        return respond(index, to: request)
    }

    private func respond(_ file: StaticFile, to request: HTTPRequest) -> HTTPResponse {
        var response = file.answer(request)
        response.fields.append("x-content-type-options", "nosniff")
        response.fields.append("referrer-policy", "no-referrer")
        if file.type.hasPrefix("text/html") {
            response.fields.append("content-security-policy", policy)
            response.fields.append("x-frame-options", "DENY")
        }
        return response
    }

    // MARK: Files

    private static func type(of name: String) -> String {
        switch name.split(separator: ".").last.map(String.init) ?? "" {
        case "html": "text/html; charset=utf-8"
        case "js", "mjs": "text/javascript; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "json", "map": "application/json"
        case "svg": "image/svg+xml"
        case "png": "image/png"
        case "ico": "image/x-icon"
        case "webmanifest": "application/manifest+json"
        case "woff2": "font/woff2"
        case "txt": "text/plain; charset=utf-8"
        default: "application/octet-stream"
        }
    }

    /// Whether a name carries a hash of at least eight characters before its extension:
    /// `app.9f86d081.js`, `app-9F86D081.js`.
    private static func isHashed(_ name: String) -> Bool {
        let parts = name.split(whereSeparator: { $0 == "." || $0 == "-" })
        guard parts.count >= 3 else { return false }
        let hash = parts[parts.count - 2] == "js" ? parts[parts.count - 3] : parts[parts.count - 2]
        return hash.utf8.count >= 8
            && hash.utf8.allSatisfy { Hex.value(of: $0) != nil || (65...90).contains($0) }
    }

    private static func read(
        _ root: String, below prefix: String,
        into files: inout [String: (bytes: [UInt8], modified: Timestamp)]
    ) throws(Unreadable) {
        let directory = prefix.isEmpty ? root : "\(root)/\(prefix)"
        guard let handle = opendir(directory) else {
            throw Unreadable(path: directory, code: errno)
        }
        defer { closedir(handle) }
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard !name.hasPrefix(".") else { continue }
            let relative = prefix.isEmpty ? name : "\(prefix)/\(name)"
            var status = stat()
            guard stat("\(root)/\(relative)", &status) == 0 else {
                throw Unreadable(path: "\(root)/\(relative)", code: errno)
            }
            if status.st_mode & S_IFMT == S_IFDIR {
                try read(root, below: relative, into: &files)
            } else if status.st_mode & S_IFMT == S_IFREG {
                files[relative] = (
                    try contents("\(root)/\(relative)", Int(status.st_size)),
                    Timestamp(seconds: Int64(status.st_mtim.tv_sec))
                )
            }
        }
    }

    private static func contents(_ path: String, _ size: Int) throws(Unreadable) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Unreadable(path: path, code: errno) }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: size)
        var filled = 0
        while filled < size {
            let count = bytes[filled...].withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            guard count > 0 else { throw Unreadable(path: path, code: count < 0 ? errno : EIO) }
            filled += count
        }
        return bytes
    }
}
