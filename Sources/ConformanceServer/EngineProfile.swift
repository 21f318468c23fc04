// SPDX-License-Identifier: MIT
internal import Bytes
internal import EngineIO
internal import EngineIOServer
internal import HTTP1
internal import HTTPServer
internal import JSON

/// Profile `engine`: what the Engine.IO client's own tests talk to.
enum EngineProfile {
    static let configuration = EngineConfiguration(
        pingInterval: .milliseconds(500), maxPayload: 100)

    static func streams(on server: LoopServer) -> any StreamHandler {
        var configuration = EngineServerConfiguration.open(path: "/engine.io/", configuration)
        for cookie in [
            "1=1; Max-Age=86400", "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
            "3=3; Max-Age=0", "4=4; Expires=now",
        ] { configuration.firstFields.append("set-cookie", cookie) }
        configuration.refusal = { request in
            request.queryValue("deny") == nil ? nil : EngineRefusal.forbidden.message
        }
        return EngineServer(
            configuration, on: server, accepted: { connection, _ in Host(connection) })
    }

    /// Greets, and knows three words beside the echo.
    private final class Host: EngineEcho {
        override init(_ connection: EngineConnection) {
            super.init(connection)
            connection.send(text: Array("hi".utf8))
        }

        override func received(text: Span<UInt8>) {
            switch text.string() {
            case "give binary": connection.send(binary: [0, 1, 2, 3, 4])
            case "give utf8":
                connection.send(text: Array("пойду спать всем спокойной ночи".utf8))
            case "sendHeaders":
                connection.send(text: JSONValue.headers(connection.upload?.fields ?? [:]).bytes)
            default: super.received(text: text)
            }
        }
    }
}

extension JSONValue {
    /// Fields as one object: those of one name joined, as the reference server shows them.
    static func headers(_ fields: HTTPFields) -> JSONValue {
        var object = JSONObject()
        for field in fields.fields where object[field.name] == nil {
            let separator = field.name == "cookie" ? "; " : ", "
            object[field.name] = .string(
                fields.all(field.name).joined(separator: separator))
        }
        return .object(object)
    }
}
