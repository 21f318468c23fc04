// SPDX-License-Identifier: MIT
import HTTP1
import HTTPServer
import Testing

@Suite struct RouterTests {
    private func router() -> Router {
        var router = Router()
        router.on("GET", "/{path...}", .immediate { .text("page \($0.parameters["path"] ?? "")") })
        router.on("GET", "/rooms/{id}", .immediate { .text("room \($0.parameters["id"] ?? "")") })
        router.on("POST", "/rooms/{id}/join", .immediate { _ in .text("joined") })
        router.on("GET", "/files/{path...}", .immediate { .text($0.parameters["path"] ?? "") })
        return router
    }

    private func answer(_ method: String, _ path: String) -> HTTPResponse {
        nonisolated(unsafe) var answer = HTTPResponse(status: 0)
        // SAFETY: immediate handlers answer before `handle` returns.
        router().handle(HTTPRequest(method: method, path: path)) { answer = $0 }
        return answer
    }

    @Test(arguments: [
        ("GET", "/rooms/a%20b", "room a b"), ("HEAD", "/rooms/x", "room x"),
        ("POST", "/rooms/x/join", "joined"), ("GET", "/files/a/b%2Fc", "a/b/c"),
        ("GET", "/anything/else", "page anything/else"), ("GET", "/", "page "),
    ])
    func finds(_ method: String, _ path: String, _ body: String) {
        #expect(String(decoding: answer(method, path).body, as: UTF8.self) == body)
    }

    @Test func aRouteForEverythingComesLastWhateverTheOrder() {
        #expect(String(decoding: answer("GET", "/rooms/1").body, as: UTF8.self) == "room 1")
    }

    @Test(
        "RFC 9110 §15.5.6: a 405 MUST name in Allow what the path takes",
        arguments: [
            ("POST", "/rooms/1", "GET, HEAD, OPTIONS"), ("GET", "/rooms/1/join", "POST, OPTIONS"),
        ])
    func aKnownPathNamesItsMethods(_ method: String, _ path: String, _ allow: String) {
        let answer = answer(method, path)
        #expect(answer.status == 405)
        #expect(answer.fields["allow"] == allow)
    }

    @Test func anEmptySegmentIsNoParameter() {
        #expect(answer("POST", "/rooms//join").status == 405)
    }
}
