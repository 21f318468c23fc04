// SPDX-License-Identifier: MIT
internal import JSON

/// How events look in a terminal.
enum EventLine {
    /// One line, its end included: `2026-01-31T23:59:59.000Z lobby #7 ada: hello`, or JSON.
    static func render(name: String, data: JSONValue, json: Bool) -> String {
        if json { return (["event": .string(name), "data": data] as JSONValue).text + "\n" }
        let at = data["at"]?.string ?? ""
        let room = data["room"]?.string ?? ""
        let user = data["user"]?["name"]?.string ?? ""
        let text = visible(data["text"]?.string ?? "")
        return
            "\(visible(at)) \(visible(room)) #\(data["roomSeq"]?.int ?? 0) \(visible(user)): \(text)\n"
    }

    /// Text of other people with what could move the cursor, recolour the terminal or forge a line
    /// replaced: C0, DEL, C1, and the separators and directions that Unicode adds.
    static func visible(_ text: String) -> String {
        var output = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x09, 0x0A, 0x0D: output.append(" ")
            case 0x00...0x1F, 0x7F...0x9F, 0x2028...0x202E, 0x2066...0x2069:
                output.append("\u{FFFD}")
            default: output.append(scalar)
            }
        }
        return String(output)
    }
}
