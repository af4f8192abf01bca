// swift-tools-version: 6.2
import PackageDescription

// Every target is checked for memory safety; the few uses of `unsafe` stand in boxed files
// (scripts/check-unsafe), each with its reason.
let settings: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatWarning("StrictMemorySafety", as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

// What the programs are made of has no regular expressions: the module that every file imports otherwise
// brings their parser, and the linker has to keep it for its conformances.
let shipped: [SwiftSetting] =
    settings + [
        .unsafeFlags(["-Xfrontend", "-disable-implicit-string-processing-module-import"])
    ]

// For what a broker's or a bridge's messages do not pass.
let small: [SwiftSetting] =
    shipped + [.unsafeFlags(["-Osize"], .when(configuration: .release))]

func library(
    _ name: String, _ dependencies: [Target.Dependency] = [], _ settings: [SwiftSetting] = shipped
) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func program(
    _ name: String, _ dependencies: [Target.Dependency], _ settings: [SwiftSetting] = shipped
) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func benchmark(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: "Benchmarks/\(name)",
        swiftSettings: settings)
}

func tests(
    _ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []
) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

let package = Package(
    name: "fleet",
    products: [
        .executable(name: "fleet-broker", targets: ["fleet-broker"]),
        .executable(name: "fleet-agent", targets: ["fleet-agent"]),
        .executable(name: "fleet-bridge", targets: ["fleet-bridge"]),
        .executable(name: "fleet", targets: ["fleet"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2")
    ],
    targets: [
        // The distribution's C libraries: a module map and a shim each, nothing else.
        .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(
            name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"])]),
        .systemLibrary(
            name: "CGPIO", pkgConfig: "libgpiod", providers: [.apt(["libgpiod-dev"])]),
        .systemLibrary(name: "CLinux"),
        .target(name: "CTOML"),

        // The core that everything shares: no I/O, no clock, no randomness.
        library("MQTT"),
        library("FleetModel"),
        library("BrokerCore", ["MQTT", "FleetModel"]),
        library("BridgeCore", ["MQTT", "FleetModel"]),
        library("AgentCore", ["MQTT", "FleetModel"], small),

        // Shells: the only places that touch the kernel and the C libraries.
        library("IO", ["CLinux", "MQTT"]),
        library("TLS", ["COpenSSL", "IO", "MQTT"]),
        library("Store", ["CSQLite", "IO", "FleetModel"]),
        library("GPIO", ["CGPIO", "IO"], small),
        library("Sensors", ["AgentCore", "FleetModel", "MQTT", "IO", "GPIO"], small),
        library("Config", ["CTOML", "IO"], small),
        library("JSON", ["CJansson", "FleetModel"], small),
        library("Client", ["MQTT", "IO", "TLS", "Config"]),
        library("Daemon", ["FleetModel", "IO", "Config", "JSON", "MQTT"], small),

        program(
            "fleet-broker",
            ["BrokerCore", "MQTT", "FleetModel", "IO", "TLS", "Config", "Daemon", "Store"]),
        program(
            "fleet-agent",
            [
                "AgentCore", "MQTT", "FleetModel", "IO", "TLS", "Config", "Daemon", "Client",
                "JSON", "GPIO", "Sensors",
            ], small),
        program(
            "fleet-bridge",
            [
                "BridgeCore", "MQTT", "FleetModel", "IO", "TLS", "Config", "Daemon", "Client",
                "JSON", "Store",
            ]),
        program(
            "fleet",
            [
                "MQTT", "FleetModel", "IO", "TLS", "Config", "Client", "JSON", "Daemon",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], small),

        // What `make bench` calls, built for release.
        .target(name: "CAllocationCount", path: "Benchmarks/CAllocationCount"),
        .target(
            name: "BenchmarkSupport", dependencies: ["MQTT"], path: "Benchmarks/BenchmarkSupport",
            swiftSettings: settings),
        benchmark("fleet-bench-topics", ["MQTT", "BenchmarkSupport", "CAllocationCount"]),
        benchmark("fleet-bench-broker", ["MQTT", "IO", "TLS", "BenchmarkSupport"]),
        benchmark("fleet-bench-wire", ["MQTT", "CAllocationCount"]),
        benchmark("fleet-bench-store", ["Store"]),

        tests("MQTTTests", ["MQTT"]),
        tests("FleetModelTests", ["FleetModel"]),
        tests("BrokerCoreTests", ["BrokerCore", "MQTT"]),
        tests("BridgeCoreTests", ["BridgeCore", "MQTT", "FleetModel"]),
        tests("AgentCoreTests", ["AgentCore", "MQTT", "FleetModel"]),
        tests("SensorsTests", ["Sensors", "AgentCore", "FleetModel", "IO", "GPIO", "MQTT"]),
        tests("IOTests", ["IO", "MQTT"]),
        tests("TLSTests", ["TLS", "IO", "MQTT"]),
        // A process that the store's tests kill, starve and deny; not part of any package.
        .target(name: "CFaultySync", path: "Tests/CFaultySync"),
        .executableTarget(
            name: "store-probe", dependencies: ["Store", "CFaultySync"], path: "Tests/StoreProbe",
            swiftSettings: settings),
        tests("StoreTests", ["Store", "IO", "store-probe"]),
        tests("ConfigTests", ["Config"]),
        tests("JSONTests", ["JSON", "FleetModel"]),
        tests("ClientTests", ["Client", "MQTT", "IO", "TLS"]),
        tests("DaemonTests", ["Daemon", "IO", "Config", "FleetModel", "MQTT"]),
        tests("FleetBrokerTests", ["fleet-broker", "BrokerCore", "Daemon", "MQTT"]),
        tests(
            "FleetBridgeTests",
            ["fleet-bridge", "BridgeCore", "MQTT", "FleetModel", "IO", "Store"]),
        tests(
            "FleetCommandTests",
            [
                "fleet", "FleetModel", "JSON", "MQTT", "IO", "Config", "Client",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)

// libFuzzer brings its own `main`, so that a plain build leaves its program out; scripts/fuzz sets
// the variable.
if Context.environment["FLEET_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "fuzz-decoder", dependencies: ["MQTT"], path: "Tests/Fuzz",
            swiftSettings: settings + [.unsafeFlags(["-parse-as-library"])]))
    package.targets.append(
        .executableTarget(
            name: "fuzz-websocket", dependencies: ["IO", "MQTT"], path: "Tests/FuzzWebSocket",
            swiftSettings: settings + [.unsafeFlags(["-parse-as-library"])]))
}
