// SPDX-License-Identifier: MIT
package import Addresses
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
        "TRUSTED_PROXIES", help: "Proxies whose X-Forwarded-For is believed; from others it is not."
    )
    package static let unlimited = SettingKey.bool(
        "UNLIMITED", help: "No rate and connection limits: for load tests only.")

    /// All of them, in the order help shows them.
    package static let keys: [any SettingDeclaration] = [
        host, logFormat, logLevel, redisURL, trustedProxies, unlimited,
    ]
}
