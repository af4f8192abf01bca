"""Where things lie: what takes long to make in a cache outside the tree, the rest in the tree."""

import contextlib
import fcntl
import os
import pathlib

TREE = pathlib.Path(__file__).resolve().parents[2]

# Roots, the arm64 runtime and copies of Swift packages' repositories: gigabytes that all trees share.
CACHE = pathlib.Path(os.environ.get("FLEET_CACHE") or pathlib.Path(
    os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "fleet")

# What is built of this tree, a folder for each release and architecture.
BUILD = TREE / ".build-deb"


def build_folder(dist, arch):
    return BUILD / f"{dist}-{arch}"


def packages_folder(dist):
    """Where the finished packages of a release lie."""
    return BUILD / "packages" / dist


@contextlib.contextmanager
def locked(name):
    """What is made in the cache is made by one process at a time; the others find it there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
