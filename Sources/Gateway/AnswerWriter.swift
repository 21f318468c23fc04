// SPDX-License-Identifier: MIT
internal import Bytes
internal import ChatCore
internal import Timing

/// The JSON of answers, the same over Socket.IO and REST.
enum AnswerWriter {
    /// Appends the members of an answer, each led by a comma.
    static func write(_ answer: Answer, into output: inout [UInt8]) {
        switch answer {
        case .session: break
        case .sent(let sent):
            output.append(",\"id\":\"m")
            output.append(decimal: sent.seq)
            output.append("\",\"seq\":")
            output.append(decimal: sent.seq)
            output.append(",\"roomSeq\":")
            output.append(decimal: sent.roomSeq)
            output.append(",\"at\":\"")
            output.append(rfc3339: sent.at)
            output.append("\"")
        case .room(let detail):
            output.append(",\"room\":")
            detail.summary.writeJSON(withJoined: true, into: &output)
            output.append(
                ",\"head\":\(detail.summary.head),\"readMark\":\(detail.summary.readMark)")
            output.append(",\"members\":[")
            for (index, member) in detail.members.enumerated() {
                if index > 0 { output.append(",") }
                member.writeJSON(into: &output)
            }
            output.append("],\"messages\":[")
            write(detail.messages, into: &output)
            output.append("]")
        case .rooms(let rooms):
            output.append(",\"rooms\":[")
            for (index, room) in rooms.enumerated() {
                if index > 0 { output.append(",") }
                room.writeJSON(withJoined: true, into: &output)
            }
            output.append("]")
        case .read(let unread): output.append(",\"unread\":\(unread)")
        case .done(let seq): output.append(",\"seq\":\(seq)")
        }
    }

    /// Appends a page of history: `,"messages":[…],"hasMore":…`.
    static func write(history messages: [LogEntry], hasMore: Bool, into output: inout [UInt8]) {
        output.append(",\"messages\":[")
        write(messages, into: &output)
        output.append("],\"hasMore\":\(hasMore)")
    }

    private static func write(_ messages: [LogEntry], into output: inout [UInt8]) {
        for (index, message) in messages.enumerated() {
            if index > 0 { output.append(",") }
            message.writeEvent(into: &output)
        }
    }
}
