// SPDX-License-Identifier: MIT

/// Turns arguments into texts by environment name. Pure.
enum FlagReader {
    /// `CHAT_PORT` → `--chat-port`.
    static func flag(_ name: String) -> String {
        "--" + name.lowercased().map { $0 == "_" ? "-" : String($0) }.joined()
    }

    static func read(
        _ arguments: [String], program: Settings.Program, keys: [any SettingDeclaration]
    ) throws(Settings.Refusal) -> [String: String] {
        var known: [String: SettingRow] = [:]
        for row in keys.map(\.row) {
            let name = row.source == .secret ? row.name + "_FILE" : row.name
            precondition(known[flag(name)] == nil, "\(row.name) stands twice in the table")
            known[flag(name)] = SettingRow(
                name: name, placeholder: row.placeholder, help: row.help, fallback: row.fallback,
                source: row.source)
        }
        var texts: [String: String] = [:]
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--help" || argument == "-h" {
                throw .help(HelpText.table(program: program, keys: keys))
            }
            if argument == "--version" { throw .version("\(program.name) \(program.version)") }
            guard argument.hasPrefix("--") else {
                throw usage(program, "takes no argument \"\(argument)\"")
            }
            let parts = argument.split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let spelled = String(parts[0])
            guard let row = known[spelled] else {
                let near = nearest(spelled, known.keys).map { "; did you mean \($0)?" } ?? ""
                throw usage(program, "has no option \(spelled)\(near)")
            }
            guard texts[row.name] == nil else {
                throw usage(program, "has option \(spelled) twice")
            }
            if parts.count > 1 {
                texts[row.name] = String(parts[1])
            } else if row.source == .toggle {
                texts[row.name] = "1"
            } else if let value = rest.popFirst() {
                texts[row.name] = value
            } else {
                throw usage(program, "misses the value of \(spelled)")
            }
        }
        return texts
    }

    private static func usage(
        _ program: Settings.Program, _ text: String
    ) -> Settings.Refusal {
        let line = text.map { $0.isNewline ? " " : $0 }
        return .usage("\(program.name): \(String(line)) (try --help)")
    }

    /// The option that differs in the fewest letters, when these are at most two.
    private static func nearest(
        _ spelled: String, _ known: some Sequence<String>
    ) -> String? {
        let candidates = known.sorted().map { ($0, distance(Array(spelled), Array($0))) }
        return candidates.filter { $0.1 <= 2 }.min { $0.1 < $1.1 }?.0
    }

    /// Levenshtein's distance, one row at a time.
    private static func distance(_ a: [Character], _ b: [Character]) -> Int {
        guard abs(a.count - b.count) <= 2 else { return .max }
        var previous = Array(0...b.count)
        for (index, letter) in a.enumerated() {
            var row = [index + 1]
            for (column, other) in b.enumerated() {
                row.append(
                    min(
                        previous[column] + (letter == other ? 0 : 1), previous[column + 1] + 1,
                        row[column] + 1))
            }
            previous = row
        }
        return previous[b.count]
    }
}

/// What `--help` prints.
enum HelpText {
    static func table(program: Settings.Program, keys: [any SettingDeclaration]) -> String {
        var text = """
            \(program.name) \(program.version): \(program.summary)

            Usage: \(program.name) [--option VALUE | --option=VALUE] …

            Each option is also read from the environment variable beside it; the option wins.


            """
        for row in keys.map(\.row) {
            let name = row.source == .secret ? row.name + "_FILE" : row.name
            let placeholder = row.placeholder.isEmpty ? "" : " \(row.placeholder)"
            text += "  \(FlagReader.flag(name))\(placeholder)   \(name)\n      \(row.help)"
            switch (row.source, row.fallback) {
            case (.secret, _): text += " The text itself is read from \(row.name) only."
            case (.toggle, _): text += " Off by default."
            case (.plain, let fallback?) where !fallback.isEmpty: text += " Default: \(fallback)."
            default: text += " Default: none."
            }
            text += "\n"
        }
        text += "  --help\n      Prints this.\n  --version\n      Prints the version."
        return text
    }
}
