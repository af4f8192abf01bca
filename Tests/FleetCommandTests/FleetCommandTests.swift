import Testing

@testable import fleet

@Suite struct FleetCommandTests {
}
