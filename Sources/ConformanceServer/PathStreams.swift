// SPDX-License-Identifier: MIT
internal import HTTPServer

/// Several stream handlers side by side, each under its own path.
final class PathStreams: StreamHandler {
    private let handlers: [any StreamHandler]

    init(_ handlers: [any StreamHandler]) { self.handlers = handlers }

    func claims(path: String) -> Bool { handlers.contains { $0.claims(path: path) } }

    func accept(_ exchange: Exchange) {
        handlers.first { $0.claims(path: exchange.request.path) }?.accept(exchange)
    }

    func turnEnds() { for handler in handlers { handler.turnEnds() } }
    func turnSent() { for handler in handlers { handler.turnSent() } }
    func drain() { for handler in handlers { handler.drain() } }
    func end() { for handler in handlers { handler.end() } }
}
