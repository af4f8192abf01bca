"""The brokers that are measured: ours, Debian's Mosquitto, and those that the environment names."""

import dataclasses
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

from fleetlab.brokers import mosquitto_password_file, secret_file
from fleetlab.certificates import CertificateAuthority
from fleetlab.processes import Process, free_port, is_listening, system_program, wait_until

from .machine import pinned

USER, PASSWORD = "load", "a password that only the bench knows"
# Eighteen that are about something else, and the two that let the load through.
RULES = [f"site/{number}/+/#" for number in range(18)] + ["load/#", "ping/#"]


class NotOffered(Exception):
    """The broker cannot be set up so."""


@dataclasses.dataclass(frozen=True)
class Setup:
    """How a broker is to be run; each kind of broker says it in its own words."""
    durability: str | None = None  # memory, process, power; None: as it is by default
    tls: bool = False
    users: bool = False            # a user, a password and twenty rules
    threads: int = 1
    connections: int = 0           # more than the defaults allow
    retained: int = 0
    subscriptions: int = 0         # of one session
    keeps_state: bool = False      # the folder of the run before is used again


class Broker:
    """One kind of broker. `start` returns a running process that listens on `port`."""

    kind = "?"

    def __init__(self, folder, program, name):
        self.folder, self.program, self.name = pathlib.Path(folder), str(program), name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority = CertificateAuthority(self.folder / "ca")
        self.certificate, self.key = self.authority.issue("localhost")

    @property
    def ca(self):
        return self.authority.certificate

    @property
    def state(self):
        return self.folder / "state"

    def prepare(self, setup):
        """Writes the configuration; returns the port and the command."""
        if not setup.keeps_state and self.state.exists():
            shutil.rmtree(self.state)
        self.state.mkdir(exist_ok=True)
        port = free_port()
        return port, self.command(setup, port)

    def command(self, setup, port):
        raise NotImplementedError

    def start(self, setup):
        port, command = self.prepare(setup)
        cores = "0" if setup.threads == 1 else f"0-{setup.threads - 1}"
        process = Process(pinned(cores, command), name=self.name)
        wait_until(lambda: is_listening(port) or not process.is_running(), f"{self.name} to listen")
        if not process.is_running():
            raise NotOffered(process.output.strip().splitlines()[-1:] or [""])
        process.port = port
        return process

    def start_at_once(self, setup):
        """Starts it and asks for a connection until there is one: the process and the seconds."""
        port, command = self.prepare(setup)
        begin = time.perf_counter()
        process = Process(pinned(0, command), name=self.name)
        while process.is_running():
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process, time.perf_counter() - begin
        raise NotOffered(process.output.strip().splitlines()[-1:] or [""])

    def write(self, name, lines):
        file = self.folder / name
        file.write_text("".join(line + "\n" for line in lines))
        return file

    def acl_file(self):
        """The rules as Mosquitto's ACL file has them, which FlashMQ reads too."""
        return self.write("acl", [f"user {USER}"] + [f"topic readwrite {rule}" for rule in RULES])


class Fleet(Broker):
    kind = "fleet"

    def command(self, setup, port):
        lines = [f'durability = "{setup.durability}"'] if setup.durability else []
        if setup.threads > 1:
            lines += [f"threads = {setup.threads}"]
        lines += ["[[listener]]", f'address = "127.0.0.1:{port}"']
        if setup.tls:
            lines += [f'tls = {{ certificate = "{self.certificate}", key = "{self.key}" }}']
        # All log in at once, from one address.
        lines += ["[limits]", "password_checks = 1024", 'time_to_connect = "2min"']
        if setup.connections:
            lines += [f"connections = {setup.connections}", f"sessions = {setup.connections}"]
        if setup.retained:
            lines += [f"retained_messages = {2 * setup.retained}", 'retained_size = "2GiB"']
        if setup.subscriptions:
            lines += [f"subscriptions = {setup.subscriptions}",
                      f"wildcard_subscriptions = {setup.subscriptions}"]
        if setup.retained:
            lines += ["[store]", 'size = "2GiB"']
        if setup.users:
            lines += self.users()
        return [self.program, "--config", self.write("broker.toml", lines),
                "--state-directory", self.state]

    def users(self):
        users = self.folder / "users"
        if not users.exists():
            done = subprocess.run([self.program, "passwd", users, USER], input=PASSWORD + "\n",
                                  text=True, capture_output=True)
            if done.returncode != 0:
                raise NotOffered([done.stderr.strip()])
        topics = ", ".join(f'"{rule}"' for rule in RULES)
        return ["[authentication]", f'password_file = "{users}"',
                "[role.load]", f'users = ["{USER}"]',
                f"publish = [{topics}]", f"subscribe = [{topics}]"]


class Mosquitto(Broker):
    kind = "mosquitto"

    def command(self, setup, port):
        if setup.threads > 1:
            raise NotOffered(["one thread"])
        lines = ["user root", f"listener {port} 127.0.0.1", "max_queued_messages 0",
                 "max_inflight_messages 0", "log_type error", "log_type warning"]
        if setup.durability in ("process", "power"):
            lines += ["persistence true", f"persistence_location {self.state}/"]
        if setup.tls:
            lines += [f"certfile {self.certificate}", f"keyfile {self.key}"]
        if setup.users:
            file = self.folder / "users"
            if not file.exists():
                mosquitto_password_file(file, {USER: PASSWORD})
            lines += [f"password_file {file}", f"acl_file {self.acl_file()}"]
        else:
            lines += ["allow_anonymous true"]
        return [self.program, "-c", self.write("mosquitto.conf", lines)]


class FlashMQ(Broker):
    kind = "flashmq"

    def command(self, setup, port):
        lines = ["allow_anonymous " + ("false" if setup.users else "true"), "log_level warning",
                 f"log_file {self.folder}/flashmq.log", f"thread_count {setup.threads}",
                 "max_qos_msg_pending_per_client 65535",
                 "max_qos_bytes_pending_per_client 1000000000",
                 "client_max_write_buffer_size 1000000000"]
        if setup.durability in ("process", "power"):
            lines += [f"storage_dir {self.state}"]
        if setup.connections:
            lines += [f"rlimit_nofile {setup.connections + 1000}"]
        if setup.users:
            file = self.folder / "users"
            if not file.exists():
                mosquitto_password_file(file, {USER: PASSWORD})
            lines += [f"mosquitto_password_file {file}", f"mosquitto_acl_file {self.acl_file()}"]
        listen = [f"port {port}", "inet_protocol ip4", "inet4_bind_address 127.0.0.1",
                  "protocol mqtt"]
        if setup.tls:
            listen += [f"fullchain {self.certificate}", f"privkey {self.key}"]
        lines += ["listen {"] + [f"  {line}" for line in listen] + ["}"]
        return [self.program, "--config-file", self.write("flashmq.conf", lines)]


def version_of(program, argument, pattern):
    """The version that a program prints, or a question mark."""
    done = subprocess.run([program, argument], capture_output=True, text=True)
    found = re.search(pattern, done.stdout + done.stderr)
    return found.group(1) if found else "?"


def all_brokers(folder, binaries):
    """Ours first, then the peers that are there."""
    folder = pathlib.Path(folder)
    secret_file(folder / "password", PASSWORD)
    found = [Fleet(folder / "fleet", binaries / "fleet-broker", "fleet-broker")]
    paths = {"debian": system_program("mosquitto"), "mosquitto": os.environ.get("MOSQUITTO")}
    for key, path in paths.items():
        if path:
            version = version_of(path, "-h", r"mosquitto version (\S+)")
            found.append(Mosquitto(folder / key, path, f"Mosquitto {version}"))
            found[-1].is_debian = key == "debian"
    if path := os.environ.get("FLASHMQ"):
        version = version_of(path, "--version", r"FlashMQ Version (\S+)")
        found.append(FlashMQ(folder / "flashmq", path, f"FlashMQ {version}"))
    return found
