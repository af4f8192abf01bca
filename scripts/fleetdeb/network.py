"""A network of a test's own, which joins containers: a bridge in a network namespace.

It has no way out to the machine's network. A process holds the namespace open and ends with this one,
however that ends, for it reads what this one never writes; with the namespace go the bridge and all links.

    with network.Network() as lan, containers.Container(...) as gateway:
        address = lan.join(gateway, "gateway.local")
        lan.run(["ssh", f"root@{address}", "true"])
        server = subprocess.Popen(lan.command(["python3", "-m", "http.server", "--bind", lan.address]))
"""

import pathlib
import subprocess

from .roots import require_root
from .tell import Failure

# TEST-NET-1 of RFC 5737: nobody's addresses.
PREFIX = "192.0.2."
BRIDGE = "lan"

HOLD = f"""
ip link set lo up
ip link add {BRIDGE} type bridge
ip address add {PREFIX}1/24 dev {BRIDGE}
ip link set {BRIDGE} up
echo up
exec cat >/dev/null
"""


class Network:
    """`address` is that of the programs which `run` and `command` put into the network."""

    address = f"{PREFIX}1"

    def __init__(self):
        require_root()
        self.holder = None
        self.names = {}
        self.joined = []

    def __enter__(self):
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-euc", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True)
        if self.holder.stdout.readline() != "up\n":
            raise Failure(f"no network can be made here: {self.holder.communicate()[1].strip()}")
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.communicate()

    def command(self, arguments):
        """The command that runs `arguments` in the network; nsenter execs it, so its id is the program's."""
        return ["nsenter", "--net", "--target", str(self.holder.pid), *map(str, arguments)]

    def run(self, arguments, **options):
        """subprocess.run in the network."""
        return subprocess.run(self.command(arguments), **options)

    def join(self, container, *names):
        """Gives a container a link, and its address. All that have joined find it by its `names`."""
        number = len(self.joined) + 2
        address = f"{PREFIX}{number}"
        link = f"link{number}"
        self.do(self.command(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns",
                              container.leader]))
        self.do(self.command(["ip", "link", "set", link, "master", BRIDGE, "up"]))
        container.output(f"ip address add {address}/24 dev eth0 && ip link set eth0 up")
        self.joined.append(container)
        self.names.update({name: address for name in names})
        for other in self.joined:
            self.write_names(other)
        return address

    def write_names(self, container):
        """In the container's /etc/hosts, behind its own lines."""
        hosts = pathlib.Path(f"/proc/{container.leader}/root/etc/hosts")
        own = hosts.read_text().split("# network\n")[0] if hosts.exists() else "127.0.0.1 localhost\n"
        hosts.write_text(own + "# network\n" + "".join(
            f"{address} {name}\n" for name, address in self.names.items()))

    def do(self, command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")
