// SPDX-License-Identifier: MIT
internal import ServiceRuntime

/// Where the parts of one suite lie and how they reach each other. Pure: paths, ports and
/// environments, no file is touched.
///
/// ```
/// D/chat/chat.db   D/auth/auth.db   D/auth/master.key   D/notification/notification.db
/// D/secrets/{chat-service,notification-service}   D/accounts.txt   D/up.lock
/// ```
struct SuiteLayout: Hashable, Sendable {
    var dataDirectory: String
    var ports: [SuiteService: UInt16]
    /// Empty: no Redis.
    var redisURL = ""
    /// Empty: the web client is not served.
    var webRoot = ""
    var isUnlimited = false

    /// Services that authenticate themselves to AuthService, by the name of their secret.
    static let serviceClients = ["chat-service", "notification-service"]

    var secretsDirectory: String { "\(dataDirectory)/secrets" }
    var accountsFile: String { "\(dataDirectory)/accounts.txt" }
    var lockFile: String { "\(dataDirectory)/up.lock" }

    func directory(of service: SuiteService) -> String { "\(dataDirectory)/\(service.rawValue)" }

    func url(of service: SuiteService) -> String { "http://127.0.0.1:\(ports[service] ?? 0)" }

    /// The environment of one service: that of `inherited`, with what this suite decides put over it.
    /// Issuer and redirect addresses given from outside stay, since a proxy may stand in front.
    func environment(
        of service: SuiteService, inherited: [String: String]
    ) -> [String: String] {
        var environment = inherited
        func given(_ name: String) -> Bool { inherited[name].map { !$0.isEmpty } ?? false }
        // Ends the service when the pipe on its standard input closes: it must not outlive chatctl.
        environment["SUPERVISED"] = "1"
        environment["REDIS_URL"] = redisURL
        environment["UNLIMITED"] = isUnlimited ? "1" : "0"
        environment["AUTH_URL"] = url(of: .auth)
        environment["CHAT_URL"] = url(of: .chat)
        if !given("AUTH_ISSUER") { environment["AUTH_ISSUER"] = url(of: .auth) }
        let name = service.rawValue.uppercased()
        environment["\(name)_PORT"] = String(ports[service] ?? 0)
        environment["\(name)_DATA_DIR"] = directory(of: service)
        switch service {
        case .auth:
            environment["AUTH_SERVICE_SECRETS_DIR"] = secretsDirectory
            if !given("AUTH_WEB_REDIRECT_URIS") {
                let port = ports[.chat] ?? 0
                environment["AUTH_WEB_REDIRECT_URIS"] =
                    "http://127.0.0.1:\(port)/callback,http://localhost:\(port)/callback"
            }
        case .chat:
            environment["CHAT_WEB_ROOT"] = webRoot
            setSecret("chat-service", variable: "CHAT_SERVICE_SECRET", in: &environment)
        case .notification:
            setSecret(
                "notification-service", variable: "NOTIFICATION_SERVICE_SECRET", in: &environment)
        }
        return environment
    }

    /// Why services cannot be started with that environment; nil when they can. A suite's services are
    /// reached at http://127.0.0.1, for which nobody's certificate is.
    static func complaint(inherited: [String: String]) -> String? {
        let name = ["TLS_CERT_FILE", "TLS_KEY_FILE"].first {
            inherited[$0].map { !$0.isEmpty } ?? false
        }
        if let name {
            return
                "\(name) is set, but the suite speaks http on 127.0.0.1: unset it, and end TLS in a "
                + "proxy in front or start the services one by one."
        }
        if CommonSettings.expectProxyHeader(from: "127.0.0.1", in: inherited) {
            return
                "PROXY_PROTOCOL is set and TRUSTED_PROXIES holds 127.0.0.1, from where the suite's "
                + "services ask one another without a PROXY header: leave 127.0.0.1 out, and let the "
                + "proxy come from another address."
        }
        return nil
    }

    private func setSecret(
        _ client: String, variable: String, in environment: inout [String: String]
    ) {
        // Both at once would be refused: one of them must be wrong.
        environment[variable] = nil
        environment["\(variable)_FILE"] = "\(secretsDirectory)/\(client)"
    }
}
