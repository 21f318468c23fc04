// SPDX-License-Identifier: MIT
internal import Bytes
internal import HTTP1
internal import WebSocket

private enum Said: Hashable {
    case text([UInt8])
    case binary([UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(UInt16?, [UInt8])
    case failed(WebSocketError)
}

private func receive(
    _ input: [UInt8], piece: Int, role: Role, deflate: DeflateParameters?, maxInPlaceBytes: Int
) -> [Said] {
    let limits = WebSocketLimits(
        maxMessageBytes: 4096, maxFragments: 8, maxInPlaceBytes: maxInPlaceBytes)
    var receiver = MessageReceiver(role: role, limits: limits, deflate: deflate)
    var said: [Said] = []
    var buffer: [UInt8] = []
    var offset = 0
    while offset < input.count {
        let end = min(input.count, offset + piece)
        buffer += input[offset..<end]
        offset = end
        while true {
            do throws(WebSocketError) {
                var span = buffer.mutableSpan
                let step = try receiver.next(in: &span)
                func bytes(_ payload: Payload) -> [UInt8] {
                    switch payload {
                    case .range(let range): Array(buffer[range])
                    case .assembled(let bytes): bytes
                    }
                }
                switch step.event {
                case .needMore: break
                case .text(let payload):
                    let text = bytes(payload)
                    precondition(UTF8Validator.isValid(text.span), "text is UTF-8")
                    precondition(text.count <= limits.maxMessageBytes, "messages are limited")
                    said.append(.text(text))
                case .binary(let payload): said.append(.binary(bytes(payload)))
                case .ping(let range): said.append(.ping(Array(buffer[range])))
                case .pong(let range): said.append(.pong(Array(buffer[range])))
                case .close(let code, let reason):
                    said.append(.close(code, Array(buffer[reason])))
                }
                buffer.removeFirst(step.consumed)
                if step.event == .needMore { break }
            } catch {
                said.append(.failed(error))
                return said
            }
        }
    }
    return said
}

/// The first byte chooses role, compression and handshake, the second the cut, the rest is the stream.
/// Neither cuts nor the way of gathering may change what is received.
@_cdecl("LLVMFuzzerTestOneInput")
package func fuzzWebSocket(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: data + 2, count: count - 2))
    if data[0] & 0x80 != 0 {
        negotiate(input)
        return 0
    }
    let role = data[0] & 1 == 0 ? Role.client : .server
    let deflate =
        data[0] & 2 == 0
        ? nil
        : DeflateParameters(
            serverNoContextTakeover: data[0] & 4 != 0, clientNoContextTakeover: data[0] & 4 != 0,
            serverMaxWindowBits: 8 + Int(data[0] >> 3 & 7),
            clientMaxWindowBits: 8 + Int(data[0] >> 3 & 7))
    let whole = receive(
        input, piece: .max / 2, role: role, deflate: deflate, maxInPlaceBytes: 4096)
    let cut = receive(
        input, piece: Int(data[1] % 64) + 1, role: role, deflate: deflate,
        maxInPlaceBytes: Int(data[1] >> 6) * 40)
    // A reference beyond a window less than all that deflate can refer to may go unnoticed.
    precondition(
        whole == cut || deflate.map { $0.clientMaxWindowBits < 15 } ?? false,
        "cuts change nothing")
    // What is compressed comes back.
    let parameters = deflate ?? DeflateParameters()
    var payload: [UInt8] = []
    MessageDeflater(parameters: parameters, role: .client).compress(input.span, into: &payload)
    var frame: [UInt8] = []
    FrameWriter.write(
        opcode: .binary, payload: payload.span, rsv1: true, mask: MaskingKey(0x1234_5678),
        into: &frame)
    if input.count <= 4096 {
        let back = receive(
            frame, piece: .max / 2, role: .server, deflate: parameters, maxInPlaceBytes: 0)
        precondition(back == [.binary(input)], "what is compressed comes back")
    }
    return 0
}

private func negotiate(_ input: [UInt8]) {
    var fields = WebSocketHandshake.request(key: [UInt8](repeating: 1, count: 16))
    fields.append("sec-websocket-extensions", String(decoding: input, as: UTF8.self))
    let head = RequestHead(
        method: "GET", target: "/", path: "/", fields: fields, upgradesToWebSocket: true)
    guard let answer = try? WebSocketHandshake.respond(to: head, deflate: DeflatePolicy()),
        let deflate = answer.deflate
    else { return }
    precondition((8...15).contains(deflate.serverMaxWindowBits))
    precondition((8...15).contains(deflate.clientMaxWindowBits))
}
