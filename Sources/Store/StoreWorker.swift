/// The thread's side of a `StoreThread`: groups, and what to do when the disk fails.
final class StoreWorker {
    private var database: Database
    /// Why the store cannot go on; all work fails with it.
    private var failure: StoreError?
    private let open: @Sendable () throws(StoreError) -> Database
    private let onEvent: @Sendable (StoreThread.Event) -> Void
    private let beforeCommit: (@Sendable () throws(StoreError) -> Void)?
    /// A job found no room since the last checkpoint.
    private var lacksRoom = false

    init(
        database: Database, open: @escaping @Sendable () throws(StoreError) -> Database,
        onEvent: @escaping @Sendable (StoreThread.Event) -> Void,
        beforeCommit: (@Sendable () throws(StoreError) -> Void)?
    ) {
        self.database = database
        self.open = open
        self.onEvent = onEvent
        self.beforeCommit = beforeCommit
    }

    func close() {
        database.close()
    }

    /// Runs `jobs` as one transaction, then answers all of them.
    func run(_ jobs: [StoreThread.Job]) {
        if let failure {
            for job in jobs { job.fail(failure) }
            return
        }
        do throws(StoreError) {
            let answers = try commit(jobs)
            for answer in answers { answer(nil) }
            // Now, when nobody waits for it.
            if lacksRoom {
                lacksRoom = false
                try database.makeRoom()
            } else {
                try database.checkpointIfDue()
            }
        } catch {
            handle(error)
        }
    }

    /// What to call for each job after the commit; throws after everybody was told of its failure.
    private func commit(
        _ jobs: [StoreThread.Job]
    ) throws(StoreError) -> [@Sendable (StoreError?) -> Void] {
        do throws(StoreError) {
            var answers: [@Sendable (StoreError?) -> Void] = []
            answers.reserveCapacity(jobs.count)
            let wanted = jobs.map { $0.synchronous ?? database.options.synchronous }
            try database.synchronize(wanted.contains(.full) ? .full : .normal)
            try database.begin()
            for job in jobs {
                do throws(StoreError) {
                    answers.append(try isolated(job))
                } catch {
                    // After some errors SQLite has taken the whole transaction back.
                    if !database.isInTransaction || error.needsRecovery || error.kind == .corrupt {
                        throw error
                    }
                    if error.kind == .full { lacksRoom = true }
                    answers.append { _ in job.fail(error) }
                }
            }
            try beforeCommit?()
            try database.commit()
            return answers
        } catch {
            database.rollBack()
            for job in jobs { job.fail(error) }
            throw error
        }
    }

    /// Runs a job so that its failure leaves the others' work as it is.
    private func isolated(
        _ job: StoreThread.Job
    ) throws(StoreError) -> @Sendable (StoreError?) -> Void {
        try database.statement("SAVEPOINT job").run()
        do throws(StoreError) {
            let answer = try job.run(database)
            try database.statement("RELEASE job").run()
            return answer
        } catch {
            if database.isInTransaction {
                try database.statement("ROLLBACK TO job").run()
                try database.statement("RELEASE job").run()
            }
            throw error
        }
    }

    private func handle(_ error: StoreError) {
        if error.kind == .corrupt {
            fail(error)
        } else if error.kind == .full {
            lacksRoom = true
        } else if error.needsRecovery {
            recover(from: error)
        }
    }

    /// On a full disk the log stays where it is, which loses nothing.
    private func checkpoint() throws(StoreError) {
        do throws(StoreError) {
            try database.checkpoint()
        } catch {
            guard error.kind == .full else { throw error }
            lacksRoom = true
        }
    }

    private func fail(_ error: StoreError) {
        failure = error
        onEvent(.failed(error))
    }

    /// A failed fsync(2) marks pages as written that are not; so what the kernel remembers of the files
    /// is dropped, and what the disk holds is checked and written anew.
    private func recover(from cause: StoreError) {
        let path = database.path
        database.close()
        StoreKernel.forgetCache(of: path)
        StoreKernel.forgetCache(of: path + "-wal")
        do throws(StoreError) {
            database = try open()
            let problems = try database.problems()
            if let problem = problems.first {
                throw StoreError(.corrupt, problem, path: path, code: .corrupt)
            }
            try checkpoint()
            onEvent(.reopened(after: cause))
        } catch {
            fail(error)
        }
    }
}
