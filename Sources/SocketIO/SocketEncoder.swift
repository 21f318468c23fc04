// SPDX-License-Identifier: MIT
internal import Bytes
package import JSON

/// Writes packets (Socket.IO protocol 5). Each call appends the text of one packet, without Engine.IO's `4`,
/// to a buffer given to it. Arguments are JSON texts already: a broadcast encodes them once for all.
package enum SocketEncoder {
    /// Appends what stands before a packet's JSON: `<type>[<n>-][<namespace>,][<ack id>]`. The fastest way to
    /// an event whose array is at hand as bytes.
    package static func header(
        _ type: SocketPacketType, namespace: String = "/", ackID: Int? = nil,
        attachmentCount: Int = 0, into output: inout [UInt8]
    ) {
        output.append(type.rawValue)
        if type.isBinary {
            output.append(decimal: attachmentCount)
            output.append(UInt8(ascii: "-"))
        }
        if namespace != "/" {
            output.append(namespace)
            output.append(UInt8(ascii: ","))
        }
        if let ackID { output.append(decimal: ackID) }
    }

    /// Appends a server's answer to CONNECT.
    /// - Parameter pid: the private id for connection state recovery; nil leaves the member out.
    package static func connect(
        namespace: String = "/", sid: String, pid: String? = nil, into output: inout [UInt8]
    ) {
        header(.connect, namespace: namespace, into: &output)
        output.append("{\"sid\":")
        JSONString.write(sid, into: &output)
        if let pid {
            output.append(",\"pid\":")
            JSONString.write(pid, into: &output)
        }
        output.append(UInt8(ascii: "}"))
    }

    /// Appends a client's CONNECT.
    /// - Parameter auth: a JSON object as text; empty for none.
    package static func connectRequest(
        namespace: String = "/", auth: [UInt8] = [], into output: inout [UInt8]
    ) {
        header(.connect, namespace: namespace, into: &output)
        output.append(contentsOf: auth)
    }

    /// Appends the refusal of a CONNECT.
    /// - Parameters:
    ///   - message: what the client's `connect_error` handler gets as the error's message.
    ///   - data: details; nil leaves the member out.
    package static func connectError(
        namespace: String = "/", message: String, data: JSONValue? = nil,
        into output: inout [UInt8]
    ) {
        header(.connectError, namespace: namespace, into: &output)
        output.append("{\"message\":")
        JSONString.write(message, into: &output)
        if let data {
            output.append(",\"data\":")
            data.write(into: &output)
        }
        output.append(UInt8(ascii: "}"))
    }

    /// Appends an event.
    /// - Parameters:
    ///   - nameAndArguments: JSON texts: the name with its quotes first, then each argument.
    ///   - ackID: set when the peer is to answer.
    ///   - attachmentCount: binary messages that the caller sends right behind; the arguments hold their
    ///     placeholders. 0 makes a plain event.
    package static func event(
        namespace: String = "/", nameAndArguments: [[UInt8]], ackID: Int? = nil,
        attachmentCount: Int = 0, into output: inout [UInt8]
    ) {
        header(
            attachmentCount > 0 ? .binaryEvent : .event, namespace: namespace, ackID: ackID,
            attachmentCount: attachmentCount, into: &output)
        array(nameAndArguments, into: &output)
    }

    /// Appends an event whose name is not JSON yet.
    package static func event(
        namespace: String = "/", name: String, arguments: [[UInt8]], ackID: Int? = nil,
        attachmentCount: Int = 0, into output: inout [UInt8]
    ) {
        header(
            attachmentCount > 0 ? .binaryEvent : .event, namespace: namespace, ackID: ackID,
            attachmentCount: attachmentCount, into: &output)
        output.append(UInt8(ascii: "["))
        JSONString.write(name, into: &output)
        for argument in arguments {
            output.append(UInt8(ascii: ","))
            output.append(contentsOf: argument)
        }
        output.append(UInt8(ascii: "]"))
    }

    /// Appends the answer to an event.
    /// - Parameters:
    ///   - id: the event's ack id.
    ///   - arguments: JSON texts; may be empty.
    package static func ack(
        namespace: String = "/", id: Int, arguments: [[UInt8]], attachmentCount: Int = 0,
        into output: inout [UInt8]
    ) {
        header(
            attachmentCount > 0 ? .binaryAck : .ack, namespace: namespace, ackID: id,
            attachmentCount: attachmentCount, into: &output)
        array(arguments, into: &output)
    }

    /// Appends the answer to an event of the main namespace.
    /// - Parameters:
    ///   - id: the event's ack id.
    ///   - argument: appends one JSON text.
    package static func ack(
        id: Int, into output: inout [UInt8], argument: (inout [UInt8]) -> Void
    ) {
        header(.ack, ackID: id, into: &output)
        output.append(UInt8(ascii: "["))
        argument(&output)
        output.append(UInt8(ascii: "]"))
    }

    /// Appends a DISCONNECT. A stock client that gets one does not reconnect by itself.
    package static func disconnect(namespace: String = "/", into output: inout [UInt8]) {
        header(.disconnect, namespace: namespace, into: &output)
    }

    private static func array(_ elements: [[UInt8]], into output: inout [UInt8]) {
        output.append(UInt8(ascii: "["))
        for (index, element) in elements.enumerated() {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            output.append(contentsOf: element)
        }
        output.append(UInt8(ascii: "]"))
    }
}
