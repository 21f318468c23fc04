// SPDX-License-Identifier: MIT
internal import Locks

/// All instruments of one process, by name and labels, and the page that shows them.
///
/// Asking twice for the same name and labels gives the same instrument, so that parts which know
/// nothing of each other may share a count. Instruments are asked for at start-up and kept: the
/// registry's lock is never taken to count something.
package final class MetricsRegistry: Sendable {
    private let families = Locked<[Family]>([])

    package init() {}

    /// A count that only grows. By custom the name ends in `_total`.
    ///
    /// Traps when the name is not one of Prometheus's or already names another kind: both are
    /// mistakes of ours that the first start shows.
    package func counter(
        _ name: String, help: String, labels: MetricLabels = [:]
    ) -> Counter {
        let series = series(name, help, .counter, labels) { .counter(Counter()) }
        guard case .counter(let counter) = series else { preconditionFailure(mixed(name)) }
        return counter
    }

    /// A count that is kept elsewhere (by the kernel, say) and read when the page is asked for.
    /// The first registration of name and labels stays.
    /// - Parameter read: called on the thread that writes the page; must not block.
    package func counter(
        _ name: String, help: String, labels: MetricLabels = [:],
        read: @escaping @Sendable () -> Double
    ) {
        _ = series(name, help, .counter, labels) { .computed(read) }
    }

    /// A whole number that goes up and down.
    package func gauge(
        _ name: String, help: String, labels: MetricLabels = [:]
    ) -> Gauge {
        let series = series(name, help, .gauge, labels) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = series else { preconditionFailure(mixed(name)) }
        return gauge
    }

    /// A value that is kept elsewhere and read when the page is asked for. The first registration of
    /// name and labels stays.
    /// - Parameter read: called on the thread that writes the page; must not block.
    package func gauge(
        _ name: String, help: String, labels: MetricLabels = [:],
        read: @escaping @Sendable () -> Double
    ) {
        _ = series(name, help, .gauge, labels) { .computed(read) }
    }

    /// How values are spread over buckets.
    /// - Parameter buckets: upper bounds, each included in its bucket, strictly ascending and finite;
    ///   `+Inf` is added. Series of one name must have the same.
    package func histogram(
        _ name: String, help: String, buckets: [Double] = Histogram.seconds,
        labels: MetricLabels = [:]
    ) -> Histogram {
        let series = series(name, help, .histogram, labels) { .histogram(Histogram(buckets)) }
        guard case .histogram(let histogram) = series else { preconditionFailure(mixed(name)) }
        precondition(histogram.bounds == buckets, "\(name) has other buckets elsewhere")
        return histogram
    }

    /// The page of a scrape: Prometheus text format 0.0.4, families in the order of first
    /// registration, series of a family together as the format demands. Values of different series
    /// are read one after the other, not at one instant.
    package func exposition() -> String {
        // The families are copied out: a computed value may itself register something.
        let families = families.withLock { $0 }
        var writer = ExpositionWriter()
        for family in families { writer.write(family) }
        return writer.text
    }

    /// The `content-type` of `exposition()`.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private func series(
        _ name: String, _ help: String, _ kind: Family.Kind, _ labels: MetricLabels,
        make: () -> Instrument
    ) -> Instrument {
        precondition(MetricLabels.isName(name, colons: true), "\(name) is no metric name")
        return families.withLock { families in
            let place: Int
            if let known = families.firstIndex(where: { $0.name == name }) {
                precondition(families[known].kind == kind, mixed(name))
                place = known
            } else {
                place = families.count
                families.append(Family(name: name, help: help, kind: kind, series: []))
            }
            if let known = families[place].series.first(where: { $0.labels == labels }) {
                return known.instrument
            }
            let instrument = make()
            families[place].series.append(Series(labels: labels, instrument: instrument))
            return instrument
        }
    }

    private func mixed(_ name: String) -> String { "\(name) already names another kind of metric" }
}

/// The series that share a name.
struct Family: Sendable {
    enum Kind: String, Sendable { case counter, gauge, histogram }
    let name: String
    let help: String
    let kind: Kind
    var series: [Series]
}

struct Series: Sendable {
    let labels: MetricLabels
    let instrument: Instrument
}

enum Instrument: Sendable {
    case counter(Counter)
    case gauge(Gauge)
    case histogram(Histogram)
    case computed(@Sendable () -> Double)
}
