// SPDX-License-Identifier: MIT
package import HTTP1

/// `accept-encoding` as a client wrote it (RFC 9110 §12.5.3): which codings it takes, and how gladly.
package struct AcceptEncoding: Hashable, Sendable {
    /// Thousandths by coding, as listed.
    private var weights: [String: Int] = [:]

    /// Reads all lines of the field. An item that is malformed is taken for one that is not there.
    package init(_ fields: HTTPFields) {
        for line in fields.all("accept-encoding") {
            for item in line.split(separator: ",") {
                let parts = item.split(separator: ";", omittingEmptySubsequences: false)
                    .map { String($0.filter { $0 != " " && $0 != "\t" }).lowercased() }
                guard let coding = parts.first, !coding.isEmpty, parts.count <= 2,
                    let weight = AcceptEncoding.weight(parts.count > 1 ? parts[1] : "q=1")
                else { continue }
                // `x-gzip` is another name of gzip (§8.4.1.3).
                weights[coding == "x-gzip" ? "gzip" : coding] = weight
            }
        }
    }

    /// The best of some codings, in the server's order among equals; nil for the body as it is, also
    /// where the client would rather have that.
    package func best(of codings: [String]) -> String? {
        let identity = weights["identity"] ?? 1
        var best: (coding: String, weight: Int)?
        for coding in codings {
            let weight = weights[coding] ?? weights["*"] ?? 0
            if weight > 0, weight >= identity, weight > best?.weight ?? 0 {
                best = (coding, weight)
            }
        }
        return best?.coding
    }

    /// `q=` and 0 to 1 with up to three decimals (§12.4.2), in thousandths.
    private static func weight(_ text: String) -> Int? {
        guard text.hasPrefix("q=") else { return nil }
        let digits = Array(text.utf8.dropFirst(2))
        guard let first = digits.first, first == UInt8(ascii: "0") || first == UInt8(ascii: "1"),
            digits.count <= 5, digits.count == 1 || digits[1] == UInt8(ascii: ".")
        else { return nil }
        var value = Int(first - UInt8(ascii: "0"))
        let decimals = digits.dropFirst(2)
        guard decimals.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        for byte in decimals { value = value * 10 + Int(byte - UInt8(ascii: "0")) }
        for _ in decimals.count..<3 { value *= 10 }
        return value <= 1000 ? value : nil
    }
}
