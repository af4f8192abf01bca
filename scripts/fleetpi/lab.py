"""The network that the virtual Pi is in: a namespace of its own, with what it finds in its LAN and in the cloud.

Nothing of it can reach this machine's network, or be reached from there.
"""

import ctypes
import dataclasses
import functools
import http.server
import os
import subprocess
import threading

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000


@dataclasses.dataclass(frozen=True)
class Network:
    device: str
    host: str
    guest: str


LAN = Network("lan", "10.77.0.1", "10.77.0.2")
WAN = Network("wan", "10.88.0.1", "10.88.0.2")
# As docs/start/install.md calls it.
PACKAGE_SERVER = "packages.example"


def unshare(flags):
    """unshare(2) for this process and all that it starts from now on (Python has it from 3.12 on)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare: " + os.strerror(ctypes.get_errno()))


def leave_mounts():
    """What is mounted from now on stays in this process, and goes with it."""
    unshare(CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def enter_network():
    """To be called before there is a second thread."""
    unshare(CLONE_NEWNET)
    ip("link set lo up")
    for network in (LAN, WAN):
        ip(f"tuntap add {network.device} mode tap")
        ip(f"address add {network.host}/24 dev {network.device}")
        ip(f"link set {network.device} up")


def ip(arguments):
    subprocess.run(["ip", *arguments.split()], check=True)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


class WebServer:
    """Serves a folder as any static web server does, at port 80 of the LAN."""

    def __init__(self, folder):
        self.server = http.server.ThreadingHTTPServer(
            (LAN.host, 80), functools.partial(QuietHandler, directory=folder))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


# As docs/operate/lan.md has it: the LAN has a port of its own, and this machine's programs keep theirs.
LISTENERS = """
[[listener]]
address = "127.0.0.1:1883"

[[listener]]
name = "lan"
address = "0.0.0.0:1884"
allow_anonymous = true
"""
EDGE, CLOUD = f"{LAN.guest}:1884", f"{WAN.host}:1883"


def let_lan_in(pi):
    """The Pi's broker serves the LAN, where this test's clients are."""
    pi.write("/etc/fleet/broker.d/20-lan.toml", LISTENERS)
    pi.output("systemctl reload fleet-broker")
