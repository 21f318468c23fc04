// SPDX-License-Identifier: MIT

/// One option of a program: the environment variable it is read from, the flag of the same name, its
/// type, default and help. Kept as a constant and used as the key to the value.
///
/// `CHAT_PORT` is `--chat-port`. A flag wins over the environment. An environment variable that is
/// set but empty counts as not set, as compose files leave them; an empty flag (`--redis-url=`) is an
/// empty value.
package struct SettingKey<Value: Sendable>: Sendable {
    /// The environment variable: upper case, words joined by `_`.
    package let name: String
    /// What stands for the value in help: `PORT`, `SECONDS`; empty for a switch.
    let placeholder: String
    let help: String
    /// The default as a user would write it; nil when the key may stay without a value.
    let fallback: String?
    let source: SettingSource
    /// Reads the text; nil text is a key without value or default. Throws what the text is not, as
    /// the end of a sentence: "is no port (0 to 65535)".
    let read: @Sendable (String?) throws(SettingProblem) -> Value
}

/// Where a key's text may come from.
enum SettingSource: Sendable {
    /// Environment and flag.
    case plain
    /// Environment and flag; the flag alone means true.
    case toggle
    /// Environment, or a file named by the variable or flag that ends in `_FILE`. There is no flag
    /// for the text itself: every user of the machine can read the arguments of every process.
    case secret
}

/// What is wrong with a text, worded to follow it: "is no port (0 to 65535)".
package struct SettingProblem: Error, Hashable {
    package let reason: String

    package init(_ reason: String) { self.reason = reason }
}

/// A text that must not be shown: whoever prints it by accident prints something else.
package struct Secret: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    /// The text itself. Not for logs, not for error messages.
    package let exposed: String

    package init(_ text: String) { exposed = text }

    package var description: String { "(secret)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// What `Settings` needs of a key, whatever its value's type.
package protocol SettingDeclaration: Sendable {
    /// The row this key makes in the table of options.
    var row: SettingRow { get }
    /// Throws what is wrong with the text.
    func check(_ text: String?) throws(SettingProblem)
}

/// A key without its type: name, help and where its text comes from.
package struct SettingRow: Sendable {
    let name: String
    let placeholder: String
    let help: String
    let fallback: String?
    let source: SettingSource
}

extension SettingKey: SettingDeclaration {
    package var row: SettingRow {
        SettingRow(
            name: name, placeholder: placeholder, help: help, fallback: fallback, source: source)
    }

    package func check(_ text: String?) throws(SettingProblem) { _ = try read(text) }
}
