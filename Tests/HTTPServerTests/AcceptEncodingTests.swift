// SPDX-License-Identifier: MIT
import HTTP1
import HTTPServer
import Testing

@Suite struct AcceptEncodingTests {
    @Test(
        "RFC 9110 §12.5.3: codings are weighed by q, 0 refuses, * stands for the others, identity is the last",
        arguments: [
            (nil, nil), ("", nil), ("identity", nil), ("deflate", nil), ("gzip", "gzip"),
            ("GZIP", "gzip"), ("X-GZIP", "gzip"), ("gzip, deflate, br", "br"), ("*", "br"),
            ("*;q=0", nil), ("gzip;q=0", nil), ("gzip;q=0.000", nil), ("gzip;q=0.001", "gzip"),
            ("br;q=0, gzip", "gzip"), ("br;q=0, *", "gzip"), ("*;q=0.5, gzip;q=0", "br"),
            ("gzip;q=1.0, br;q=0.5", "gzip"), ("identity, gzip;q=0.5", nil),
            ("identity;q=0.5, gzip;q=0.5", "gzip"), ("gzip ; Q=1", "gzip"), (", ,gzip,,", "gzip"),
            ("gzip;q=1.001", nil), ("gzip;q=2", nil), ("gzip;q=.5", nil), ("gzip;q=", nil),
            ("gzip;q=0.1234", nil), ("gzip;level=9", nil),
        ] as [(String?, String?)])
    func theBestCodingIsChosen(field: String?, coding: String?) {
        var fields = HTTPFields()
        if let field { fields.append("accept-encoding", field) }
        #expect(AcceptEncoding(fields).best(of: ["br", "gzip"]) == coding)
    }
}
