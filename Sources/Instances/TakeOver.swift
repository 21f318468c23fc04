// SPDX-License-Identifier: MIT
internal import CLinux
internal import Glibc
internal import Timing

/// The listening sockets of a running instance, on their way to its successor.
///
/// ```
///  successor                               predecessor
///     ├── listenersWanted(host, port) ───────►│
///     │◄────────────── listeners + descriptors┤   both accept from here on
///     │ accepts                               │
///     ├── takenOver ─────────────────────────►│   drains, ends
/// ```
///
/// What waits in a listener's queue belongs to the socket, which lives as long as one process has it:
/// no connect is refused or reset on the way. A successor that ends before `takenOver` changes
/// nothing.
package struct TakeOver: Sendable {
    /// The listeners, now the caller's.
    package let listeners: [Int32]
    private let link: Int32

    private init(listeners: [Int32], link: Int32) {
        self.listeners = listeners
        self.link = link
    }

    /// Asks each running instance whether it listens on an address, for at most `timeout` each.
    /// Blocks: for the start of a process.
    /// - Returns: nil when none does.
    package static func ask(
        in mesh: InstanceMesh, host: String, port: Int, timeout: Duration = .seconds(3)
    ) -> TakeOver? {
        for number in mesh.directory.others() {
            guard let link = mesh.directory.connect(to: number) else { continue }
            if let listeners = ask(link, host: host, port: port, timeout), !listeners.isEmpty {
                return TakeOver(listeners: listeners, link: link)
            }
            _ = clinux_close(link)
        }
        return nil
    }

    /// Tells the predecessor that connections are accepted here. Once.
    package func confirm() {
        let frame = InstanceFrame.takenOver.encoded()
        // A handful of bytes into an empty socket: it goes whole or the other end has gone.
        _ = clinux_send(link, frame, frame.count)
        _ = clinux_close(link)
    }

    private static func ask(
        _ link: Int32, host: String, port: Int, _ timeout: Duration
    ) -> [Int32]? {
        let question = InstanceFrame.listenersWanted(host: host, port: port).encoded()
        guard clinux_send(link, question, question.count) == question.count else { return nil }
        let deadline = SystemClock.now() + timeout
        var reader = InstanceFrameReader()
        var arrived: [Int32] = []
        var buffer = [UInt8](repeating: 0, count: 256)
        while true {
            let left = (deadline - SystemClock.now()).milliseconds
            var poller = pollfd(fd: link, events: Int16(POLLIN), revents: 0)
            guard left > 0, poll(&poller, 1, Int32(clamping: left)) >= 0 else { break }
            var rights = [Int32](repeating: -1, count: Int(CLINUX_RIGHTS))
            var rightsCount: Int32 = 0
            let count = clinux_recv_rights(
                link, &buffer, buffer.count, &rights, &rightsCount)
            if count == -Int(EAGAIN) { continue }
            guard count > 0 else { break }
            arrived += rights[..<Int(rightsCount)]
            reader.feed(buffer[..<count])
            if case .listeners? = (try? reader.next())?.0 { return arrived }
        }
        for descriptor in arrived { _ = clinux_close(descriptor) }
        return nil
    }
}
