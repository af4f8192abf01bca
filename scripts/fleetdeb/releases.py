"""The releases of Debian that packages are made for, and what differs between them."""

import dataclasses

from .tell import Failure


@dataclasses.dataclass(frozen=True)
class Release:
    codename: str
    number: int
    # The C++ library whose static part goes into the programs.
    libstdcxx: str
    systemd: int

    @property
    def suffix(self):
        """Of the package's version: newer releases sort higher, so that an upgrade of Debian upgrades."""
        return f"~deb{self.number}+1"

    @property
    def suites(self):
        return [self.codename, f"{self.codename}-updates", f"{self.codename}-security"]


RELEASES = {
    "bookworm": Release("bookworm", 12, "libstdc++-12-dev", 252),
    "trixie": Release("trixie", 13, "libstdc++-14-dev", 257),
}

# dpkg's name of the architecture: the triplet of its libraries' folder.
TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}


def release(codename):
    if codename not in RELEASES:
        raise Failure(f"no packages for '{codename}'; there are: {', '.join(RELEASES)}")
    return RELEASES[codename]


def triplet(arch):
    if arch not in TRIPLETS:
        raise Failure(f"no packages for '{arch}'; there are: {', '.join(TRIPLETS)}. Debian has no "
                      "Swift for 32-bit ARM: a Pi with a 64-bit processor takes a 64-bit system.")
    return TRIPLETS[arch]
