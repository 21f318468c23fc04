// SPDX-License-Identifier: MIT
import Gateway
import Glibc
import HTTP1
import HTTPServer
import JSON
import Locks
import TestSupport
import Testing

@Suite struct WebClientTests {
    private let directory: TemporaryDirectory
    private let router: Router

    init() throws {
        directory = try TemporaryDirectory()
        mkdir(directory.file("root"), 0o700)
        mkdir(directory.file("root/assets"), 0o700)
        for (name, text) in [
            ("secret.txt", "secret"), ("root/index.html", "<p>page</p>"),
            ("root/index.html.gz", "PAGE"), ("root/assets/app-9F86D081.js", "code"),
            ("root/assets/app-9F86D081.js.gz", "CODE"), ("root/logo.svg", "<svg/>"),
            ("root/.hidden", "no"), ("root/two words.txt", "words"),
        ] {
            let file = try #require(fopen(directory.file(name), "w"))
            fputs(text, file)
            fclose(file)
        }
        var router = Router()
        router.on("GET", "/api/v1/me", .immediate { _ in .text("me") })
        try WebClient(
            root: directory.file("root"), issuer: "http://auth.test", version: "1"
        ).add(to: &router)
        self.router = router
    }

    private func get(_ path: String, _ fields: HTTPFields = [:], method: String = "GET")
        -> HTTPResponse
    {
        let answer = Locked<HTTPResponse?>(nil)
        router.handle(HTTPRequest(method: method, path: path, fields: fields)) { response in
            answer.withLock { $0 = response }
        }
        return answer.withLock { $0 } ?? HTTPResponse(status: 0)
    }

    private func text(_ response: HTTPResponse) -> String {
        String(decoding: response.body, as: UTF8.self)
    }

    @Test func servesFilesWithTheirType() {
        #expect(text(get("/logo.svg")) == "<svg/>")
        #expect(get("/logo.svg").fields["content-type"] == "image/svg+xml")
        #expect(text(get("/two%20words.txt")) == "words")
        #expect(get("/logo.svg").fields["cache-control"] == "no-cache")
        #expect(
            get("/assets/app-9F86D081.js").fields["cache-control"]
                == "public, max-age=31536000, immutable")
    }

    @Test func pathsOfTheApplicationGetItsPage() {
        for path in ["/", "/callback", "/rooms/lobby"] {
            let response = get(path)
            #expect(text(response) == "<p>page</p>")
            #expect(
                response.fields["content-security-policy"]?.contains("http://auth.test") == true)
            #expect(response.fields["x-frame-options"] == "DENY")
        }
    }

    @Test(arguments: [
        "/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt",
        "//etc/passwd.txt", "/.hidden", "/missing.js", "/assets/missing.css",
        "/socket.io/socket.io.js", "/index.html.gz", "/logo.svg%00.js",
    ])
    func nothingElseIsServed(_ path: String) {
        let response = get(path)
        #expect(response.status == 404)
        #expect(!text(response).contains("secret"))
    }

    @Test func whatTheServiceAnswersItselfIsNotThePages() {
        #expect(get("/api/v1/nothing").status == 404)
        #expect(get("/internal/nothing").status == 404)
        #expect(text(get("/api/v1/me")) == "me")
        #expect(get("/", method: "POST").status == 405)
    }

    @Test func gzipIsForThoseWhoTakeIt() {
        let plain = get("/assets/app-9F86D081.js")
        let packed = get("/assets/app-9F86D081.js", ["accept-encoding": "br, gzip"])
        #expect(text(plain) == "code" && plain.fields["content-encoding"] == nil)
        #expect(text(packed) == "CODE" && packed.fields["content-encoding"] == "gzip")
        #expect(plain.fields["vary"] == "Accept-Encoding")
        #expect(plain.fields["etag"] != packed.fields["etag"])
        #expect(packed.fields["content-type"] == "text/javascript; charset=utf-8")
        #expect(text(get("/logo.svg", ["accept-encoding": "gzip"])) == "<svg/>")
        #expect(text(get("/callback", ["accept-encoding": "gzip"])) == "PAGE")
    }

    @Test func whatIsKnownIsNotSentAgain() throws {
        let first = get("/logo.svg")
        let tag = try #require(first.fields["etag"])
        for known in [tag, "W/\(tag)", "\"other\", \(tag)", "*"] {
            let response = get("/logo.svg", ["if-none-match": known])
            #expect(response.status == 304 && response.body.isEmpty)
            #expect(response.fields["etag"] == tag)
        }
        #expect(get("/logo.svg", ["if-none-match": "\"other\""]).status == 200)
        let modified = try #require(first.fields["last-modified"])
        #expect(get("/logo.svg", ["if-modified-since": modified]).status == 304)
        // A tag that differs counts more than a date that agrees (RFC 9110 §13.2.2).
        let both: HTTPFields = ["if-none-match": "\"other\"", "if-modified-since": modified]
        #expect(get("/logo.svg", both).status == 200)
        // The plain one's tag says nothing about the packed one.
        let plain = try #require(get("/callback").fields["etag"])
        let packed: HTTPFields = ["if-none-match": plain, "accept-encoding": "gzip"]
        #expect(get("/callback", packed).status == 200)
    }

    @Test func theConfigurationNamesTheIssuer() throws {
        let value = try JSONValue(parsing: get("/config.json").body)
        #expect(value["issuer"]?.string == "http://auth.test")
        #expect(value["clientId"]?.string == "web")
    }

    @Test func aDirectoryWithoutAPageIsRefused() throws {
        #expect(throws: WebClient.Unreadable.self) {
            try WebClient(root: directory.file("root/assets"), issuer: "x", version: "1")
        }
        #expect(throws: WebClient.Unreadable.self) {
            try WebClient(root: directory.file("nowhere"), issuer: "x", version: "1")
        }
    }
}
