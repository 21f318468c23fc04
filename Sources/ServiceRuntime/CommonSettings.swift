// SPDX-License-Identifier: MIT
package import Addresses
package import HTTPServer
package import Logging

/// The options that all services share.
package enum CommonSettings {
    package static let host = SettingKey.text(
        "HOST", default: "127.0.0.1", placeholder: "ADDRESS",
        help: "Numeric address to listen on; 0.0.0.0 for all.")
    package static let logFormat = SettingKey<LogFormat>.choice(
        "LOG_FORMAT", default: .text, help: "How log lines are written.")
    package static let logLevel = SettingKey<Logger.Level>.choice(
        "LOG_LEVEL", default: .info, help: "The least grave log lines that are written.")
    package static let redisURL = SettingKey.url(
        "REDIS_URL", default: "", schemes: ["redis"],
        help: "Redis for announcements between processes; without it they pull from the logs.")
    package static let trustedProxies = SettingKey.networks(
        "TRUSTED_PROXIES",
        help: "Proxies whose word about the client is believed; from others it is not."
    )
    package static let forwardedField = SettingKey<ForwardingField>.choice(
        "FORWARDED_FIELD", default: .xForwardedFor,
        help: "The field in which trusted proxies name the client; the other one is ignored.")
    package static let proxyProtocol = SettingKey.bool(
        "PROXY_PROTOCOL",
        help: "Connections from TRUSTED_PROXIES begin with a PROXY header, version 1 or 2.")
    package static let tlsCertificates = SettingKey.list(
        "TLS_CERT_FILE", placeholder: "PATH,PATH",
        help: "Certificate chains (PEM): with one the port speaks HTTPS only. The first serves "
            + "clients that name no server; the others those that name theirs.")
    package static let tlsKeys = SettingKey.list(
        "TLS_KEY_FILE", placeholder: "PATH,PATH",
        help: "The private keys (PEM) of TLS_CERT_FILE, in the same order. Both are read again on "
            + "SIGHUP and when they change.")
    package static let authorities = SettingKey.path(
        "TLS_CA_FILE", default: "",
        help:
            "Authorities (PEM) by which this service trusts the others' https:// addresses, in place "
            + "of the system's.")
    package static let unlimited = SettingKey.bool(
        "UNLIMITED", help: "No rate and connection limits: for load tests only.")

    /// All of them, in the order help shows them.
    package static let keys: [any SettingDeclaration] = [
        host, tlsCertificates, tlsKeys, authorities, trustedProxies, forwardedField, proxyProtocol,
        logFormat,
        logLevel, redisURL, unlimited,
    ]

    /// Whether connections from an address must begin with a PROXY header under an environment. False,
    /// too, where its settings cannot be read: the services say what is wrong with them.
    package static func expectProxyHeader(
        from address: String, in environment: [String: String]
    ) -> Bool {
        let settings = try? Settings(
            program: .init(name: "", summary: ""), keys: [trustedProxies, proxyProtocol],
            arguments: [], environment: environment
        ) { (path) throws(SettingProblem) in throw SettingProblem("is not read here") }
        guard let settings, settings[proxyProtocol], let address = IPAddress(address) else {
            return false
        }
        return settings[trustedProxies].contains { $0.contains(address) }
    }
}
