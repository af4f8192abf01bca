import IO

/// What only the process knows of its figures.
extension BrokerServer {
    var listenerFigures: [ListenerFigures] {
        listeners.map { listener in
            let terms = listener.terms
            return ListenerFigures(
                name: terms.settings.name, address: listener.socket.address.description,
                scheme: terms.settings.scheme, connections: terms.connectionCount,
                accepted: listener.socket.acceptedCount,
                refused: listener.socket.refusedCount + terms.refusedCount)
        }
    }

    var storeFigures: StoreFigures {
        guard let store else { return StoreFigures() }
        let commits = store.handle.commits
        let state: StoreFigures.State =
            switch store.state {
            case .ready: store.quarantined > 0 ? .quarantined : .ok
            case .full: .full
            case .failed: .failed
            }
        return StoreFigures(
            state: state, quarantined: store.quarantined, writtenBytes: store.bytesWritten,
            commits: commits.count, lastCommit: commits.last,
            fileBytes: (try? Files.status(store.path).byteCount).map { Int($0) })
    }
}
