// SPDX-License-Identifier: MIT

/// Which header fields an owner may add to the requests of an endpoint.
package enum FieldPolicy {
    package static let maxFields = 20
    package static let maxNameBytes = 64
    package static let maxValueBytes = 1024

    /// Names that are ours, the connection's or a proxy's to set.
    private static let reserved: Set<String> = [
        "accept-encoding", "connection", "content-encoding", "content-length", "content-type",
        "cookie", "expect", "forwarded", "host", "keep-alive", "te", "trailer", "transfer-encoding",
        "upgrade", "user-agent", "via",
    ]

    /// Whether the fields may be sent: names `[A-Za-z0-9][A-Za-z0-9_-]*`, none reserved, none twice;
    /// values printable ASCII, so that none can add a line.
    package static func admits(_ fields: [(name: String, value: String)]) -> Bool {
        var seen: Set<String> = []
        return fields.count <= maxFields
            && fields.allSatisfy { field in
                let name = field.name.lowercased()
                return seen.insert(name).inserted && isName(name) && isValue(field.value)
                    && !reserved.contains(name) && !name.hasPrefix("webhook-")
                    && !name.hasPrefix("proxy-") && !name.hasPrefix("x-forwarded-")
            }
    }

    private static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= maxNameBytes else { return false }
        func isWord(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte)
        }
        return isWord(first) && name.utf8.allSatisfy { isWord($0) || $0 == 0x2D || $0 == 0x5F }
    }

    private static func isValue(_ value: String) -> Bool {
        value.utf8.count <= maxValueBytes && value.utf8.allSatisfy { (0x20...0x7E).contains($0) }
    }
}
