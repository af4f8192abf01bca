import BrokerCore
import IO
import MQTT
import TLS

/// One connection as the shell sees it.
final class Link {
    let id: ConnectionID
    let peer: SocketAddress
    var transport: Transport
    /// The shard does not want to hear from it for now.
    var isPaused = false
    /// The peer has not taken all that may leave.
    var hasOutput = false
    /// The shard is done with it; its last bytes leave.
    var isClosing = false
    /// Our direction has ended.
    var hasShutDown = false
    /// The transport is at its end; nothing may be done with it any more.
    var isGone = false
    var linger: TimerID?

    init(_ id: ConnectionID, _ transport: consuming Transport, _ peer: SocketAddress) {
        self.id = id
        self.transport = transport
        self.peer = peer
    }
}
