// SPDX-License-Identifier: MIT

/// Metrics in Prometheus' text format, read by name. Pure.
struct MetricsText: Hashable, Sendable {
    private var values: [String: Double] = [:]

    /// Reads `name{labels} value` lines; series of one name are added up.
    init(_ text: String) {
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            guard let space = line.lastIndex(of: " "),
                let value = Double(line[line.index(after: space)...])
            else { continue }
            let name = line[..<space].prefix { $0 != "{" && $0 != " " }
            values[String(name), default: 0] += value
        }
    }

    /// 0 for a name that is not there: what never happened.
    subscript(name: String) -> Double { values[name] ?? 0 }
}
