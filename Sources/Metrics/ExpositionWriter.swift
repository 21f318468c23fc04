// SPDX-License-Identifier: MIT

/// Writes families as Prometheus text format 0.0.4.
/// Source: prometheus.io/docs/instrumenting/exposition_formats.
struct ExpositionWriter {
    private(set) var text = ""

    mutating func write(_ family: Family) {
        let help = ExpositionWriter.escape(family.help, quotes: false)
        text += "# HELP \(family.name) \(help)\n# TYPE \(family.name) \(family.kind.rawValue)\n"
        for series in family.series { write(series, of: family.name) }
    }

    private mutating func write(_ series: Series, of name: String) {
        switch series.instrument {
        case .counter(let counter): line(name, series.labels, value: String(counter.value))
        case .gauge(let gauge): line(name, series.labels, value: String(gauge.value))
        case .computed(let read):
            line(name, series.labels, value: ExpositionWriter.number(read()))
        case .histogram(let histogram):
            let counts = histogram.cumulative
            for (bound, count) in zip(histogram.bounds + [.infinity], counts) {
                line(
                    name + "_bucket", series.labels, le: ExpositionWriter.number(bound),
                    value: String(count))
            }
            line(name + "_sum", series.labels, value: ExpositionWriter.number(histogram.sum))
            line(name + "_count", series.labels, value: String(counts[histogram.bounds.count]))
        }
    }

    private mutating func line(
        _ name: String, _ labels: MetricLabels, le: String? = nil, value: String
    ) {
        var pairs = labels.pairs.map {
            "\($0.name)=\"\(ExpositionWriter.escape($0.value, quotes: true))\""
        }
        if let le { pairs.append("le=\"\(le)\"") }
        text += pairs.isEmpty ? name : "\(name){\(pairs.joined(separator: ","))}"
        text += " \(value)\n"
    }

    /// Help escapes backslash and line feed; label values the double quote too.
    static func escape(_ text: String, quotes: Bool) -> String {
        var output = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\"" where quotes: output += "\\\""
            default: output.unicodeScalars.append(scalar)
            }
        }
        return output
    }

    /// A number as Prometheus reads it: whole ones without a fraction, `+Inf`, `-Inf`, `NaN`.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        // 2^53: above it a Double no longer holds every whole number.
        if value == value.rounded(), abs(value) < 9_007_199_254_740_992 {
            return String(Int64(value))
        }
        return String(value)
    }
}
