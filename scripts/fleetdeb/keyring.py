"""The key that signs the repository: made here when it is first needed, kept in the cache, in no tree."""

import contextlib
import os
import shutil
import subprocess

from . import folders
from .tell import Failure, say

OWNER = "Fleet package repository"


class Place:
    """Where the keys lie, and which one signs; tests have others."""

    home = folders.CACHE / "key"
    key = os.environ.get("KEY")


@contextlib.contextmanager
def kept_in(home):
    before = Place.home, Place.key
    Place.home, Place.key = home, None
    try:
        yield
    finally:
        stop()
        Place.home, Place.key = before


@contextlib.contextmanager
def signed_by(key):
    before, Place.key = Place.key, key
    try:
        yield
    finally:
        Place.key = before


def gpg(*arguments, **options):
    if not shutil.which("gpg"):
        raise Failure("there is no gpg; `scripts/deps deb` installs what packages need")
    Place.home.mkdir(parents=True, exist_ok=True)
    Place.home.chmod(0o700)
    done = subprocess.run(["gpg", "--homedir", str(Place.home), "--batch", "--quiet", *map(str, arguments)],
                          capture_output=True, **options)
    if done.returncode != 0:
        raise Failure(f"gpg: {done.stderr.decode().strip()}")
    return done.stdout


def fingerprints():
    """Of all keys in the cache, the oldest first."""
    lines = gpg("--with-colons", "--list-secret-keys").decode().splitlines()
    return [after.split(":")[9] for line, after in zip(lines, lines[1:])
            if line.startswith("sec:") and after.startswith("fpr:")]


def make():
    """Another key, which lives without a passphrase: whoever can read the cache can sign."""
    before = fingerprints()
    gpg("--passphrase", "", "--quick-generate-key", f"{OWNER} {len(before) + 1}", "ed25519", "sign",
        "never")
    new = [name for name in fingerprints() if name not in before]
    say(f"made the key {new[0]} in {Place.home}: keep a copy of that folder in a safe place")
    return new[0]


def signing():
    """The fingerprint that signs: $KEY, else the oldest in the cache, else a new one."""
    if Place.key:
        return Place.key
    with folders.locked("key"):
        known = fingerprints()
        return known[0] if known else make()


def public():
    """All public keys, as apt reads them: one that signs next is among them before it does."""
    signing()
    return gpg("--export", *fingerprints())


def stop():
    """Ends the agent that gpg has started."""
    subprocess.run(["gpgconf", "--homedir", str(Place.home), "--kill", "all"], capture_output=True)
