// SPDX-License-Identifier: MIT
internal import HTTP1
package import HTTPServer
internal import JSON
package import Metrics

/// One thing a service needs, and how it is doing.
package struct HealthCheck: Sendable {
    package enum State: Hashable, Sendable {
        case ok
        /// The service serves, with less: Redis is away, say. The text is for people.
        case degraded(String)
        /// The service cannot serve. The text is for people.
        case failed(String)
    }

    package let name: String
    /// Runs on an event loop: looks at a flag, asks nobody.
    package let state: @Sendable () -> State

    package init(_ name: String, state: @escaping @Sendable () -> State) {
        self.name = name
        self.state = state
    }
}

/// What tells the surroundings how a service is doing.
///
/// | path | answer |
/// |---|---|
/// | `/healthz` | 200 while the event loops turn |
/// | `/readyz` | 200 when it can serve, 503 when not: `{"status","service","version","checks"}` |
/// | `/metrics` | Prometheus text |
///
/// `status` is the worst of the checks: `ok`, `degraded` or `failed`.
package enum HealthRoutes {
    package static func add(
        to router: inout Router, service: String, metrics: MetricsRegistry, checks: [HealthCheck]
    ) {
        router.on("GET", "/healthz", .immediate { _ in .json(["status": "ok"]) })
        router.on("GET", "/readyz", .immediate { _ in ready(service, checks) })
        // Blocking: computed values read /proc and may ask SQLite for sizes.
        router.on(
            "GET", "/metrics",
            .blocking { _ in
                HTTPResponse(
                    status: 200,
                    fields: [
                        "content-type": MetricsRegistry.contentType, "cache-control": "no-store",
                    ], body: Array(metrics.exposition().utf8))
            })
    }

    private static func ready(_ service: String, _ checks: [HealthCheck]) -> HTTPResponse {
        var worst = 0
        var parts = JSONObject()
        for check in checks {
            switch check.state() {
            case .ok: parts[check.name] = ["status": "ok"]
            case .degraded(let detail):
                worst = max(worst, 1)
                parts[check.name] = ["status": "degraded", "detail": .string(detail)]
            case .failed(let detail):
                worst = 2
                parts[check.name] = ["status": "failed", "detail": .string(detail)]
            }
        }
        return .json(
            [
                "status": .string(["ok", "degraded", "failed"][worst]),
                "service": .string(service), "version": .string(Build.version),
                "checks": .object(parts),
            ], status: worst == 2 ? 503 : 200)
    }
}
