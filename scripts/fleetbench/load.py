"""The load generator, fleet-bench-broker, beside a broker that it loads."""

import contextlib
import subprocess

from .brokers import USER
from .machine import cpu_seconds, pinned

SECONDS = 300


class Lost(Exception):
    """A message did not arrive, came twice or out of order, or the generator was refused."""


class Load:
    """One run of the generator: `ready` when it is connected, `finish` when all was counted."""

    def __init__(self, binaries, port, command, arguments):
        self.child = subprocess.Popen(
            pinned(1, [binaries / "fleet-bench-broker", command, "--port", port, *arguments]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ready(self):
        if self.child.stdout.readline() != "ready\n":
            raise Lost(self.child.stderr.read().strip())

    def finish(self):
        """Lets it work; returns its figures. It stays connected until `close`."""
        self.child.stdin.write("go\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line.startswith("done "):
            raise Lost(self.child.stderr.read().strip())
        return {name: float(value) for name, value in
                (pair.split("=") for pair in line.split()[1:])}

    def close(self):
        self.child.stdin.close()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()
        self.child.stderr.close()


class Bench:
    """Where the programs are, and how a broker is loaded."""

    def __init__(self, binaries, folder):
        self.binaries, self.folder = binaries, folder

    @contextlib.contextmanager
    def running(self, broker, setup):
        process = broker.start(setup)
        try:
            yield process
        finally:
            process.stop(30)

    @contextlib.contextmanager
    def load(self, broker, process, setup, command, arguments):
        arguments = list(arguments)
        if setup.users:
            arguments += ["--user", USER, "--password-file", self.folder / "password"]
        if setup.tls:
            arguments += ["--ca", broker.ca]
        load = Load(self.binaries, process.port, command, arguments)
        try:
            yield load
        finally:
            load.close()

    def run(self, broker, setup, command, arguments):
        """One run against a broker of its own: the generator's figures, and `cpu`, the broker's
        processor time in microseconds a delivery."""
        with self.running(broker, setup) as process, \
                self.load(broker, process, setup, command, arguments) as load:
            load.ready()
            before = cpu_seconds(process.pid)
            figures = load.finish()
            spent = (cpu_seconds(process.pid) - before) * 1e6
            figures["cpu"] = spent / max(1, figures["deliveries"])
            figures["spent"] = spent
            return figures
