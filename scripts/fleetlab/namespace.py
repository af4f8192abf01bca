"""Network namespaces with a loopback of their own, so that a test may use any port."""

import os
import subprocess

from .processes import run, system_program, wait_until


class NetworkNamespace:
    """A namespace held open by a sleeping child; commands enter it by nsenter(1)."""

    def __init__(self, ipv6=True):
        user = [] if os.geteuid() == 0 else ["--map-root-user", "--user"]
        setting = "" if ipv6 else "sysctl -qw net.ipv6.conf.all.disable_ipv6=1; "
        self._holder = subprocess.Popen(
            [system_program("unshare"), "--net", *user, "sh", "-c",
             f"{setting}ip link set lo up && echo up && exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self._holder.stdout.readline() != "up\n":
            raise RuntimeError(
                f"no network namespace can be made here: {self._holder.stderr.read().strip()}")
        self._flags = ["--net"] if os.geteuid() == 0 else ["--net", "--user", "--preserve-credentials"]
        if ipv6:
            wait_until(lambda: "::1" in run(self.command(["ip", "-6", "addr"])).stdout,
                       "the loopback's IPv6 address")

    def command(self, arguments):
        """The command that runs `arguments` inside; nsenter execs it, so its id is the program's."""
        return [system_program("nsenter"), "--target", str(self._holder.pid), *self._flags,
                *map(str, arguments)]

    def close(self):
        self._holder.kill()
        self._holder.communicate()
