"""Debian unstable's Swift: the compiler for amd64 and the runtime for arm64, of one version.

Unstable moves, and its architectures do not move together. So the versions are found, not written
down, and the packages of the last pair that built something stay in the cache: they are taken when
unstable has none.
"""

import dataclasses
import pathlib
import re
import shutil
import subprocess

from . import folders
from .roots import Root
from .tell import Failure, Unavailable, say, step

KEPT = folders.CACHE / "pair"
BESIDE_COMPILER = ["git", "pkg-config", "ca-certificates", "libc6-dev", "lld"]
RUNTIME_PACKAGES = ["swiftlang", "libswiftlang"]


@dataclasses.dataclass
class Pair:
    version: str
    compiler: Root
    runtime: pathlib.Path


def source_version(version):
    """Without the number of a rebuild, which each architecture counts for itself."""
    return re.sub(r"\+b\d+$", "", version)


def find():
    """The pair to build with: what the cache has, else what unstable has now, else what built last."""
    compiler = root_of(["swiftlang"])
    if not compiler.is_made:
        try:
            compiler.make()
        except Failure as failure:
            kept = sorted(KEPT.glob("*_amd64.deb"))
            if not kept:
                raise Unavailable(f"no compiler for it: {failure}") from None
            say(f"{failure}. Taking the pair that built last, from {KEPT}")
            compiler = root_of(map(str, kept)).make()
    version = (compiler.path / "etc" / "fleet-runtime").read_text().strip()
    return Pair(version, compiler, compiler.path / "runtime")


def root_of(swiftlang):
    # The packages stay in apt's cache, for `keep`.
    return Root("unstable-compiler", ["sid"], [*swiftlang, *BESIDE_COMPILER], after=add_runtime,
                options=["--skip=cleanup/apt/cache"])


def keep(pair):
    """What has built something stays for the day when unstable has no pair."""
    archives = pair.compiler.path / "var/cache/apt/archives"
    found = [deb for name in RUNTIME_PACKAGES for deb in archives.glob(f"{name}_*.deb")]
    if {deb.name for deb in found} <= {deb.name for deb in KEPT.glob("*.deb")}:
        return
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    for deb in found:
        shutil.copy2(deb, KEPT)


def add_runtime(path):
    """Puts the arm64 runtime of the compiler's version beside the new root's own."""
    archives = path / "var/cache/apt/archives"
    for deb in archives.glob("*.deb"):
        if deb.name.split("_")[0] not in RUNTIME_PACKAGES:
            deb.unlink()
    root = Root(path.name, [], [])
    version = root.version("swiftlang")
    with step("the arm64 runtime of the same version"):
        theirs = fetch_runtime(root, version)
        for deb in sorted(archives.glob("*_arm64.deb")):
            unpack(deb, path / "runtime")
        (path / "etc" / "fleet-runtime").write_text(f"{theirs}\n")
    say(f"swiftlang {version} (amd64) with {theirs} (arm64)")


def fetch_runtime(root, version):
    """Brings the arm64 packages into apt's cache of `root`; returns their version."""
    archives = root.path / "var/cache/apt/archives"
    for kept in KEPT.glob("swiftlang_*_arm64.deb"):
        theirs = kept.name.split("_")[1].replace("%3a", ":")
        if source_version(theirs) == source_version(version):
            for name in RUNTIME_PACKAGES:
                shutil.copy2(KEPT / kept.name.replace("swiftlang_", f"{name}_", 1), archives)
            return theirs
    root.do(["dpkg", "--add-architecture", "arm64"], root.path / "var/log/fleet.log")
    shutil.copy("/etc/resolv.conf", root.path / "etc/resolv.conf")
    apt(root, "update", "-q")
    theirs = candidate(root)
    if source_version(theirs or "") != source_version(version):
        raise Failure(f"unstable has swiftlang {version} for amd64 and {theirs or 'none'} for arm64: "
                      "not one version, so that nothing can be built with them today")
    apt(root, "download", "-q", *(f"{name}:arm64={theirs}" for name in RUNTIME_PACKAGES),
        folder="/var/cache/apt/archives")
    return theirs


def apt(root, *arguments, **options):
    root.do(["apt-get", *arguments], root.path / "var/log/fleet.log", network=True, **options)


def candidate(root):
    told = root.output(["apt-cache", "policy", "swiftlang:arm64"])
    found = re.search(r"Candidate: (\S+)", told)
    return found.group(1) if found and found.group(1) != "(none)" else None


def unpack(deb, folder):
    """Swift's libraries of a package, and nothing else of it."""
    folder.mkdir(exist_ok=True)
    archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    done = subprocess.run(
        ["tar", "-x", "-C", folder, "--wildcards", "./usr/libexec/swift/lib/swift/*",
         "./usr/libexec/swift/lib/swift_static/*", "./usr/libexec/swift/lib/clang/*"],
        stdin=archive.stdout, stderr=subprocess.PIPE, text=True)
    # tar(1) complains of a package that has none of a kind.
    if archive.wait() != 0 or (done.returncode != 0 and "Not found in archive" not in done.stderr):
        raise Failure(f"cannot unpack {deb}: {done.stderr.strip()}")
