// SPDX-License-Identifier: MIT
import Testing

@testable import Metrics

struct MetricsTests {
    @Test func aCounterIsShownWithHelpAndType() {
        let registry = MetricsRegistry()
        let counter = registry.counter("chat_sent_total", help: "Messages sent.")
        counter.increment()
        counter.increment(by: 4)
        #expect(
            registry.exposition() == """
                # HELP chat_sent_total Messages sent.
                # TYPE chat_sent_total counter
                chat_sent_total 5

                """)
    }

    @Test func seriesOfOneNameStandTogetherInOrder() {
        let registry = MetricsRegistry()
        registry.gauge("loop_connections", help: "Open.", labels: ["loop": "0"]).set(3)
        registry.gauge("other", help: "Other.").set(-1)
        registry.gauge("loop_connections", help: "Open.", labels: ["loop": "1"]).add(2)
        #expect(
            registry.exposition() == """
                # HELP loop_connections Open.
                # TYPE loop_connections gauge
                loop_connections{loop="0"} 3
                loop_connections{loop="1"} 2
                # HELP other Other.
                # TYPE other gauge
                other -1

                """)
    }

    @Test func theSameNameAndLabelsAreOneInstrument() {
        let registry = MetricsRegistry()
        registry.counter("a_total", help: "A.", labels: ["x": "1", "y": "2"]).increment()
        registry.counter("a_total", help: "A.", labels: ["x": "1", "y": "2"]).increment()
        let value = registry.counter("a_total", help: "A.", labels: ["x": "1", "y": "2"]).value
        #expect(value == 2)
    }

    @Test func histogramBucketsAreCumulativeAndEndInInfinity() {
        let registry = MetricsRegistry()
        let histogram = registry.histogram(
            "wait_seconds", help: "Waits.", buckets: [0.5, 1], labels: ["lane": "a"])
        histogram.observe(0.25)
        histogram.observe(0.5)
        histogram.observe(.milliseconds(750))
        histogram.observe(8)
        histogram.observe(.nan)
        #expect(
            registry.exposition() == """
                # HELP wait_seconds Waits.
                # TYPE wait_seconds histogram
                wait_seconds_bucket{lane="a",le="0.5"} 2
                wait_seconds_bucket{lane="a",le="1"} 3
                wait_seconds_bucket{lane="a",le="+Inf"} 4
                wait_seconds_sum{lane="a"} 9.5
                wait_seconds_count{lane="a"} 4

                """)
        #expect(histogram.count == 4)
        #expect(histogram.sum == 9.5)
    }

    @Test func labelValuesAndHelpAreEscaped() {
        let registry = MetricsRegistry()
        registry.gauge("e", help: "a\\b\n\"c\"", labels: ["v": "a\\b\n\"c\""]).set(1)
        #expect(
            registry.exposition() == #"""
                # HELP e a\\b\n"c"
                # TYPE e gauge
                e{v="a\\b\n\"c\""} 1

                """#)
    }

    @Test func computedValuesAreReadWhenThePageIsAskedFor() {
        let registry = MetricsRegistry()
        let counter = registry.counter("seen_total", help: "Seen.")
        registry.gauge("seen_half", help: "Half.") { Double(counter.value) / 2 }
        registry.counter("seen_twice_total", help: "Twice.") { Double(counter.value) * 2 }
        counter.increment(by: 3)
        let page = registry.exposition()
        #expect(page.contains("\nseen_half 1.5\n"))
        #expect(page.contains("\nseen_twice_total 6\n"))
    }

    @Test(arguments: [
        (0.0, "0"), (-0.0, "0"), (1.5, "1.5"), (1e15, "1000000000000000"), (1e300, "1e+300"),
        (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (0.00001, "1e-05"),
    ])
    func numbersAreWrittenAsPrometheusReadsThem(value: Double, text: String) {
        #expect(ExpositionWriter.number(value) == text)
    }

    @Test(arguments: [
        ("a", true), ("_a9", true), ("a:b", true), ("", false), ("9a", false), ("a-b", false),
        ("é", false),
    ])
    func metricNamesFollowTheFormat(name: String, isValid: Bool) {
        #expect(MetricLabels.isName(name, colons: true) == isValid)
    }

    @Test func countsFromManyThreadsAllArrive() async {
        let registry = MetricsRegistry()
        let counter = registry.counter("c_total", help: "C.")
        let histogram = registry.histogram("h", help: "H.", buckets: Histogram.counts)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        counter.increment()
                        histogram.observe(1)
                    }
                }
            }
        }
        #expect(counter.value == 8000)
        #expect(histogram.count == 8000)
        #expect(histogram.sum == 8000)
    }
}
