// SPDX-License-Identifier: MIT
import HTTPClient
import JSON
import TestSupport
import Testing
import Timing

/// Services that are asked to stop, and logs that are asked for what is not there yet.
@Suite struct ShutdownTests {
    /// Half of what supervisors give before they kill.
    static let patience = Duration.seconds(5)

    @Test func aStoppedChatServiceSendsItsClientsAwayToComeBack() throws {
        let stack = try ChatStack(hasNotification: true)
        let ada = try stack.client("ada")
        let grace = WireClient.polling(port: stack.port(.chat))
        grace.connect(token: try stack.token("grace"))
        let sent = ada.say("before")
        #expect(grace.event("message")?["id"] == sent["id"])
        #expect(ada.event("message")?["id"] == sent["id"])
        let waiting = RawClient(port: stack.port(.chat))
        // What had been queued answers the first; then one waits, wherever its loop is.
        repeat {
            if waiting.hears(within: 0) { _ = waiting.readResponse() }
            waiting.send(
                "GET /socket.io/?EIO=4&transport=polling&sid=\(grace.sid) HTTP/1.1\r\nHost: x\r\n\r\n"
            )
        } while waiting.hears(within: 300)

        let began = SystemClock.now()
        stack.requestStop(.chat)
        var last: [String] = []
        while let packet = ada.next() { last.append(packet) }
        // A DISCONNECT packet ("41") would tell stock clients to stay away.
        #expect(!last.contains { $0.hasPrefix("41") || $0.contains("auth:expired") })
        #expect(ada.closeCode == 1001)
        let answer = waiting.readResponse()
        #expect(answer.head.hasPrefix("HTTP/1.1 200 "))
        #expect(answer.body.split(separator: "\u{1E}").last == "1")
        // The server waits for the other half of each connection, which every client closes.
        waiting.shutdownWrite()
        #expect(stack.end(of: .chat) == .exited(0))
        #expect(SystemClock.now() - began < ShutdownTests.patience)

        try stack.start(.chat)
        let pid = ada.connectReply["pid"]?.string ?? ""
        let other = try stack.client("other")
        let missed = other.say("meanwhile")
        let back = try stack.client(
            "ada", more: ",\"pid\":\"\(pid)\",\"offset\":\"\(sent["seq"]?.int ?? 0)\"")
        #expect(back.connectReply["pid"]?.string == pid)
        let replayed = back.early.compactMap { WireClient.event($0) }.filter {
            $0.name == "message"
        }
        #expect(replayed.map(\.argument["id"]) == [missed["id"]])
    }

    @Test func theOthersStopQuicklyToo() throws {
        let stack = try ChatStack(hasNotification: true)
        for service in [ChatStack.Service.notification, .auth] {
            let began = SystemClock.now()
            stack.requestStop(service)
            #expect(stack.end(of: service) == .exited(0))
            #expect(SystemClock.now() - began < ShutdownTests.patience, "\(service)")
        }
    }

    @Test func aLongPollOfTheLogEndsInTimeOrWithTheNextEntry() throws {
        let stack = try ChatStack()
        let ada = try stack.client("ada")
        let head = try #require(ada.say("first")["seq"]?.int)
        let token = try stack.serviceToken()
        let url = stack.url(of: .chat) + "/internal/log?after=\(head)&wait="
        let began = SystemClock.now()
        let nothing = try HTTP.call("GET", url + "1", token: token)
        #expect(try nothing.json()["entries"]?.array == [])
        let waited = SystemClock.now() - began
        #expect(waited > .milliseconds(900) && waited < .seconds(4))

        let later = Background { _ = try? stack.client("grace").say("second") }
        let page = try HTTP.call("GET", url + "20", token: token)
        later.wait()
        #expect(try page.json()["entries"]?.array?.first?["seq"]?.int == head + 1)
        #expect(SystemClock.now() - began < .seconds(10))
    }
}
