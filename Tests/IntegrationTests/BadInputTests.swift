// SPDX-License-Identifier: MIT
import HTTPClient
import JSON
import TestSupport
import Testing

/// What strangers send to every door of the running services, while somebody else chats on.
@Suite struct BadInputTests {
    /// Sends bytes as they are on a connection of their own and gives the status of the answer.
    private func status(_ text: String, to port: Int) -> String {
        let raw = RawClient(port: port)
        raw.send(text)
        return String(raw.readResponse().head.dropFirst("HTTP/1.1 ".count).prefix(3))
    }

    @Test func everyDoorAnswersAndNobodyElseNotices() throws {
        let stack = try ChatStack(hasNotification: true)
        let bystander = try stack.client("bystander")
        let token = try stack.token("eve")
        let foreign = try stack.token("eve", audience: "notification")

        try doorsOfREST(stack, token, foreign)
        try doorsOfSocketIO(stack, token, foreign)
        try doorsOfTheOthers(stack, token, foreign)

        let friend = try stack.client("friend")
        _ = friend.say("still here?")
        var seen: Set<String> = []
        while let packet = bystander.next(), let (name, argument) = WireClient.event(packet) {
            seen.insert(name)
            if argument["text"]?.string == "still here?" { break }
        }
        #expect(seen.isSubset(of: ["message", "member", "presence"]))
        #expect(seen.contains("message"))
        #expect(bystander.say("yes")["ok"]?.bool == true)
        #expect(!bystander.hasEnded)
    }

    private func doorsOfREST(_ stack: ChatStack, _ token: String, _ foreign: String) throws {
        let api = stack.url(of: .chat) + "/api/v1"
        func expect(
            _ status: Int, _ code: String, _ method: String, _ path: String,
            token: String?, body: String = "", sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let answer = try HTTP.call(
                method, api + path, token: token, body: Array(body.utf8),
                fields: [("content-type", "application/json")])
            #expect(answer.status == status, sourceLocation: sourceLocation)
            #expect(
                answer["content-type"]?.hasPrefix("application/problem+json") == true,
                sourceLocation: sourceLocation)
            #expect(try answer.json()["code"]?.string == code, sourceLocation: sourceLocation)
        }
        try expect(400, "bad_request", "POST", "/rooms", token: token, body: #"{"name":"#)
        try expect(400, "bad_request", "POST", "/rooms", token: token, body: #"["x"]"#)
        try expect(400, "bad_request", "POST", "/rooms", token: token, body: #"{"name":1}"#)
        try expect(400, "bad_request", "POST", "/rooms", token: token, body: "{\"name\":\"\u{1}\"}")
        let long = String(repeating: "x", count: 4001)
        try expect(
            413, "too_large", "POST", "/rooms/lobby/messages", token: token,
            body: #"{"text":"\#(long)"}"#)
        try expect(404, "not_found", "GET", "/rooms/nowhere", token: token)
        try expect(
            400, "bad_request", "GET", "/rooms/lobby/messages?limit=many", token: token)
        try expect(401, "unauthorized", "GET", "/me", token: nil)
        try expect(401, "invalid_token", "GET", "/me", token: "a.b.c")
        try expect(401, "invalid_token", "GET", "/me", token: foreign)
        try expect(401, "invalid_token", "GET", "/me", token: forged(token))

        let port = stack.port(.chat)
        let head = "POST /api/v1/rooms HTTP/1.1\r\nHost: x\r\n"
        #expect(status(head + "Content-Length: 9999999999\r\n\r\n", to: port) == "413")
        #expect(status(head + "Content-Length: x\r\n\r\n", to: port) == "400")
        #expect(
            status(
                head + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", to: port)
                == "400")
        #expect(status("\u{16}\u{3}\u{1}\u{2}\r\n\r\n", to: port) == "400")
    }

    /// The token with its last signature character exchanged for one that decodes to other bits.
    private func forged(_ token: String) -> String {
        let parts = token.split(separator: ".")
        let first = parts[2].first == "A" ? "B" : "A"
        return "\(parts[0]).\(parts[1]).\(first)\(parts[2].dropFirst())"
    }

    private func doorsOfSocketIO(_ stack: ChatStack, _ token: String, _ foreign: String) throws {
        let port = stack.port(.chat)
        for wrong in ["a.b.c", foreign, forged(token)] {
            let client = WireClient.webSocket(port: port)
            client.connect(token: wrong)
            #expect(client.early.first?.contains("\"invalid_token\"") == true)
        }
        let eve = try stack.client("eve")
        let long = String(repeating: "x", count: 4001)
        let refusals: [(event: String, argument: JSONValue, code: String)] = [
            ("message:explode", [:], "unknown_event"), ("message:send", 7, "bad_request"),
            ("message:send", ["room": "lobby", "text": 7], "bad_request"),
            ("message:send", ["room": ["x"], "text": "x"], "bad_request"),
            ("message:send", ["room": "lobby", "text": .string(long)], "too_large"),
            ("message:read", ["room": "lobby", "roomSeq": "all"], "bad_request"),
            ("history:fetch", ["room": "lobby", "limit": 100_000], "bad_request"),
            ("room:join", [:], "bad_request"), ("presence:set", ["state": "gone"], "bad_request"),
            ("auth:refresh", ["token": .string(forged(token))], "forbidden"),
        ]
        for (event, argument, code) in refusals {
            let answer = eve.ask(event, argument)
            #expect(answer["ok"]?.bool == false)
            #expect(answer["error"]?["code"]?.string == code)
        }
        eve.tell("typing", "nonsense")
        #expect(eve.ask("room:list", [:])["ok"]?.bool == true)

        // What breaks the protocol ends its own connection, and no other.
        for packet in ["42{", "42[\"message:send\"", "4\u{0}", "59", "42[]"] {
            let client = try stack.client("mallory")
            client.send(packet)
            #expect(client.event("nothing") == nil)
            #expect(client.hasEnded, "\(packet)")
        }
        let client = try stack.client("mallory")
        client.send("42" + String(repeating: " ", count: 1_100_000))
        #expect(client.event("nothing") == nil)
        #expect(client.closeCode == 1009)
    }

    private func doorsOfTheOthers(_ stack: ChatStack, _ token: String, _ foreign: String) throws {
        let auth = stack.url(of: .auth)
        let tokens = try HTTP.call(
            "POST", auth + "/oauth/token", form: [("grant_type", "password"), ("client_id", "web")])
        #expect(tokens.status == 400)
        #expect(try tokens.json()["error"]?.string == "unsupported_grant_type")
        let shapeless = try HTTP.call(
            "POST", auth + "/oauth/token", body: Array("{}".utf8),
            fields: [("content-type", "application/json")])
        #expect(shapeless.status == 400)
        #expect(try HTTP.call("GET", auth + "/oauth/authorize?client_id=x").status == 400)
        #expect(try HTTP.call("GET", auth + "/internal/log", token: token).status == 401)
        #expect(try HTTP.call("GET", auth + "/internal/keys?audience=chat").status == 401)
        let login = try HTTP.call("POST", auth + "/login", form: [("username", "eve")])
        #expect((400..<500).contains(login.status))

        let endpoints = stack.url(of: .notification) + "/api/v1/endpoints"
        func post(_ body: String, token: String?) throws -> Int {
            try HTTP.call(
                "POST", endpoints, token: token, body: Array(body.utf8),
                fields: [("content-type", "application/json")]
            ).status
        }
        #expect(try post("{", token: foreign) == 400)
        #expect(try post(#"{"url":7}"#, token: foreign) == 400)
        #expect(try post(#"{"url":"ftp://x/"}"#, token: foreign) == 422)
        #expect(try post(#"{"url":"\#(auth)/"}"#, token: foreign) == 422)
        #expect(try post("{}", token: token) == 401)
        #expect(try post("{}", token: nil) == 401)
        #expect(try post("{}", token: forged(foreign)) == 401)
        for service in [ChatStack.Service.auth, .notification] {
            let head = "POST /api/v1/endpoints HTTP/1.1\r\nHost: x\r\n"
            #expect(
                status(head + "Content-Length: 9999999999\r\n\r\n", to: stack.port(service))
                    == "413")
            #expect(status("GET / HTTP/9.9\r\n\r\n", to: stack.port(service)).first != "2")
        }
    }
}
