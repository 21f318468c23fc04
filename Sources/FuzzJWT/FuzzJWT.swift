// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import JSON
internal import JWT
internal import Timing

private let now = Timestamp(seconds: 1_800_000_000)
private let secret = [UInt8](repeating: 7, count: 32)

private let key: SigningKey = {
    guard let key = try? SigningKey(kid: "k1", secret: secret) else {
        preconditionFailure("a sound key")
    }
    return key
}()

private let verifier: AccessTokenVerifier = {
    guard let verifier = try? AccessTokenVerifier(issuer: "i", audience: "chat", keys: [key])
    else { preconditionFailure("sound keys") }
    return verifier
}()

/// Reads the input as a token, which nobody without the key can have made, and then as claims and as a header
/// of somebody who has it: the parsers behind the signature are reached too. Claims that are taken come back
/// when signed again.
@_cdecl("LLVMFuzzerTestOneInput")
package func fuzzJWT(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: data, count: count))
    _ = try? verifier.verify(input, now: now)

    let header = Array("{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}".utf8)
    if let claims = try? verifier.verify(signed(header, input), now: now) {
        precondition(claims.audience == "chat" && claims.issuer == "i")
        precondition(now < claims.expiresAt)
        let again = AccessTokenSigner(key: key).sign(claims)
        precondition((try? verifier.verify(again, now: now)) == claims, "claims come back")
    }
    let claims = Array(
        """
        {"iss":"i","aud":"chat","sub":"u_a","client_id":"web","exp":1800000060,"iat":1800000000,\
        "jti":"j","name":"a"}
        """.utf8)
    if (try? verifier.verify(signed(input, claims), now: now)) != nil {
        let read = try? JSONValue(parsing: input)
        precondition(read?["alg"]?.string == "HS256", "the algorithm is pinned")
        precondition(read?["kid"]?.string == "k1", "the key is named")
        precondition(read?["crit"] == nil, "no extension is passed over")
    }
    return 0
}

private func signed(_ header: [UInt8], _ claims: [UInt8]) -> [UInt8] {
    var token: [UInt8] = []
    Base64.encode(header.span, alphabet: .url, into: &token)
    token.append(UInt8(ascii: "."))
    Base64.encode(claims.span, alphabet: .url, into: &token)
    let tag = HMACSHA256.sign(token, key: secret)
    token.append(UInt8(ascii: "."))
    Base64.encode(tag.span, alphabet: .url, into: &token)
    return token
}
