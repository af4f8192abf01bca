"""Brokers for a test or the demo: Fleet's own and Debian's Mosquitto, each on a free port."""

import pathlib

from .processes import (Process, free_port, is_listening, program, run, system_program, wait_until)


class FleetBroker:
    """fleet-broker with a configuration in a temporary folder."""

    def __init__(self, folder, configuration="", listen="127.0.0.1:0", arguments=(),
                 environment=None, prefix=(), state=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / "broker.toml"
        # Who looks at everything (`#`) shall see what was published to it, and nothing of the broker's.
        if "[fleet]" not in configuration:
            configuration += "\n[fleet]\nservice = false\n"
        self.file.write_text(configuration)
        self.state = pathlib.Path(state or self.folder / "state")
        self.command = [*prefix, program("fleet-broker"), "--config", self.file,
                        "--state-directory", self.state]
        if listen:
            self.command += ["--listen", listen]
        self.command += arguments
        self.environment = environment
        self.start()

    def start(self):
        """Start it, or start it again with the same files after stop() or kill()."""
        self.process = Process(self.command, name="fleet-broker", environment=self.environment)
        # Any listener will do here; `port_of` finds a particular one.
        self.port = self.port_of(0)

    def port_of(self, index):
        """The port of the listener number `index`, in the order in which they were opened."""
        def ports():
            import re
            return re.findall(r"\blistening\b.*?address\"?[=:]\"?\S+:(\d+)", self.process.output)
        wait_until(lambda: len(ports()) > index or not self.process.is_running(),
                   "fleet-broker to listen")
        found = ports()
        if len(found) <= index:
            raise RuntimeError(f"fleet-broker does not listen; it said:\n{self.process.output}")
        return int(found[index])

    def stop(self):
        return self.process.stop()

    def kill(self):
        return self.process.kill()


class Mosquitto:
    """Debian's Mosquitto; `lines` is its configuration below the listener."""

    def __init__(self, folder, lines="allow_anonymous true\n", port=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Started by root it would become the user mosquitto and could not read its own keys.
        self.port = port or free_port()
        self.file = self.folder / "mosquitto.conf"
        self.file.write_text(
            f"user root\nper_listener_settings false\nlistener {self.port} 127.0.0.1\n{lines}")
        self.start()

    def start(self):
        self.process = Process([system_program("mosquitto"), "-c", self.file], name="mosquitto")
        wait_until(lambda: is_listening(self.port) or not self.process.is_running(),
                   "mosquitto to listen")
        if not self.process.is_running():
            raise RuntimeError(f"mosquitto does not start; it said:\n{self.process.output}")

    def stop(self):
        return self.process.stop()

    def kill(self):
        return self.process.kill()


def fleet_password_file(path, users):
    """A password file by `fleet-broker passwd`; the password goes through standard input."""
    for user, password in users.items():
        done = run([program("fleet-broker"), "passwd", path, user], input_text=password + "\n")
        if done.returncode != 0:
            raise RuntimeError(f"fleet-broker passwd failed: {done.stderr}")
    return path


def mosquitto_password_file(path, users):
    """A password file by mosquitto_passwd; -U hashes a plain file, so no argument has a password."""
    path = pathlib.Path(path)
    path.write_text("".join(f"{user}:{password}\n" for user, password in users.items()))
    path.chmod(0o600)
    done = run([system_program("mosquitto_passwd"), "-U", path])
    if done.returncode != 0:
        raise RuntimeError(f"mosquitto_passwd failed: {done.stderr}")
    return path


def secret_file(path, secret):
    """A file with a password that only its owner can read."""
    path = pathlib.Path(path)
    path.touch(mode=0o600)
    path.write_text(secret + "\n")
    return path
