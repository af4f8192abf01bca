"""A signed repository for apt(8), of plain files: any static web server can serve it.

    dists/SUITE/InRelease, Release, Release.gpg
    dists/SUITE/main/binary-ARCH/Packages{,.xz,.gz}, and by-hash beside them
    pool/main/f/fleet/SUITE/*.deb

Indices are found by their hash (by-hash), so that a client that reads the old InRelease while a new one
is put in place still finds what it names.
"""

import gzip
import hashlib
import lzma
import os
import shutil
import subprocess
import time

from . import folders, keyring, source
from .releases import RELEASES, TRIPLETS
from .tell import Failure, say

COMPONENT = "main"
POOL = "pool/main/f/fleet"
KEEP_INDICES = 3


def make(target, packages_of=folders.packages_folder):
    """Writes the repository to `target`, of all packages that are built; older versions stay in it."""
    known = [codename for codename in RELEASES if any(packages_of(codename).glob("*.deb"))]
    if not known:
        raise Failure("there are no packages: run `make deb` first, for each release and architecture")
    for codename in known:
        pool = target / POOL / codename
        pool.mkdir(parents=True, exist_ok=True)
        for package in sorted(packages_of(codename).glob("*.deb")):
            add(package, pool / package.name)
        architectures = write_suite(target, codename)
        say(f"{codename}: {len(list(pool.glob('*.deb')))} packages for {', '.join(architectures)}")
    (target / "fleet-archive-keyring.gpg").write_bytes(keyring.public())
    keyring.stop()
    # What a web server may read, whatever the umask.
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def add(package, place):
    """A published file never changes: clients have its hash."""
    if place.exists() and place.read_bytes() != package.read_bytes():
        raise Failure(f"{place} is published with other bytes; a changed package needs a new version "
                      "(or remove that file, where nobody has it yet)")
    if not place.exists():
        shutil.copy2(package, place)


def write_suite(target, codename):
    suite = target / "dists" / codename
    stanzas = [stanza_of(target, package)
               for package in sorted((target / POOL / codename).glob("*.deb"))]
    architectures = [arch for arch in TRIPLETS
                     if any(which == arch for which, _ in stanzas)] or list(TRIPLETS)
    indices = {}
    for arch in architectures:
        text = "".join(text for which, text in stanzas if which in (arch, "all")).encode()
        for name, content in (("Packages", text), ("Packages.gz", gzip.compress(text, mtime=0)),
                              ("Packages.xz", lzma.compress(text))):
            indices[f"{COMPONENT}/binary-{arch}/{name}"] = content
    for name, content in indices.items():
        path = suite / name
        by_hash = path.parent / "by-hash/SHA256"
        by_hash.mkdir(parents=True, exist_ok=True)
        (by_hash / hashlib.sha256(content).hexdigest()).write_bytes(content)
        forget_old(by_hash, indices)
    release = release_file(codename, architectures, indices)
    # Indices by hash are there; now comes what names them; at last the indices under their plain names.
    sign(suite, release)
    for name, content in indices.items():
        replace(suite / name, content)
    return architectures


def stanza_of(target, package):
    """(architecture, the paragraph of Packages) of a .deb."""
    control = subprocess.run(["dpkg-deb", "--field", package], capture_output=True, text=True,
                             check=True).stdout.rstrip("\n")
    content = package.read_bytes()
    arch = next(line.split(": ", 1)[1] for line in control.splitlines()
                if line.startswith("Architecture: "))
    return arch, (f"{control}\nFilename: {package.relative_to(target)}\nSize: {len(content)}\n"
                  f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n")


def forget_old(folder, indices):
    """Keeps what the newest indices name, and as much again for clients with an older InRelease."""
    files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    kinds = sum(1 for name in indices if name.split("/")[1] == folder.parents[1].name)
    for path in files[KEEP_INDICES * kinds:]:
        path.unlink()


def release_file(codename, architectures, indices):
    lines = ["Origin: Fleet", "Label: Fleet", f"Suite: {codename}", f"Codename: {codename}",
             f"Version: {RELEASES[codename].number}",
             f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S UTC', time.gmtime())}",
             "Acquire-By-Hash: yes", "No-Support-for-Architecture-all: Packages",
             f"Architectures: {' '.join(architectures)}", f"Components: {COMPONENT}",
             f"Description: Fleet {source.version()} for Debian {RELEASES[codename].number}",
             "SHA256:"]
    lines += [f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}"
              for name, content in sorted(indices.items())]
    return ("\n".join(lines) + "\n").encode()


def sign(suite, release):
    key = keyring.signing()
    plain = suite / "Release.new"
    plain.write_bytes(release)
    for name, how in (("InRelease", ["--clearsign"]), ("Release.gpg", ["--armor", "--detach-sign"])):
        keyring.gpg("--yes", "--local-user", key, "--digest-algo", "SHA512", *how, "--output",
                    suite / f"{name}.new", plain)
    for name in ("Release", "Release.gpg", "InRelease"):
        os.replace(suite / f"{name}.new", suite / name)


def replace(path, content):
    path.with_name(path.name + ".new").write_bytes(content)
    os.replace(path.with_name(path.name + ".new"), path)
