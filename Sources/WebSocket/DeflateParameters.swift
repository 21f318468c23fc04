// SPDX-License-Identifier: MIT

/// What two ends agreed on for permessage-deflate (RFC 7692 §7.1).
package struct DeflateParameters: Hashable, Sendable {
    /// Whether the server compresses each message on its own.
    package var serverNoContextTakeover: Bool
    /// Whether the client compresses each message on its own.
    package var clientNoContextTakeover: Bool
    /// Base-two logarithm of the server's window, 8...15.
    package var serverMaxWindowBits: Int
    /// Base-two logarithm of the client's window, 8...15.
    package var clientMaxWindowBits: Int

    /// The RFC's own defaults: context and the full window on both sides.
    package init(
        serverNoContextTakeover: Bool = false, clientNoContextTakeover: Bool = false,
        serverMaxWindowBits: Int = 15, clientMaxWindowBits: Int = 15
    ) {
        self.serverNoContextTakeover = serverNoContextTakeover
        self.clientNoContextTakeover = clientNoContextTakeover
        self.serverMaxWindowBits = serverMaxWindowBits
        self.clientMaxWindowBits = clientMaxWindowBits
    }
}

/// What one end wants of permessage-deflate: a server narrows offers by it, a client makes its offer of it.
package struct DeflatePolicy: Hashable, Sendable {
    /// A server with this set compresses a broadcast once for all; costs ratio on small messages.
    package var serverNoContextTakeover: Bool
    /// With this set the server need not keep a window for what each client sends.
    package var clientNoContextTakeover: Bool
    /// The largest window for what the server sends, 8...15.
    package var serverMaxWindowBits: Int
    /// The largest window for what the client sends, 8...15; a server can ask for less than 15 only of
    /// clients that offer it.
    package var clientMaxWindowBits: Int

    /// Defaults that ask for nothing.
    package init(
        serverNoContextTakeover: Bool = false, clientNoContextTakeover: Bool = false,
        serverMaxWindowBits: Int = 15, clientMaxWindowBits: Int = 15
    ) {
        precondition((8...15).contains(serverMaxWindowBits), "RFC 7692 §7.1.2.1")
        precondition((8...15).contains(clientMaxWindowBits), "RFC 7692 §7.1.2.2")
        self.serverNoContextTakeover = serverNoContextTakeover
        self.clientNoContextTakeover = clientNoContextTakeover
        self.serverMaxWindowBits = serverMaxWindowBits
        self.clientMaxWindowBits = clientMaxWindowBits
    }
}

/// The four parameters as one side wrote them, each valid by itself.
struct DeflateTerms: Hashable, Sendable {
    static let name = "permessage-deflate"

    enum WindowBits: Hashable, Sendable {
        case absent
        /// Named without value, as a client's offer may.
        case open
        case bits(Int)
    }

    var serverNoContextTakeover = false
    var clientNoContextTakeover = false
    var serverMaxWindowBits = WindowBits.absent
    var clientMaxWindowBits = WindowBits.absent

    /// Nil when a parameter is unknown, named twice or has a value it must not have: such an offer is to be
    /// declined, such an answer fails the connection (RFC 7692 §7.1).
    init?(_ parameters: [ExtensionList.Parameter]) {
        var names: Set<String> = []
        for parameter in parameters {
            guard names.insert(parameter.name).inserted else { return nil }
            switch (parameter.name, parameter.value) {
            case ("server_no_context_takeover", nil): serverNoContextTakeover = true
            case ("client_no_context_takeover", nil): clientNoContextTakeover = true
            case ("server_max_window_bits", let value?):
                guard let bits = DeflateTerms.bits(value) else { return nil }
                serverMaxWindowBits = .bits(bits)
            case ("client_max_window_bits", nil): clientMaxWindowBits = .open
            case ("client_max_window_bits", let value?):
                guard let bits = DeflateTerms.bits(value) else { return nil }
                clientMaxWindowBits = .bits(bits)
            default: return nil
            }
        }
    }

    /// 8...15 without leading zeros (RFC 7692 §7.1.2.1).
    private static func bits(_ text: String) -> Int? {
        guard text.count <= 2, text.utf8.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }),
            text.utf8.first != UInt8(ascii: "0"), let bits = Int(text), (8...15).contains(bits)
        else { return nil }
        return bits
    }
}

extension DeflatePolicy {
    /// The first offer that can be taken, and the answer to it (RFC 7692 §7.1). Nil when there is none.
    func accept(_ offers: ExtensionList) -> (parameters: DeflateParameters, answer: String)? {
        for offer in offers.elements where offer.name == DeflateTerms.name {
            guard let terms = DeflateTerms(offer.parameters) else { continue }
            var parameters = DeflateParameters(
                serverNoContextTakeover: terms.serverNoContextTakeover || serverNoContextTakeover,
                clientNoContextTakeover: terms.clientNoContextTakeover || clientNoContextTakeover)
            var answer = DeflateTerms.name
            if parameters.serverNoContextTakeover { answer += "; server_no_context_takeover" }
            if parameters.clientNoContextTakeover { answer += "; client_no_context_takeover" }
            parameters.serverMaxWindowBits = serverMaxWindowBits
            if case .bits(let bits) = terms.serverMaxWindowBits {
                parameters.serverMaxWindowBits = min(bits, serverMaxWindowBits)
            }
            if parameters.serverMaxWindowBits < 15 || terms.serverMaxWindowBits != .absent {
                answer += "; server_max_window_bits=\(parameters.serverMaxWindowBits)"
            }
            switch terms.clientMaxWindowBits {
            // §7.1.2.2: must not be answered unless it was offered.
            case .absent: break
            case .open: parameters.clientMaxWindowBits = clientMaxWindowBits
            case .bits(let bits): parameters.clientMaxWindowBits = min(bits, clientMaxWindowBits)
            }
            if parameters.clientMaxWindowBits < 15 {
                answer += "; client_max_window_bits=\(parameters.clientMaxWindowBits)"
            }
            return (parameters, answer)
        }
        return nil
    }

    /// The offer of a client with this policy.
    var offer: String {
        var offer = DeflateTerms.name
        if serverNoContextTakeover { offer += "; server_no_context_takeover" }
        if clientNoContextTakeover { offer += "; client_no_context_takeover" }
        if serverMaxWindowBits < 15 { offer += "; server_max_window_bits=\(serverMaxWindowBits)" }
        offer += "; client_max_window_bits"
        if clientMaxWindowBits < 15 { offer += "=\(clientMaxWindowBits)" }
        return offer
    }

    /// What a server's answer to `offer` means; nil when it goes beyond the offer (RFC 7692 §7.1).
    func agreed(_ answer: ExtensionList.Element) -> DeflateParameters? {
        guard answer.name == DeflateTerms.name, let terms = DeflateTerms(answer.parameters) else {
            return nil
        }
        var parameters = DeflateParameters(
            serverNoContextTakeover: terms.serverNoContextTakeover,
            clientNoContextTakeover: terms.clientNoContextTakeover || clientNoContextTakeover,
            clientMaxWindowBits: clientMaxWindowBits)
        if serverNoContextTakeover, !terms.serverNoContextTakeover { return nil }
        switch terms.serverMaxWindowBits {
        case .bits(let bits) where bits <= serverMaxWindowBits:
            parameters.serverMaxWindowBits = bits
        case .absent where serverMaxWindowBits == 15: break
        default: return nil
        }
        switch terms.clientMaxWindowBits {
        case .bits(let bits): parameters.clientMaxWindowBits = min(bits, clientMaxWindowBits)
        case .absent: break
        case .open: return nil
        }
        return parameters
    }
}
