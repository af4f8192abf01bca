"""Start real programs, wait for conditions in what they print, and end only what was started here."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAIT_SECONDS = 20.0


def program(name):
    """The path of one of Fleet's programs: from $FLEET_BIN_DIR, else the debug build."""
    folder = pathlib.Path(os.environ.get("FLEET_BIN_DIR", ROOT / ".build" / "debug"))
    path = folder / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built; run: make build")
    return str(path)


def system_program(name):
    """The path of a program of the distribution; Debian keeps daemons in /usr/sbin."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise FileNotFoundError(f"{name} is not installed; run: make deps")
    return path


def wait_until(condition, what, seconds=WAIT_SECONDS):
    """Poll until `condition()` is true and return its value; fail saying what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.01)


def free_port(address="127.0.0.1"):
    """A port that is free now, for programs that cannot be told to pick one (Mosquitto)."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def is_listening(port, address="127.0.0.1"):
    """Whether a TCP connection to the port succeeds."""
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


class Process:
    """A program that runs until it is told to end; keeps the lines it printed.

    Output of both streams is read by a thread, so that the program never blocks on a full pipe.
    """

    def __init__(self, arguments, name=None, environment=None, directory=None, by_line=False):
        self.name = name or pathlib.Path(arguments[0]).name
        if by_line:
            # Programs in C that buffer what they print into a pipe (mosquitto_sub).
            arguments = [system_program("stdbuf"), "-oL", *arguments]
        self.lines = []
        self._changed = threading.Condition()
        self._ended = False
        self.child = subprocess.Popen(
            [str(a) for a in arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=directory,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for raw in self.child.stdout:
            with self._changed:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def pid(self):
        return self.child.pid

    @property
    def output(self):
        with self._changed:
            return "\n".join(self.lines)

    def wait_for(self, pattern, seconds=WAIT_SECONDS, start=0):
        """Wait for a line that matches the regular expression; returns the match."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + seconds
        with self._changed:
            index = start
            while True:
                while index < len(self.lines):
                    found = expression.search(self.lines[index])
                    if found:
                        return found
                    index += 1
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    tail = "\n  ".join(self.lines[-15:])
                    why = "ended" if self._ended else f"printed no such line in {seconds:.0f} s"
                    raise TimeoutError(f"{self.name} {why}: /{pattern}/; it said:\n  {tail}")
                self._changed.wait(left)

    def is_running(self):
        return self.child.poll() is None

    def signal(self, number):
        if self.is_running():
            self.child.send_signal(number)

    def stop(self, seconds=10):
        """SIGTERM, and wait; returns the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        """SIGKILL: the program gets no chance to say anything."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def wait(self, seconds=10):
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise TimeoutError(f"{self.name} did not end within {seconds} s of its signal") from None
        self._reader.join(5)
        return status


def run(arguments, seconds=30, environment=None, input_text=None, directory=None):
    """Run a program to its end; returns the completed process with text output."""
    return subprocess.run(
        [str(a) for a in arguments],
        input=input_text,
        stdin=subprocess.DEVNULL if input_text is None else None,
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, **(environment or {})},
        cwd=directory,
    )
