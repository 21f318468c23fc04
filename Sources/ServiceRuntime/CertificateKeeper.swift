// SPDX-License-Identifier: MIT
internal import Logging
internal import Metrics
internal import Reactor
internal import TLS

/// Keeps a server's certificates as their files say, on a thread of its own: read at start, and again
/// on SIGHUP and when a file changes. What cannot be used is logged once and changes nothing.
enum CertificateKeeper {
    /// How often the files are looked at: four `stat` calls.
    private static let interval = Duration.seconds(2)

    /// Reads the files that the settings name; nil when they name none.
    /// - Throws: a problem that names the setting, for exit code 64.
    static func load(_ settings: Settings) throws(SettingProblem) -> TLSCredentials? {
        let certificates = settings[CommonSettings.tlsCertificates]
        let keys = settings[CommonSettings.tlsKeys]
        guard certificates.count == keys.count else {
            throw SettingProblem(
                "TLS_CERT_FILE names \(certificates.count) files and TLS_KEY_FILE \(keys.count)")
        }
        guard !certificates.isEmpty else { return nil }
        do throws(CertificateProblem) {
            return try TLSCredentials(
                zip(certificates, keys).map { CertificateFiles(certificate: $0, key: $1) })
        } catch {
            throw SettingProblem("TLS_CERT_FILE and TLS_KEY_FILE: \(error)")
        }
    }

    /// Starts watching, for as long as the process lives. SIGHUP must be blocked in all threads.
    static func watch(_ credentials: TLSCredentials, _ logger: Logger, _ metrics: MetricsRegistry) {
        metrics.gauge(
            "tls_certificate_not_after_seconds",
            help: "When the first of the certificates in force ends, in seconds since 1970."
        ) { Double(credentials.notAfter) }
        report(credentials, logger)
        _ = WorkerThread(name: "certificates") {
            var rotation = 0
            while true {
                let isAsked = Signals.waitForHangUp(timeout: interval)
                rotation += 1
                if rotation % 1800 == 0 { credentials.rotateTicketKeys() }
                if isAsked || credentials.filesHaveChanged { reload(credentials, logger) }
            }
        }
    }

    private static func reload(_ credentials: TLSCredentials, _ logger: Logger) {
        do throws(CertificateProblem) {
            try credentials.reload()
            logger.notice(
                "certificates read again", metadata: ["notAfter": "\(credentials.notAfter)"])
            report(credentials, logger)
        } catch {
            logger.error(
                "certificates kept as they were", metadata: ["cause": "\(error)"])
        }
    }

    private static func report(_ credentials: TLSCredentials, _ logger: Logger) {
        for path in credentials.notValidNow {
            logger.warning("a certificate is not valid today", metadata: ["file": "\(path)"])
        }
    }
}
