// swift-tools-version: 6.2
// SPDX-License-Identifier: MIT
import PackageDescription

let strict: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .treatAllWarnings(as: .error),
        // Measured in docs: exclusivity checks cost up to ten times on class properties of the hot path.
        .unsafeFlags(
            ["-enforce-exclusivity=unchecked", "-cross-module-optimization"],
            .when(configuration: .release)),
    ]
    // Defects on demand, for the checker to find (scripts/chaos.sh --planted). Never in a release.
    + (Context.environment["PLANTED_BUGS"] == "1" ? [.define("PLANTED_BUGS")] : [])
    // A lock that ThreadSanitizer can follow, and tests that wait longer (scripts/sanitize.sh).
    + (Context.environment["SANITIZE"] == "thread" ? [.define("TSAN_LOCKS")] : [])
    + (Context.environment["SANITIZE"] == nil ? [] : [.define("SANITIZED")])

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "\(name)Tests",
        dependencies: [.byName(name: name), "TestSupport", "Locks"] + dependencies,
        swiftSettings: strict)
}

/// An executable: reads configuration, builds, wires, runs.
func executable(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name,
        dependencies: [
            "Bytes", "Locks", "Timing", "JSON", "HTTP1", "HTTPServer", "Reactor", "Metrics",
            "ServiceRuntime", log,
        ]
            + dependencies,
        swiftSettings: strict)
}

let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")

let package = Package(
    name: "chat",
    products: [
        .executable(name: "ChatService", targets: ["ChatService"]),
        .executable(name: "AuthService", targets: ["AuthService"]),
        .executable(name: "NotificationService", targets: ["NotificationService"]),
        .executable(name: "chatctl", targets: ["chatctl"]),
        .executable(name: "ConformanceServer", targets: ["ConformanceServer"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    ],
    targets: [
        // C libraries, each imported by exactly one Swift target; OpenSSL by two, Crypto for its
        // libcrypto and TLS for its libssl, which nothing else touches.
        .systemLibrary(
            name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(
            name: "CHiredis", pkgConfig: "hiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(
            name: "CArgon2", pkgConfig: "libargon2", providers: [.apt(["libargon2-dev"])]),
        .systemLibrary(
            name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),

        // Pure layers: bytes and time in, steps out.
        library("Bytes"),
        library("Locks", ["Timing"]),
        library("Timing"),
        library("Addresses"),
        library("JSON", ["Bytes"]),
        library("HTTP1", ["Bytes", "Timing"]),
        library("WebSocket", ["Bytes", "Timing", "HTTP1", "Crypto", "CZlib"]),
        library("EngineIO", ["Bytes", "Timing", "JSON"]),
        library("SocketIO", ["Bytes", "Timing", "JSON"]),
        library("Crypto", ["Bytes", "COpenSSL", "CArgon2"]),
        library("TLS", ["Locks", "COpenSSL"]),

        // The shell.
        .target(name: "CLinux"),
        library("Metrics", ["Locks", "Bytes"]),
        library("Reactor", ["Locks", "Bytes", "Timing", "CLinux", deque]),
        library(
            "HTTPServer",
            [
                "Locks", "Addresses", "Bytes", "Timing", "JSON", "HTTP1", "WebSocket", "Reactor",
                "Metrics",
                "TLS", "CLinux", deque,
            ]),
        library(
            "EngineIOServer",
            [
                "Bytes", "Timing", "JSON", "HTTP1", "HTTPServer", "WebSocket", "EngineIO",
                "Reactor", "Crypto",
            ]),
        library(
            "SocketIOServer",
            [
                "Locks", "Bytes", "Timing", "JSON", "HTTPServer", "WebSocket", "EngineIO",
                "EngineIOServer", "SocketIO", "Reactor", "Crypto", deque,
            ]),
        library("HTTPClient", ["Addresses", "Bytes", "JSON", "CCurl"]),
        library(
            "ServiceRuntime",
            [
                "Locks", "Addresses", "Bytes", "Timing", "JSON", "HTTP1", "HTTPServer",
                "HTTPClient",
                "Reactor",
                "Metrics", "JWT",
                "Crypto", "TLS", log,
            ]),

        // The domain and what stands behind its ports.
        library("ChatCore", ["Bytes", "Timing", "JSON", deque]),
        library("JWT", ["Bytes", "JSON", "Crypto", "Timing"]),
        library("OAuth", ["Locks", "Bytes", "JSON", "JWT", "Crypto", "Timing"]),
        library(
            "Store",
            [
                "Locks", "Bytes", "Timing", "JSON", "Reactor", "CSQLite", "ChatCore", "Crypto",
                "OAuth",
                "Metrics", deque, heap,
            ]),
        library("Instances", ["Locks", "Bytes", "Timing", "Reactor", "CLinux", "Metrics", deque]),
        library(
            "Bus",
            [
                "Locks", "Bytes", "Timing", "JSON", "Reactor", "CHiredis", "ChatCore", "Metrics",
                "Instances",
                deque,
            ]),
        library(
            "Gateway",
            [
                "Locks", "Bytes", "Timing", "JSON", "HTTP1", "HTTPServer", "WebSocket", "EngineIO",
                "EngineIOServer", "SocketIO", "SocketIOServer",
                "Reactor", "ChatCore", "Store", "Bus", "JWT", "Crypto", "Metrics", "ServiceRuntime",
                deque, log,
            ]),
        library(
            "AuthAPI",
            [
                "Locks", "Bytes", "Timing", "JSON", "HTTP1", "HTTPServer", "OAuth", "JWT", "Crypto",
                "Store",
                "ChatCore", "Metrics", "ServiceRuntime", log,
            ]),
        library(
            "Webhooks",
            [
                "Locks", "Addresses", "Bytes", "Timing", "JSON", "Crypto", "ChatCore", "Store",
                "HTTPClient", "HTTP1", "Metrics", "Reactor",
            ]),
        library(
            "NotificationAPI",
            [
                "Locks", "Bytes", "Timing", "JSON", "HTTP1", "HTTPServer", "HTTPClient", "Webhooks",
                "Crypto", "JWT",
                "Store", "Bus", "ChatCore", "Metrics", "Reactor", "ServiceRuntime",
                log,
            ]),

        // The executables.
        executable(
            "ChatService",
            ["Gateway", "EngineIOServer", "Instances", "Store", "Bus", "ChatCore", "JWT", "Crypto"]),
        executable(
            "AuthService", ["AuthAPI", "OAuth", "Store", "Bus", "ChatCore", "JWT", "Crypto"]),
        executable(
            "NotificationService",
            [
                "NotificationAPI", "Webhooks", "HTTPClient", "Store", "Bus", "ChatCore", "JWT",
                "Crypto",
            ]),
        executable(
            "chatctl",
            [
                "HTTPClient", "WebSocket", "EngineIO", "SocketIO", "Crypto", "JWT", "OAuth",
                "Store",
                "ChatCore", arguments,
            ]),

        executable(
            "ConformanceServer",
            ["WebSocket", "EngineIO", "EngineIOServer", "SocketIOServer", arguments]),

        // The checker: breaks a running cluster and verifies what its clients saw. Not a product.
        .executableTarget(
            name: "Chaos",
            dependencies: [
                "Bytes", "Locks", "Timing", "JSON", "HTTP1", "WebSocket", "EngineIO", "SocketIO",
                "Crypto", "Reactor", "HTTPClient", "Metrics", "ChatCore", "OAuth", "Store",
                "TestSupport", arguments,
            ], swiftSettings: strict),

        // The protocol layers' workbench: what they cost, beside other people's parsers.
        .target(name: "CMeasure"),
        .executableTarget(
            name: "ProtocolTool",
            dependencies: [
                "Bytes", "Timing", "JSON", "HTTP1", "WebSocket", "EngineIO", "SocketIO", "CMeasure",
            ], swiftSettings: strict),

        // Tests mirror the sources.
        .target(
            name: "TestSupport", dependencies: ["Bytes", "Locks", "Timing", "JSON", "COpenSSL"],
            path: "Tests/TestSupport",
            swiftSettings: strict),
        tests("Bytes"),
        tests("Timing"),
        tests("Addresses"),
        tests("JSON", ["Bytes"]),
        tests("HTTP1", ["Bytes", "Timing"]),
        tests("WebSocket", ["Bytes", "Timing", "HTTP1", "Crypto"]),
        tests("EngineIO", ["Bytes", "Timing", "JSON"]),
        tests("SocketIO", ["Bytes", "Timing", "JSON", "EngineIO", "WebSocket"]),
        tests("Crypto", ["Bytes"]),
        tests("TLS", ["Bytes"]),
        tests("Metrics", ["Bytes"]),
        tests("Chaos", ["JSON"]),
        tests("ProtocolTool", ["CMeasure"]),
        tests(
            "chatctl",
            ["Reactor", "Bytes", "JSON", "WebSocket", "ChatCore", "Store", arguments]),
        tests("Reactor", ["Bytes", "Timing"]),
        tests(
            "HTTPServer",
            [
                "Addresses", "Bytes", "Timing", "JSON", "HTTP1", "WebSocket", "Reactor", "Metrics",
                "TLS",
            ]),
        tests("EngineIOServer", ["Bytes", "EngineIO", "HTTPServer"]),
        tests(
            "SocketIOServer",
            [
                "Bytes", "EngineIO", "EngineIOServer", "HTTPServer", "JSON", "Metrics", "Reactor",
                "Timing", "WebSocket",
            ]),
        tests("HTTPClient", ["Addresses", "Bytes", "JSON"]),
        tests(
            "ServiceRuntime",
            ["Addresses", "Bytes", "Timing", "JSON", "HTTP1", "HTTPServer", "Metrics", "JWT", log]),
        tests("ChatCore", ["Bytes", "Timing", "JSON"]),
        tests("JWT", ["Bytes", "JSON", "Crypto", "Timing"]),
        tests("OAuth", ["Bytes", "JSON", "JWT", "Crypto", "Timing"]),
        tests("Store", ["Bytes", "Timing", "JSON", "ChatCore", "OAuth", "Crypto", "Metrics"]),
        tests("Instances", ["Bytes", "Metrics", "Timing"]),
        tests("Bus", ["Bytes", "Timing", "JSON", "ChatCore", "Instances", "Metrics"]),
        tests(
            "Gateway",
            [
                "Bytes", "Timing", "JSON", "HTTP1", "HTTPServer", "WebSocket", "EngineIO",
                "EngineIOServer", "SocketIO", "SocketIOServer", "ChatCore",
                "Store", "Bus", "JWT", "Crypto", "Metrics", "Reactor", "ServiceRuntime", "CMeasure",
            ]),
        tests(
            "AuthAPI",
            [
                "Bytes", "Timing", "JSON", "HTTP1", "HTTPServer", "OAuth", "JWT", "Crypto", "Store",
                "ChatCore", "Metrics",
            ]),
        tests(
            "Webhooks",
            [
                "Addresses", "Bytes", "Timing", "JSON", "Crypto", "ChatCore", "Store",
                "HTTPClient", "HTTP1", "Metrics",
            ]),
        tests(
            "NotificationAPI",
            [
                "Addresses", "Bytes", "Timing", "JSON", "HTTP1", "HTTPServer", "HTTPClient",
                "Webhooks", "Crypto", "JWT", "Store",
                "Bus", "ChatCore", "Metrics", "ServiceRuntime",
            ]),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "TestSupport", "Bytes", "Locks", "Timing", "JSON", "HTTPServer", "HTTPClient",
                "Crypto",
                "OAuth", "Reactor", "Store",
            ], swiftSettings: strict),
    ]
)

// Fuzz targets link libFuzzer's main instead of their own, so they exist only for scripts/fuzz.sh.
if Context.environment["FUZZ"] == "1" {
    let layers = ["Bytes", "Timing", "JSON", "HTTP1", "WebSocket", "EngineIO", "SocketIO"]
    let server = ["EngineIOServer", "HTTPServer", "Metrics", "Reactor", "SocketIOServer"]
    let more = ["JWT": ["JWT", "Crypto"], "Server": server]
    package.targets += (layers.dropFirst(2) + ["JWT", "Connection", "Server"]).map { name in
        .executableTarget(
            name: "Fuzz\(name)",
            dependencies: (layers + more[name, default: []]).map { .byName(name: $0) },
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])])
    }
}
