// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Crypto
internal import JSON
internal import ServiceRuntime

/// `chatctl send --room R TEXT`.
struct SendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send", abstract: "Send one message and print its id when it is stored.")

    @OptionGroup var connection: ConnectionOptions

    @Option(help: "Room id, or the name of a public room, which is joined.")
    var room: String

    @Argument(help: "The text.")
    var text: String

    func run() throws {
        let client = try connection.connect()
        let room = try client.request("room:join", ["room": .string(room)])
        let answer = try client.request(
            "message:send",
            [
                "room": room["room"]?["id"] ?? .string(self.room), "text": .string(text),
                "clientId": .string(SecureRandom.token(bytes: 12)),
            ])
        client.disconnect()
        let id = answer["id"]?.string ?? "?"
        StandardStreams.output("sent \(id) roomSeq \(answer["roomSeq"]?.int ?? 0)\n")
    }
}

/// `chatctl tail [--room R]`.
struct TailCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Print messages as they arrive, until interrupted.")

    @OptionGroup var connection: ConnectionOptions

    @Option(help: "Only this room: its id, or the name of a public room, which is joined.")
    var room: String?

    @Option(help: "Stop after this many messages.")
    var count: Int?

    @Flag(help: "Print each event as JSON, all kinds of them.")
    var json = false

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--count takes 1 or more.") }
    }

    func run() throws {
        let client = try connection.connect()
        var wanted: String?
        if let room {
            let answer = try client.request("room:join", ["room": .string(room)])
            wanted = answer["room"]?["id"]?.string
            for message in answer["messages"]?.array ?? [] {
                StandardStreams.output(
                    EventLine.render(name: "message", data: message, json: json))
            }
        }
        var left = count ?? .max
        while left > 0 {
            let event = try client.nextEvent()
            if let wanted, event.data["room"]?.string != wanted { continue }
            if !json, event.name != "message" { continue }
            StandardStreams.output(EventLine.render(name: event.name, data: event.data, json: json))
            if event.name == "message" { left -= 1 }
        }
        client.disconnect()
    }
}
