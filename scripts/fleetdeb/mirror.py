"""Which mirror of Debian this machine uses: $MIRROR, or what apt is configured with."""

import functools
import os
import subprocess

DEFAULT = "http://deb.debian.org/debian"
DEFAULT_SECURITY = "http://deb.debian.org/debian-security"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# What this machine's apt needs to reach its mirror, or to take it as it is.
PASSED_ON = ["Acquire::Check-Valid-Until", "Acquire::http::Proxy", "Acquire::https::Proxy"]


@functools.cache
def configured():
    """{label of the archive: address}, from apt's own lists."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True, text=True)
    found = {}
    for line in done.stdout.splitlines():
        label, _, address = line.rpartition(" ")
        found.setdefault(label, address.rstrip("/"))
    return found


def main_mirror():
    return os.environ.get("MIRROR") or configured().get("Debian", DEFAULT)


def security_mirror():
    given = os.environ.get("MIRROR")
    return os.environ.get("SECURITY_MIRROR") or (
        f"{given.rstrip('/')}-security" if given
        else configured().get("Debian-Security", DEFAULT_SECURITY))


def sources(suites):
    """Lines of sources.list for these suites."""
    return [f"deb [signed-by={KEYRING}] "
            f"{security_mirror() if suite.endswith('-security') else main_mirror()} {suite} main"
            for suite in suites]


@functools.cache
def apt_options():
    """Settings of this machine's apt that a root's apt is given too."""
    options = ['APT::Install-Recommends "false"']
    for name in PASSED_ON:
        done = subprocess.run(["apt-config", "shell", "value", name], capture_output=True, text=True)
        value = done.stdout.strip().removeprefix("value=").strip("'")
        if value:
            options.append(f'{name} "{value}"')
    return options
