/// A version of the protocol, by the number that CONNECT carries.
public enum ProtocolVersion: UInt8, Hashable, Sendable {
    /// MQTT 3.1, IBM's text of 2010; protocol name `MQIsdp`.
    case v3_1 = 3
    /// MQTT 3.1.1, OASIS 2014 and ISO/IEC 20922.
    case v3_1_1 = 4
    /// MQTT 5.0, OASIS 2019.
    case v5_0 = 5
}
