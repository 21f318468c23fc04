// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import ServiceRuntime
internal import Store

/// `chatctl repair`.
struct RepairCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Make anew what is derived from the chat log: room index, projection, heads.",
        discussion: """
            Stop ChatService first. The log's rows are never changed. What is damaged in them is said; \
            --salvage copies all that can be read into a new file, and says which numbers are lost. \
            \(Finding.help)
            """)

    @Argument(help: "The chat log; without it, that of the data directory.")
    var file: String?

    @Option(help: "The suite's data directory, or ChatService's.")
    var dataDir = "./data"

    @Option(help: "Copy what can be read into this new file, and leave the old one alone.")
    var salvage: String?

    func run() throws {
        let found = DatabaseKind.find(in: dataDir).last { $0.hasSuffix(DatabaseKind.chat.fileName) }
        guard let path = file ?? found, DataDirectory.exists(path) else {
            StandardStreams.output("\(file ?? dataDir): no chat log here\n")
            return try Finding.missing.end()
        }
        do throws(StoreError) {
            let lock = try StoreEpoch.lockOut(log: path)
            defer { close(lock) }
            if let salvage { try copy(path, to: salvage) } else { try rebuild(path) }
        } catch {
            let hint = error == .busy ? ": stop ChatService first" : ""
            StandardStreams.output("\(salvage ?? path): \(error)\(hint)\n")
            return try Finding(error).end()
        }
        let finding = Finding.tell(salvage ?? path)
        if finding == .damaged, salvage == nil {
            StandardStreams.output(
                "What is damaged above cannot be made anew. chatctl repair --salvage NEW-FILE "
                    + "copies the rest.\n")
        }
        try finding.end()
    }

    private func rebuild(_ path: String) throws(StoreError) {
        let count = try ChatLogRepair.rebuild(path: path)
        StandardStreams.output("\(path): made anew from \(count) entries\n")
    }

    private func copy(_ path: String, to target: String) throws(StoreError) {
        let result = try ChatLogRepair.salvage(path: path, to: target)
        StandardStreams.output("\(target): \(result.saved) entries saved, up to \(result.head)\n")
        for range in result.lost {
            StandardStreams.output(
                range.count == 1
                    ? "  lost: entry \(range.lowerBound)\n"
                    : "  lost: entries \(range.lowerBound) to \(range.upperBound)\n")
        }
    }
}
