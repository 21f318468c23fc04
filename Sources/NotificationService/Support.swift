// SPDX-License-Identifier: MIT
internal import Glibc
internal import Logging
internal import ServiceRuntime
internal import Webhooks

/// Ends a process whose options, each well-formed, cannot be worked with.
enum Usage {
    static func refuse(_ line: String) -> Never {
        StandardStreams.error("NotificationService: \(line)\n")
        exit(Settings.usageExitCode)
    }
}

/// The ports of our own processes.
enum OwnPorts {
    /// - Parameter urls: well-formed ones; empty texts are passed over.
    static func of(urls: [String], port: Int) -> Set<UInt16> {
        var ports: Set<UInt16> = [UInt16(clamping: port)]
        let standard: [String: UInt16] = ["http": 80, "https": 443, "redis": 6379]
        for url in urls where !url.isEmpty {
            let scheme = String(url.prefix { $0 != ":" })
            let authority = url.dropFirst(scheme.count + 3).prefix { $0 != "/" && $0 != "?" }
            let host = authority.split(separator: "@").last ?? ""
            let colon = host.lastIndex(of: ":")
            let written = colon.flatMap { UInt16(host[host.index(after: $0)...]) }
            if let number = written ?? standard[scheme] { ports.insert(number) }
        }
        return ports
    }
}

/// What the engine reports, as log lines.
enum DeliveryLog {
    static func write(_ report: DeliveryReport, to log: Logger) {
        switch report {
        case .storeFailed(let error):
            log.error("deliveries cannot be recorded", metadata: ["cause": "\(error)"])
        case .storeRecovered:
            log.notice("deliveries are recorded again")
        case .endpointDisabled(let id):
            log.notice("endpoint switched off", metadata: ["endpoint": "\(id)"])
        }
    }
}
