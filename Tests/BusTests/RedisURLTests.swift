// SPDX-License-Identifier: MIT
import Testing

@testable import Bus

@Suite struct RedisURLTests {
    @Test(
        arguments: [
            ("redis://127.0.0.1", "127.0.0.1", 6379, nil, nil, 0),
            ("redis://localhost:7000/", "localhost", 7000, nil, nil, 0),
            ("redis://:secret@h:1/15", "h", 1, nil, "secret", 15),
            ("redis://ada:p%40ss%2F@h", "h", 6379, "ada", "p@ss/", 0),
            ("redis://[::1]:6380/2", "::1", 6380, nil, nil, 2),
            ("redis://:a:b@h:65535", "h", 65535, nil, "a:b", 0),
        ] as [(String, String, UInt16, String?, String?, Int)])
    func parses(
        _ text: String, _ host: String, _ port: UInt16, _ user: String?, _ password: String?,
        _ database: Int
    ) throws {
        let url = try RedisURL(text)
        #expect(url.host == host)
        #expect(url.port == port)
        #expect(url.user == user)
        #expect(url.password == password)
        #expect(url.database == database)
    }

    @Test(
        arguments: [
            ("", .wrongScheme), ("127.0.0.1:6379", .wrongScheme), ("http://h", .wrongScheme),
            ("rediss://h", .tlsUnsupported), ("redis://", .wrongHost), ("redis://:1", .wrongHost),
            ("redis://a b", .wrongHost), ("redis://h:0", .wrongPort),
            ("redis://h:65536", .wrongPort), ("redis://h:x", .wrongPort),
            ("redis://h:", .wrongPort),
            ("redis://h:+1", .wrongPort), ("redis://h/x", .wrongDatabase),
            ("redis://h/-1", .wrongDatabase), ("redis://h/99999999999999999999", .wrongDatabase),
            ("redis://ada@h", .wrongCredentials), ("redis://:%zz@h", .wrongCredentials),
            ("redis://:%ff@h", .wrongCredentials),
        ] as [(String, RedisURLError)])
    func refuses(_ text: String, _ error: RedisURLError) {
        #expect(throws: error) { try RedisURL(text) }
        #expect(error.description.hasPrefix("not a Redis URL: "))
    }
}
