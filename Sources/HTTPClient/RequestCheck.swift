// SPDX-License-Identifier: MIT

/// What may be handed to libcurl, which sends lines as it is given them.
enum RequestCheck {
    static func admits(_ request: Request) -> Bool {
        isToken(request.method) && isURL(request.url)
            && request.fields.allSatisfy { isToken($0.name) && isValue($0.value) }
            && !(request.resolve?.isEmpty ?? false)
    }

    /// RFC 9110 §5.6.2.
    static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    /// RFC 9110 §5.5: no control character but tab, so no line can be added.
    static func isValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }

    static func isURL(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F } && authority(text) != nil
    }

    /// Host and port of an `http` or `https` URL, brackets kept; nil when it has none.
    static func authority(_ url: String) -> (host: String, port: UInt16)? {
        let lower = url.prefix(8).lowercased()
        let isSecure = lower.hasPrefix("https://")
        guard isSecure || lower.hasPrefix("http://") else { return nil }
        let rest = url.dropFirst(isSecure ? 8 : 7)
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.contains("@") else { return nil }
        var host = authority
        var port: UInt16 = isSecure ? 443 : 80
        if let colon = authority.lastIndex(of: ":"), authority.last != "]" {
            guard let number = UInt16(authority[authority.index(after: colon)...]) else {
                return nil
            }
            port = number
            host = authority[..<colon]
        }
        return host.isEmpty ? nil : (String(host), port)
    }
}
