// SPDX-License-Identifier: MIT
internal import HTTP1
internal import HTTPServer
internal import JSON

/// The members of a request's JSON object, each taken once with its type checked; what is left at the
/// end is a mistake of the caller's.
struct RequestFields {
    private var members: [String: JSONValue] = [:]

    /// - Parameter isOptional: an absent body counts as `{}`.
    init(_ request: HTTPRequest, maxBytes: Int, isOptional: Bool = false) throws(Refusal) {
        guard request.body.count <= maxBytes else { throw .tooLarge }
        if isOptional, request.body.isEmpty { return }
        let type = request.fields["content-type"]?.split(separator: ";").first?.lowercased()
        guard type == "application/json" || type == "application/merge-patch+json" else {
            throw .badRequest("The content type must be application/json.")
        }
        guard let object = (try? request.json())?.object else {
            throw .badRequest("The body must be one JSON object.")
        }
        for member in object.members { members[member.name] = member.value }
    }

    mutating func string(_ name: String, maxBytes: Int) throws(Refusal) -> String? {
        guard let value = members.removeValue(forKey: name) else { return nil }
        guard let text = value.string else { throw .badRequest("\(name) must be a string.") }
        guard text.utf8.count <= maxBytes else {
            throw .badRequest("\(name) is longer than \(maxBytes) bytes.")
        }
        return text
    }

    mutating func bool(_ name: String) throws(Refusal) -> Bool? {
        guard let value = members.removeValue(forKey: name) else { return nil }
        guard let bool = value.bool else { throw .badRequest("\(name) must be true or false.") }
        return bool
    }

    mutating func int(_ name: String, in range: ClosedRange<Int64>) throws(Refusal) -> Int64? {
        guard let value = members.removeValue(forKey: name) else { return nil }
        guard let int = value.int, range.contains(int) else {
            throw .badRequest(
                "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound).")
        }
        return int
    }

    mutating func strings(
        _ name: String, maxCount: Int, of what: String, where isGood: (String) -> Bool
    ) throws(Refusal) -> [String]? {
        guard let value = members.removeValue(forKey: name) else { return nil }
        guard let list = value.array?.map(\.string), list.count <= maxCount else {
            throw .badRequest("\(name) must be an array of at most \(maxCount) \(what).")
        }
        var strings: [String] = []
        for item in list {
            guard let item, isGood(item) else { throw .badRequest("\(name) must hold \(what).") }
            if !strings.contains(item) { strings.append(item) }
        }
        return strings
    }

    /// An object of strings, in the order written.
    mutating func pairs(_ name: String) throws(Refusal) -> [(name: String, value: String)]? {
        guard let value = members.removeValue(forKey: name) else { return nil }
        guard let object = value.object else { throw .badRequest("\(name) must be an object.") }
        var pairs: [(name: String, value: String)] = []
        for member in object.members {
            guard let text = member.value.string else {
                throw .badRequest("\(name) must hold strings.")
            }
            pairs.append((member.name, text))
        }
        return pairs
    }

    /// Demands that nothing is left over: a misspelt member would be dropped without a word.
    func end() throws(Refusal) {
        if let name = members.keys.min() {
            throw .badRequest("There is no member named \(name.prefix(64)) here.")
        }
    }
}
