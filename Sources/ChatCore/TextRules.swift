// SPDX-License-Identifier: MIT

/// What texts of users must look like.
enum TextRules {
    /// A message has something to see in it. Spaces at its ends are kept: a client may care.
    static func isBlank(_ text: String) -> Bool {
        for byte in text.utf8 {
            if byte > 0x20, byte < 0x7F { return false }
            if byte >= 0x7F { break }
        }
        return text.unicodeScalars.allSatisfy { $0.properties.isWhitespace }
    }

    /// A line of text for a list: no white space at its ends, no control characters in it.
    static func line(
        _ text: String, maxCharacters: Int, named name: String
    ) throws(ChatError) -> String {
        // A character has no upper bound of bytes, so bound those before counting characters.
        guard text.utf8.count <= maxCharacters * 32 else {
            throw ChatError(.tooLarge, "The \(name) has more than \(maxCharacters) characters.")
        }
        let start = text.drop { $0.isWhitespace }
        let end = start.lastIndex { !$0.isWhitespace }
        let line = end.map { String(start[...$0]) } ?? ""
        guard line.count <= maxCharacters else {
            throw ChatError(.tooLarge, "The \(name) has more than \(maxCharacters) characters.")
        }
        guard !line.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else { throw ChatError(.badRequest, "The \(name) has control characters in it.") }
        return line
    }

    /// What two names share that differ in case only. `String` compares by canonical equivalence, so
    /// composed and decomposed spellings are one name too.
    static func key(_ name: String) -> String { name.lowercased() }

    /// Whether a name could be mistaken for a room's id.
    static func looksLikeRoomID(_ name: String) -> Bool {
        let rest = name.utf8.dropFirst()
        return name.utf8.first == UInt8(ascii: "r") && !rest.isEmpty
            && rest.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
    }
}
