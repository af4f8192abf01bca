import Glibc

/// How much of it: `swift test` takes a little of what has no end, `make ci-long` much more.
func scaled(_ normal: UInt64, _ long: UInt64) -> UInt64 {
    unsafe getenv("FLEET_LONG") == nil ? normal : long
}
