// SPDX-License-Identifier: MIT
internal import JSON
package import Logging
internal import Timing

/// How log lines are written.
package enum LogFormat: String, CaseIterable, Sendable {
    /// `2026-01-31T23:59:59.000Z info chat: ready port=3001`
    case text
    /// `{"at":"…","level":"info","logger":"chat","message":"ready","port":"3001"}`
    case json
}

/// Sends swift-log to standard error: one line an event, one `write` a line, so that lines of
/// different threads never mix.
///
/// Messages are fixed words; what varies is metadata. No token, secret or message text is ever given
/// to it; metadata whose name says it holds one is hidden all the same.
package enum ServiceLog {
    /// Sets the process up. Once, before the first logger is made.
    package static func bootstrap(format: LogFormat, level: Logger.Level) {
        LoggingSystem.bootstrap { LineHandler(label: $0, format: format, level: level) }
    }
}

/// Writes events as lines.
struct LineHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel: Logger.Level
    let label: String
    let format: LogFormat
    let now: @Sendable () -> Timestamp
    let write: @Sendable (String) -> Void

    init(
        label: String, format: LogFormat, level: Logger.Level,
        now: @escaping @Sendable () -> Timestamp = SystemClock.timestamp,
        write: @escaping @Sendable (String) -> Void = StandardStreams.error
    ) {
        self.label = label
        self.format = format
        self.logLevel = level
        self.now = now
        self.write = write
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata
        if let provided = metadataProvider?.get() {
            fields.merge(provided) { _, new in new }
        }
        if let given = event.metadata { fields.merge(given) { _, new in new } }
        if let error = event.error { fields["error"] = "\(error)" }
        let sorted = fields.sorted { $0.key < $1.key }.map {
            (name: $0.key, value: LogLine.isSecret($0.key) ? "(secret)" : $0.value)
        }
        write(
            LogLine.render(
                format, at: now(), level: event.level, label: label, message: "\(event.message)",
                fields: sorted))
    }
}

/// The text of log lines. Pure.
enum LogLine {
    typealias Field = (name: String, value: Logger.Metadata.Value)

    /// Words that mark metadata as a secret whatever stands around them.
    private static let secretWords = [
        "token", "secret", "password", "authorization", "cookie", "verifier", "credential",
    ]

    static func isSecret(_ name: String) -> Bool {
        let name = name.lowercased()
        return secretWords.contains { name.contains($0) }
    }

    /// One line, its line end included.
    static func render(
        _ format: LogFormat, at: Timestamp, level: Logger.Level, label: String, message: String,
        fields: [Field]
    ) -> String {
        switch format {
        case .text:
            var line = "\(at.rfc3339) \(level.rawValue) \(label): \(plain(message))"
            for field in fields { line += " \(field.name)=\(quoted(text(field.value)))" }
            return line + "\n"
        case .json:
            var object = JSONObject()
            object["at"] = .string(at.rfc3339)
            object["level"] = .string(level.rawValue)
            object["logger"] = .string(label)
            object["message"] = .string(message)
            for field in fields {
                // Metadata may not overwrite what every line has.
                let name = object[field.name] == nil ? field.name : "_\(field.name)"
                object[name] = json(field.value)
            }
            return JSONValue.object(object).text + "\n"
        }
    }

    private static func text(_ value: Logger.Metadata.Value) -> String {
        switch value {
        case .string(let text): text
        case .stringConvertible(let value): value.description
        case .array, .dictionary: json(value).text
        }
    }

    private static func json(_ value: Logger.Metadata.Value) -> JSONValue {
        switch value {
        case .string(let text): return .string(text)
        case .stringConvertible(let value): return .string(value.description)
        case .array(let values): return .array(values.map(json))
        case .dictionary(let values):
            var object = JSONObject()
            for (name, value) in values.sorted(by: { $0.key < $1.key }) {
                object[name] = isSecret(name) ? "(secret)" : json(value)
            }
            return .object(object)
        }
    }

    /// A value in text form: bare when it needs no quotes, else as a JSON string, so that what a peer
    /// wrote can neither end the line nor pass for another field.
    private static func quoted(_ text: String) -> String {
        let isBare =
            !text.isEmpty
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x3D }
        return isBare ? text : JSONValue.string(text).text
    }

    /// A message with control characters as blanks.
    private static func plain(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return text }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
    }
}
