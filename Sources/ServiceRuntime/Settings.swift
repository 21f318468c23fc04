// SPDX-License-Identifier: MIT
internal import Glibc

/// The options of one program and their values, read once at start-up.
///
/// ```swift
/// static let port = SettingKey.port("CHAT_PORT", default: 3001, help: "TCP port to listen on.")
/// let settings = Settings.load(program: program, keys: CommonSettings.keys + [port])
/// settings[port]
/// ```
package struct Settings: Sendable {
    /// What help says of a program.
    package struct Program: Sendable {
        package let name: String
        /// One sentence.
        package let summary: String
        package let version: String

        package init(name: String, summary: String, version: String = Build.version) {
            self.name = name
            self.summary = summary
            self.version = version
        }
    }

    /// Why there are no settings.
    package enum Refusal: Error, Hashable {
        /// `--help` or `-h`: the text to print on standard output.
        case help(String)
        /// `--version`: the text to print on standard output.
        case version(String)
        /// A wrong option or value: one line for standard error.
        case usage(String)
    }

    /// `EX_USAGE` of sysexits.h: the exit code of a program that was called wrongly.
    package static let usageExitCode: Int32 = 64

    /// The text of each key that has one: from a flag, the environment or the default.
    private let texts: [String: String]

    /// The value of a key. Traps when the key was not in the table that was read.
    package subscript<Value>(key: SettingKey<Value>) -> Value {
        do {
            return try key.read(texts[key.name])
        } catch {
            preconditionFailure("\(key.name) was not in the table that was read")
        }
    }

    /// Reads the options of this process. Prints and exits instead when help or the version is asked
    /// for (0) or an option is wrong (64).
    package static func load(program: Program, keys: [any SettingDeclaration]) -> Settings {
        var environment: [String: String] = [:]
        for key in keys {
            for name in [key.row.name, key.row.name + "_FILE"] {
                if let value = getenv(name) { environment[name] = String(cString: value) }
            }
        }
        do throws(Refusal) {
            return try Settings(
                program: program, keys: keys, arguments: Array(CommandLine.arguments.dropFirst()),
                environment: environment, readFile: SecretFile.read)
        } catch {
            switch error {
            case .help(let text), .version(let text):
                StandardStreams.output(text + "\n")
                exit(0)
            case .usage(let line):
                StandardStreams.error(line + "\n")
                exit(usageExitCode)
            }
        }
    }

    /// Reads options from what is given; no effect outside.
    /// - Parameters:
    ///   - arguments: without the program's own name.
    ///   - readFile: the text of a secret's file, its last line end dropped.
    package init(
        program: Program, keys: [any SettingDeclaration], arguments: [String],
        environment: [String: String],
        readFile: (String) throws(SettingProblem) -> String
    ) throws(Refusal) {
        let flags = try FlagReader.read(arguments, program: program, keys: keys)
        var texts: [String: String] = [:]
        for key in keys {
            let row = key.row
            let origin: Origin
            do throws(SettingProblem) {
                origin = try Settings.origin(row, flags, environment)
            } catch {
                throw .usage("\(program.name): \(row.name) \(error.reason)")
            }
            do throws(SettingProblem) {
                let text = try origin.isFile ? readFile(origin.text ?? "") : origin.text
                try key.check(text)
                texts[row.name] = text
            } catch {
                // A secret's text is never repeated; any other text is what the reader must see.
                let shown = row.source == .secret ? "" : " \"\(Settings.printable(origin.text))\""
                throw .usage("\(program.name): \(origin.label)\(shown) \(error.reason)")
            }
        }
        self.texts = texts
    }

    /// Where a text came from and how the message about it names that place.
    private struct Origin {
        var text: String?
        var label: String
        var isFile = false
    }

    private static func origin(
        _ row: SettingRow, _ flags: [String: String], _ environment: [String: String]
    ) throws(SettingProblem) -> Origin {
        func variable(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        if row.source == .secret {
            let fileName = row.name + "_FILE"
            if let path = flags[fileName] {
                return Origin(text: path, label: FlagReader.flag(fileName), isFile: true)
            }
            switch (variable(row.name), variable(fileName)) {
            case (.some, .some): throw SettingProblem("and \(fileName) are both set; keep one")
            case (let text?, nil): return Origin(text: text, label: row.name)
            case (nil, let path?): return Origin(text: path, label: fileName, isFile: true)
            case (nil, nil): return Origin(text: nil, label: row.name)
            }
        }
        if let text = flags[row.name] {
            return Origin(text: text, label: FlagReader.flag(row.name))
        }
        if let text = variable(row.name) { return Origin(text: text, label: row.name) }
        return Origin(text: row.fallback, label: row.name)
    }

    /// A text fit for one line of a message: control characters shown as `?`, cut at 100 characters.
    private static func printable(_ text: String?) -> String {
        let shown = (text ?? "").prefix(100).unicodeScalars.map { scalar -> Character in
            scalar.value < 0x20 || scalar.value == 0x7F ? "?" : Character(scalar)
        }
        return String(shown)
    }
}

/// What was built.
package enum Build {
    /// The version of all executables: semantic versioning, raised with each release.
    package static let version = "0.1.0"
}

/// Reads the file of a secret.
enum SecretFile {
    /// Larger than any secret: what is larger is another file.
    static let maximumBytes = 65_536

    static func read(_ path: String) throws(SettingProblem) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw SettingProblem(
                "cannot be read from its file (\(String(cString: strerror(errno))))")
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: maximumBytes + 1)
        var count = 0
        while count < bytes.count {
            let capacity = bytes.count - count
            let got = bytes.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress! + count, capacity)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else {
                throw SettingProblem(
                    "cannot be read from its file (\(String(cString: strerror(errno))))")
            }
            if got == 0 { break }
            count += got
        }
        guard count <= maximumBytes else {
            throw SettingProblem("names a file larger than \(maximumBytes) bytes")
        }
        if count > 0, bytes[count - 1] == UInt8(ascii: "\n") { count -= 1 }
        if count > 0, bytes[count - 1] == UInt8(ascii: "\r") { count -= 1 }
        guard let text = String(validating: bytes[..<count], as: UTF8.self) else {
            throw SettingProblem("names a file that is no UTF-8 text")
        }
        return text
    }
}
