// SPDX-License-Identifier: MIT
import HTTP1
import HTTPServer
import JSON
import Metrics
import Locks
import Testing

@testable import ServiceRuntime

struct HealthRoutesTests {
    func get(_ path: String, checks: [HealthCheck]) -> HTTPResponse? {
        var router = Router()
        let metrics = MetricsRegistry()
        metrics.counter("hits_total", help: "Hits.").increment()
        HealthRoutes.add(to: &router, service: "chat", metrics: metrics, checks: checks)
        let answer = Locked<HTTPResponse?>(nil)
        router.handle(HTTPRequest(method: "GET", path: path)) { response in
            answer.withLock { $0 = response }
        }
        return answer.withLock { $0 }
    }

    @Test func aServiceIsAliveWhateverItsChecksSay() {
        let response = get("/healthz", checks: [HealthCheck("store") { .failed("full") }])
        #expect(response?.status == 200)
    }

    @Test(arguments: [
        ([HealthCheck.State.ok], 200, "ok"),
        ([.ok, .degraded("away")], 200, "degraded"),
        ([.failed("full"), .degraded("away")], 503, "failed"),
        ([], 200, "ok"),
    ])
    func readinessIsTheWorstOfTheChecks(
        states: [HealthCheck.State], status: Int, word: String
    ) throws {
        let checks = states.enumerated().map { index, state in
            HealthCheck("c\(index)") { state }
        }
        let response = try #require(get("/readyz", checks: checks))
        let body = try JSONValue(parsing: response.body)
        #expect(response.status == status)
        #expect(body["status"] == .string(word))
        #expect(body["service"] == "chat")
        #expect(body["checks"]?.object?.members.count == states.count)
    }

    @Test func readinessSaysWhatIsWrong() throws {
        let response = try #require(
            get("/readyz", checks: [HealthCheck("redis") { .degraded("away") }]))
        let body = try JSONValue(parsing: response.body)
        #expect(body["checks"]?["redis"] == ["status": "degraded", "detail": "away"])
    }

    @Test func metricsAreServedAsPrometheusText() throws {
        let response = try #require(get("/metrics", checks: []))
        #expect(response.fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
        #expect(String(decoding: response.body, as: UTF8.self).contains("\nhits_total 1\n"))
    }

    @Test func theProcessSaysWhatItUses() throws {
        let metrics = MetricsRegistry()
        ProcessMetrics.register(in: metrics)
        let page = metrics.exposition()
        for name in [
            "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
            "process_max_fds", "process_start_time_seconds",
        ] {
            let line = try #require(page.split(separator: "\n").first { $0.hasPrefix(name + " ") })
            let value = try #require(Double(line.split(separator: " ")[1]))
            #expect(value > 0, "\(line)")
        }
    }
}
