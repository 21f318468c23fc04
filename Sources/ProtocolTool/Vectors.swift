// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import WebSocket

/// The bytes that are measured: what a chat's clients send and get, so that figures mean something.
enum Vectors {
    static let event =
        #"2["message:send",{"room":"lobby","text":"Hello everybody, is the build green again?","#
        + #""clientId":"5f0c2d1e-9a7b-4c3d"}]"#
    static let ackEvent = "217" + event.dropFirst()
    static let ack = #"317[{"ok":true,"id":"m1042","seq":1042,"roomSeq":17}]"#
    static let binaryEvent = #"51-["photo",{"room":"lobby","data":{"_placeholder":true,"num":0}}]"#
    static let object =
        #"{"room":"lobby","text":"Hello everybody, is the build green again?","clientId":"5f0c2d1e"}"#
    static let request =
        "GET /socket.io/?EIO=4&transport=polling&t=Oabc123&sid=Zm9vYmFyYmF6cXV4 HTTP/1.1\r\n"
        + "Host: chat.example.com\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n"
        + "Accept: */*\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
        + "Origin: https://chat.example.com\r\nReferer: https://chat.example.com/\r\n"
        + "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n\r\n"

    static var attachment: [UInt8] { (0..<1024).map { UInt8(truncatingIfNeeded: $0 &* 31) } }

    /// Text of some length that looks like chat, in Latin letters and some others.
    static func chat(_ count: Int) -> [UInt8] {
        let sentence = Array(
            "The quick brown fox — “jumps” over the lazy dög, again and again. ".utf8)
        var text: [UInt8] = []
        while text.count + sentence.count <= count { text += sentence }
        text += [UInt8](repeating: UInt8(ascii: "."), count: count - text.count)
        return text
    }

    static func poll(packets: Int) -> [UInt8] {
        var writer = PollPayloadWriter()
        var body: [UInt8] = []
        for _ in 0..<packets { writer.text(.message, Array(event.utf8).span, into: &body) }
        return body
    }

    static func frame(
        _ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true, rsv1: Bool = false
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        FrameWriter.write(
            opcode: opcode, payload: payload.span, isFinal: isFinal, rsv1: rsv1,
            mask: MaskingKey(0x5A17_C3E9), into: &bytes)
        return bytes
    }

    static func fragments(_ count: Int, of size: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: size)
        for index in 0..<count {
            bytes += frame(index == 0 ? .text : .continuation, piece, isFinal: index == count - 1)
        }
        return bytes
    }

    static func deflated(_ payload: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        MessageDeflater(windowBits: 15, takesContext: false).compress(payload.span, into: &output)
        return output
    }

    /// What other parsers can be given too: name of the bench's case, what it is, the bytes.
    static var shared: [(name: String, kind: String, bytes: [UInt8])] {
        [
            ("Socket.IO decode event", "socketio", Array(event.utf8)),
            ("Socket.IO decode event with ack id", "socketio", Array(ackEvent.utf8)),
            ("Socket.IO decode ack", "socketio", Array(ack.utf8)),
            ("Socket.IO decode binary event", "socketio-binary", Array(binaryEvent.utf8)),
            ("Engine.IO decode packet", "engineio", Array(("4" + event).utf8)),
            ("Engine.IO decode poll, 10 packets", "payload", poll(packets: 10)),
            ("WebSocket decode text 125 B", "frame", frame(.text, chat(125))),
            ("WebSocket decode text 1 KiB", "frame", frame(.text, chat(1024))),
            ("WebSocket decode text 16 KiB", "frame", frame(.text, chat(16_384))),
            ("JSON read object", "json", Array(object.utf8)),
        ]
    }

    static func print() {
        for (name, kind, bytes) in shared { Swift.print("\(name)\t\(kind)\t\(Hex.string(bytes))") }
    }
}
