"""Roots: small Debian systems in folders, in which the compiler, debhelper and lintian run."""

import functools
import os
import pathlib
import shutil
import subprocess

from . import folders, mirror
from .tell import Failure, Unavailable, step

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/build/home",
    "DEBIAN_FRONTEND": "noninteractive",
}

# Runs a command in a root, in a mount namespace of its own, so that nothing stays mounted. Without a
# network: what is built depends on nothing but the root and the tree.
ENTER = r"""
root=$1; shift
mount --bind /dev "$root/dev"
mount --bind /proc "$root/proc"
while [ "$1" != -- ]; do
    mode=$1; from=$2; to=$root$3; shift 3
    if [ -d "$from" ]; then mkdir -p "$to"; else mkdir -p "${to%/*}"; touch "$to"; fi
    mount --bind "$from" "$to"
    [ "$mode" = rw ] || mount -o remount,bind,ro "$to"
done
shift
folder=$1; shift
exec chroot "$root" /usr/bin/env -i -C "$folder" "$@"
"""


# What the largest of them takes, with the packages that it is made of, rounded up.
ROOM = 6 * 10**9


class Root:
    """A Debian system in a folder of the cache, made by mmdebstrap(1) when it is first needed."""

    def __init__(self, name, suites, packages, architectures=("amd64",), after=None, options=()):
        self.path = folders.CACHE / "roots" / name
        self.suites = suites
        self.packages = sorted(packages)
        self.architectures = architectures
        self.options = options
        # Called with the new root, before it counts as made.
        self.after = after
        # target: (source, writable), for every command.
        self.binds = {}

    @property
    def recipe(self):
        """What it was made of: another recipe makes it anew."""
        return "\n".join([*self.suites, *self.architectures, *self.packages, ""])

    @property
    def is_made(self):
        stamp = self.path / "etc" / "fleet-root"
        return stamp.exists() and stamp.read_text() == self.recipe

    @property
    def made_at(self):
        """When, in seconds since 1970."""
        return (self.path / "etc" / "fleet-root").stat().st_mtime

    def make(self):
        if not self.is_made:
            require_root()
            with folders.locked(self.path.name):
                if not self.is_made:
                    self.bootstrap()
        return self

    def bootstrap(self):
        if not shutil.which("mmdebstrap"):
            raise Failure("there is no mmdebstrap; `scripts/deps deb` installs what packages need")
        unfinished = self.path.with_name(self.path.name + ".new")
        for old in (unfinished, self.path):
            if old.exists():
                shutil.rmtree(old)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(unfinished.parent).free) < ROOM:
            raise Unavailable(f"{unfinished.parent} has {free / 1e9:.1f} GB free, and a root may take "
                              f"{ROOM / 1e9:.0f}; FLEET_CACHE names another place")
        with step(f"root {self.path.name} ({', '.join(self.suites)}) in {self.path}"):
            command = ["mmdebstrap", "--quiet", "--variant=apt", "--format=directory",
                       f"--architectures={','.join(self.architectures)}",
                       f"--include={','.join(self.packages)}", "--dpkgopt=force-unsafe-io",
                       *self.options,
                       *(f"--aptopt={option}" for option in mirror.apt_options()),
                       self.suites[0], str(unfinished), *mirror.sources(self.suites)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 0:
                raise Failure(f"mmdebstrap made no root of {self.suites[0]}:\n"
                              + "\n".join(done.stderr.splitlines()[-15:]))
            if self.after:
                self.after(unfinished)
            (unfinished / "etc" / "fleet-root").write_text(self.recipe)
            unfinished.rename(self.path)

    def bind(self, source, target, writable=False):
        self.binds[target] = (pathlib.Path(source), writable)
        return self

    def run(self, command, folder="/", environment=None, network=False, **options):
        """subprocess.run of `command` in the root; raises nothing for its exit status."""
        require_root()
        binds = [word for target, (source, writable) in self.binds.items()
                 for word in ("rw" if writable else "ro", str(source), target)]
        values = {**ENVIRONMENT, **(environment or {})}
        namespaces = ["--mount", "--propagation", "private", *([] if network else ["--net"])]
        return subprocess.run(
            ["unshare", *namespaces, "sh", "-euc", ENTER, "enter", str(self.path), *binds, "--",
             folder, *(f"{name}={value}" for name, value in values.items()), *command],
            stdin=subprocess.DEVNULL, text=True, **options)

    def output(self, command, **options):
        """What `command` prints, without the last newline; it has to succeed."""
        done = self.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        if done.returncode != 0:
            raise Failure(f"{' '.join(command)} in {self.path.name}: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def do(self, command, log, **options):
        """Runs `command`; its output goes to the file `log`, whose end is told if it fails."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(f"$ {' '.join(command)}\n")
            file.flush()
            done = self.run(command, stdout=file, stderr=subprocess.STDOUT, **options)
        if done.returncode != 0:
            raise Failure(f"{command[0]} ended with {done.returncode}; the end of {log}:\n"
                          + "\n".join(log.read_text(errors="replace").splitlines()[-25:]))

    def version(self, package):
        return self.output(["dpkg-query", "-W", "-f", "${Version}", package])


@functools.cache
def require_root():
    if os.geteuid() != 0:
        raise Failure("roots are made and entered by root (mounts, chroot): run it with sudo, or in "
                      "a container of your own")
    done = subprocess.run(["unshare", "--mount", "--net", "--propagation", "private", "mount", "-t", "tmpfs",
                           "none", "/mnt"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"this machine lets root make no namespace or mount: {done.stderr.strip()}")
