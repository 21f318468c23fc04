// SPDX-License-Identifier: MIT
import Gateway
import Testing

@Suite struct RecoveryTokenTests {
    private let tokens = RecoveryToken(key: Array(repeating: 1, count: 32))

    @Test func thePrivateIdGivesThePublicOneBackToItsUser() {
        let id = RecoveryToken.makeSocketID()
        let token = tokens.issue(socketID: id, user: "u_ada")
        #expect(id.utf8.count == 15)
        #expect(token.utf8.count == 36)
        #expect(tokens.socketID(of: token, user: "u_ada") == id)
        // Issued again it is the same: that is how a client knows that it was recovered.
        #expect(tokens.issue(socketID: id, user: "u_ada") == token)
    }

    @Test func nobodyElseGetsAnything() {
        let token = tokens.issue(socketID: RecoveryToken.makeSocketID(), user: "u_ada")
        #expect(tokens.socketID(of: token, user: "u_eve") == nil)
        let others = RecoveryToken(key: Array(repeating: 2, count: 32))
        #expect(others.socketID(of: token, user: "u_ada") == nil)
    }

    @Test func idAndUserCannotBeShiftedIntoEachOther() {
        let id = RecoveryToken.makeSocketID()
        let token = tokens.issue(socketID: id, user: "ab")
        #expect(tokens.socketID(of: token, user: "a") == nil)
        #expect(tokens.socketID(of: token, user: "abc") == nil)
        #expect(tokens.socketID(of: token, user: "") == nil)
    }

    @Test func eachChangedCharacterIsNoticed() {
        let token = Array(
            tokens.issue(socketID: RecoveryToken.makeSocketID(), user: "u_ada").utf8)
        for index in token.indices {
            var changed = token
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : 65
            #expect(
                tokens.socketID(of: String(decoding: changed, as: UTF8.self), user: "u_ada") == nil)
        }
    }

    @Test(arguments: [
        "", "x", String(repeating: "A", count: 35), String(repeating: "A", count: 37),
        String(repeating: "=", count: 36), String(repeating: "é", count: 18),
    ])
    func whatIsNoTokenIsNone(_ text: String) {
        #expect(tokens.socketID(of: text, user: "u_ada") == nil)
    }

    @Test func socketIdsDiffer() {
        #expect(Set((0..<1000).map { _ in RecoveryToken.makeSocketID() }).count == 1000)
    }
}
