"""Debian systems that boot: systemd-nspawn containers on this machine's kernel, in a network of their own.

Nothing of the machine's own network is touched, and a container has no way out of its namespace;
`network.Network` joins several. They end with the process that has started them, however that ends.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import time

from .roots import Root, require_root
from .tell import Failure, Unavailable

# What an ordinary system has, and what the packages depend on: a container reaches no mirror.
PACKAGES = ["systemd", "systemd-sysv", "dbus", "udev", "libpam-systemd", "iproute2", "ca-certificates",
            "procps", "netbase", "libjansson4", "libsqlite3-0", "libssl3", "openssl", "mosquitto",
            "sudo", "wget", "unattended-upgrades"]
GPIOD = {"bookworm": "libgpiod2", "trixie": "libgpiod3"}

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
               "DEBIAN_FRONTEND": "noninteractive"}

# Mounts stay in this process's namespace. systemd of today wants the unified hierarchy.
START = r"""
name=$1; tree=$2; folder=$3; shift 3
if ! [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    umount -R /sys/fs/cgroup
    mount -t cgroup2 none /sys/fs/cgroup
fi
mkdir -p "/sys/fs/cgroup/$name"
# Whoever has started it holds the other end of standard input, until it ends.
exec 3<&0 </dev/null
{ read -r _ <&3 || true; echo 1 > "/sys/fs/cgroup/$name/cgroup.kill"; } 2>/dev/null &
exec 3<&-
echo $$ > "/sys/fs/cgroup/$name/cgroup.procs"
mount -t overlay overlay -o "lowerdir=$tree,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
exec systemd-nspawn --quiet --boot --directory="$folder/root" --machine="$name" --register=no \
    --keep-unit --private-network --link-journal=no --resolv-conf=off --timezone=off "$@"
"""


def root(release, name="system", more=()):
    """The system that containers of a release begin with; under another name, one with more packages."""
    return Root(f"{release.codename}-{name}", release.suites, [*PACKAGES, GPIOD[release.codename], *more])


def tree(release, name="system", more=()):
    return root(release, name, more).make().path


class Container:
    """Starts with the files of `tree`, and `files` ({path: text}) beside them; its name is its host name."""

    def __init__(self, name, tree, folder, binds=(), with_mosquitto=False, files=None):
        require_root()
        self.name = f"fleet-{name}-{os.getpid()}"
        self.hostname = name
        self.folder = pathlib.Path(folder) / name
        shutil.rmtree(self.folder, ignore_errors=True)
        units = self.folder / "upper/etc/systemd/system"
        for part in (self.folder / "work", self.folder / "root", units):
            part.mkdir(parents=True)
        # apt's own timers take its lock whenever they like.
        masked = ["apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades.service"]
        for unit in [*masked, *([] if with_mosquitto else ["mosquitto.service"])]:
            (units / unit).symlink_to("/dev/null")
        for path, text in {"/etc/hostname": f"{name}\n", **(files or {})}.items():
            file = self.folder / "upper" / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.tree = tree
        self.binds = binds
        self.leader = None
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        binds = [f"--bind-ro={source}:{target}" for source, target in self.binds]
        with (self.folder / "console.log").open("ab") as console:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-euc", START, "start",
                 self.name, str(self.tree), str(self.folder), *binds],
                stdin=subprocess.PIPE, stdout=console, stderr=subprocess.STDOUT,
                start_new_session=True)
        try:
            self.leader = self.wait_for(self.first_process, "its first process", 20)
            self.wait_for(self.is_up, "systemd to have started", 60)
            self.run("ip link set lo up")
        except BaseException:
            self.stop()
            raise
        return self

    def first_process(self):
        """The process that is 1 inside: systemd-nspawn's only child, once it is systemd."""
        if self.process.poll() is not None:
            raise Failure(f"{self.name} did not start: " + (self.folder / "console.log").read_text()[-2000:])
        try:
            children = pathlib.Path(
                f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            return next((int(child) for child in children if
                         pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "systemd"), None)
        except FileNotFoundError:
            return None

    def is_up(self):
        return self.run("systemctl is-system-running").stdout.strip() in ("running", "degraded")

    def wait_for(self, condition, what, timeout):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if result := condition():
                return result
            time.sleep(0.05)
        raise Failure(f"{self.name}: waited {timeout} s for {what}")

    def run(self, command, timeout=300, input="", environment=None):
        """subprocess.run of a shell command in it; both streams in `stdout`."""
        return subprocess.run(
            ["nsenter", "--all", "--target", str(self.leader), "/bin/sh", "-c", command], input=input,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
            env={**ENVIRONMENT, **(environment or {})})

    def output(self, command, **options):
        """What a command prints; it has to succeed."""
        done = self.run(command, **options)
        if done.returncode != 0:
            raise Failure(f"{self.name}: `{command}` ended with {done.returncode}:\n{done.stdout}")
        return done.stdout.strip()

    def stop(self):
        """In order, or, after a while, by force: all that runs in it ends."""
        if self.process is None:
            return
        if self.leader:
            try:
                # What makes systemd power off, systemd(1).
                os.kill(self.leader, signal.SIGRTMIN + 4)
                self.process.wait(20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            group = pathlib.Path(base) / self.name
            if (group / "cgroup.kill").exists():
                (group / "cgroup.kill").write_text("1")
                self.process.wait(20)
                for folder in sorted(group.rglob("*/"), reverse=True):
                    if folder.is_dir():
                        folder.rmdir()
                group.rmdir()
        self.process.stdin.close()
        self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)


def require(tree, folder):
    """`Unavailable` where this machine boots no container: nothing of Fleet is in this one."""
    try:
        with Container("probe", tree, folder):
            pass
    except Failure as failure:
        raise Unavailable(f"this machine boots no container: {failure}") from None
