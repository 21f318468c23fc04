// SPDX-License-Identifier: MIT
internal import ArgumentParser
internal import Glibc
internal import JSON
internal import ServiceRuntime

/// `chatctl bench`: load, checked message by message, beside the floors of the same machine.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Load a ChatService and check every delivery.",
        discussion: """
            Messages are sent when the clock says so, whatever the server does (open loop), and \
            latency counts from the scheduled time. Without --url a suite of its own is started in a \
            directory of its own below the working directory, without limits, and removed afterwards. \
            Exit code 1 when anything was lost, doubled, reordered or refused.

            Scenarios, each one bounded run with its floors:
              load         messages by the clock to the members of rooms (500 clients, 50 rooms, 5 each, \
            100/s, 20 s); with --pairs N, N times, each beside the floors
              spread       many rooms (1,000 clients, 50 rooms, 5 each, 2,000/s) beside one room of as \
            many people with as many deliveries a second
              compression  a server that compresses, whose clients inflate, beside one that does not
              sends        messages without fan-out: each client alone in a room of its own, one in \
            flight, then --in-flight, then by the clock at half the first rate; beside SQLite
              idle         clients that are only there (18,000): memory a connection, then --seconds of \
            heartbeats
              storm        10,000 handshakes as fast as they go, first visits and returning users, while \
            100 others chat. Accounts and tokens are made before
              slow         one member who reads 1 KB/s in a room of --rate messages a second
              loops        one event loop of the server beside --server-loops, by the clock, then \
            with --in-flight messages of each sender under way; each publication is sent at once, and \
            the load generator reads twenty times a second
              curve        CPU a delivery from 50 to --clients receivers (50,000 deliveries a second), \
            and from 1 to 1,000 rooms (20,000 a second); --svg draws it

            Where the load generator's own CPU is near a core a thread, it is the limit, and the table \
            says so; --threads spreads its clients.
            """)

    @Option(help: "load, spread, compression, sends, idle, storm, slow, loops or curve.")
    var scenario = ScenarioName.load
    @Option(help: "Connected, authenticated clients.")
    var clients: Int?
    @Option(help: "Rooms besides the lobby.")
    var rooms: Int?
    @Option(help: "Rooms of each client.")
    var roomsPerClient: Int?
    @Option(help: "Messages a second, of all senders together.")
    var rate: Int?
    @Option(help: "Seconds of load, of each run.")
    var seconds: Int?
    @Option(help: "Bytes of a message's text; 100 unless told.")
    var bytes: Int?
    @Option(help: "Clients that send; 20 unless told.")
    var senders: Int?
    @Option(help: "Times that server and floors, or two servers, are run in turn.")
    var pairs: Int?
    @Option(help: "Messages that each sender keeps under way in a closed loop.")
    var inFlight: Int?
    @Option(help: "Handshakes under way at once in a storm; 1000 unless told.")
    var atOnce: Int?
    @Option(help: "Milliseconds that the coalesced floor gathers; else as many as the server did.")
    var window: Int?
    @Option(help: "A running ChatService; needs --data-dir.")
    var url: String?
    @Option(help: "Its data directory, for tokens.")
    var dataDir: String?
    @Option(help: "Its process, for CPU and memory.")
    var pid: Int32?
    @Option(help: "Event loops of the server that is started; 1 unless told.")
    var serverLoops: Int?
    @Option(help: "Event loops of the load generator; 1 unless told.")
    var threads: Int?
    @Flag(help: "The same as --scenario compression.")
    var compression = false
    @Option(help: "Write all figures to this file.")
    var json: String?
    @Option(help: "Draw the curves into this file.")
    var svg: String?
    @Flag(inversion: .prefixedNo, help: "Measure the floors too.")
    var floors = true

    private var options: BenchOptions {
        var options = BenchOptions(compression ? .compression : scenario)
        if let clients { options.plan.clients = clients }
        if let rooms { options.plan.rooms = rooms }
        if let roomsPerClient { options.plan.roomsPerClient = roomsPerClient }
        if let rate { options.plan.rate = rate }
        if let seconds { options.plan.seconds = seconds }
        if let bytes { options.plan.bytes = bytes }
        if let senders { options.plan.senders = senders }
        if options.scenario == .sends, let clients {
            (options.plan.rooms, options.plan.senders) = (clients, clients)
        }
        if let pairs { options.pairs = pairs }
        if let inFlight { options.inFlight = inFlight }
        if let atOnce { options.atOnce = atOnce }
        if let window { options.window = .milliseconds(window) }
        (options.url, options.dataDirectory, options.pid) = (url, dataDir, pid)
        if let serverLoops { options.serverLoops = serverLoops }
        if let threads { options.threads = threads }
        options.measuresFloors = floors
        options.svg = svg
        return options
    }

    private var given: Set<BenchOption> {
        var given: Set<BenchOption> = []
        func note(_ option: BenchOption, _ isGiven: Bool) { if isGiven { given.insert(option) } }
        note(.clients, clients != nil)
        note(.rooms, rooms != nil)
        note(.roomsPerClient, roomsPerClient != nil)
        note(.rate, rate != nil)
        note(.seconds, seconds != nil)
        note(.bytes, bytes != nil)
        note(.senders, senders != nil)
        note(.pairs, pairs != nil)
        note(.inFlight, inFlight != nil)
        note(.atOnce, atOnce != nil)
        note(.window, window != nil)
        note(.url, url != nil)
        note(.serverLoops, serverLoops != nil)
        note(.svg, svg != nil)
        note(.floors, !floors)
        return given
    }

    func validate() throws {
        if compression, scenario != .load {
            throw ValidationError("--compression is a scenario of its own.")
        }
        if let complaint = options.complaint(given: given) {
            throw ValidationError("\(complaint).")
        }
    }

    func run() throws {
        Signals.prepare()
        let lab = BenchLab(options)
        defer { lab.close() }
        lab.cleanUpOnSignal()
        let report = try options.scenario.type.init(options).run(in: lab)
        let machine = BenchMachine.text
        StandardStreams.output("machine: \(machine)\n\n" + report.table)
        if let json {
            let figures: JSONValue = ["machine": .string(machine), "figures": report.json]
            try PrivateFile.replace(json, text: figures.text + "\n")
        }
        if let svg, let drawing = report.drawing { try PrivateFile.replace(svg, text: drawing) }
        if !report.isFaultless { throw ExitCode.failure }
    }
}
