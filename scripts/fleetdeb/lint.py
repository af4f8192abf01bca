"""What finished packages must hold to: lintian, shellcheck, glibc, sizes."""

import pathlib
import re
import subprocess
import tempfile

from . import folders, texts
from .programs import PROGRAMS
from .tell import Failure, say, step
from .toolchains import INSIDE

# Bytes of a package, and of everything installed.
PACKAGE_BAR = {"fleet-broker": 4e6, "fleet-agent": 4e6, "fleet-bridge": 4e6, "fleet-cli": 6e6}
INSTALLED_BAR = 42e6

MAINTAINER_SCRIPTS = ["preinst", "postinst", "prerm", "postrm"]


def check(root, release, arch, packages):
    """Raises `Failure` with all that is wrong with these packages of one build."""
    root.bind(folders.build_folder(release.codename, arch), INSIDE, writable=True)
    root.bind(packages[0].parent, "/packages")
    wrong = []
    with step("lintian"):
        wrong += lintian(root, packages)
    with tempfile.TemporaryDirectory() as name:
        unpacked = pathlib.Path(name)
        root.bind(unpacked, "/unpacked")
        for package in packages:
            subprocess.run(["dpkg-deb", "--raw-extract", package, unpacked / package.name], check=True)
        wrong += shellcheck(root, unpacked)
        wrong += binaries(root, unpacked)
        wrong += starts(root, arch)
    wrong += sizes(packages)
    if wrong:
        raise Failure("the packages are not right:\n  " + "\n  ".join(wrong))


def lintian(root, packages):
    done = root.run(["lintian", "--allow-root", "--no-tag-display-limit", "--fail-on", "error,warning",
                     *(f"/packages/{package.name}" for package in packages)],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, environment={"HOME": "/tmp"})
    found = [line for line in done.stdout.splitlines() if re.match(r"[EW]: ", line)]
    if done.returncode != 0 and not found:
        found = [f"lintian ended with {done.returncode}: {done.stdout.strip()}"]
    return found


def shellcheck(root, unpacked):
    scripts = [f"/unpacked/{path.relative_to(unpacked)}" for name in MAINTAINER_SCRIPTS
               for path in sorted(unpacked.glob(f"*/DEBIAN/{name}"))]
    done = root.run(["shellcheck", "--shell", "sh", "--severity", "style", "--format", "gcc", *scripts],
                    capture_output=True)
    found = done.stdout.splitlines()
    for path in unpacked.glob("*/DEBIAN/*"):
        # What debhelper puts in may; the rest asks deb-systemd-invoke, which asks policy-rc.d.
        own = re.sub(r"# Automatically added by.*?# End automatically added", "",
                     path.read_text(errors="replace"), flags=re.S)
        if path.name in MAINTAINER_SCRIPTS and re.search(r"^(?!\s*echo )[^#\n]*\bsystemctl\b", own, re.M):
            found.append(f"{path.parent.parent.name}: {path.name} calls systemctl itself")
    return found


def binaries(root, unpacked):
    """Programs ask for nothing that the release has not, and look in no folder but the system's."""
    limit = version_of(root.version(f"libc6:{root.architectures[-1]}"))
    found = []
    for path in sorted(unpacked.glob("*/usr/bin/*")):
        told = subprocess.run(["readelf", "--wide", "--dynamic", "--version-info", path],
                              capture_output=True, text=True, check=True).stdout
        wanted = max((version_of(text) for text in re.findall(r"GLIBC_([0-9.]+)", told)), default=(0,))
        if wanted > limit:
            found.append(f"{path.name} wants glibc {dotted(wanted)}; the release has {dotted(limit)}")
        if "RUNPATH" in told or "RPATH" in told:
            found.append(f"{path.name} has a RUNPATH")
        if "libstdc++" in told or "libswift" in told:
            found.append(f"{path.name} is linked with a runtime that is to be static")
        say(f"{path.name}: glibc {dotted(wanted)} of {dotted(limit)}, needs "
            + ", ".join(re.findall(r"\(NEEDED\).*\[(.*?)\]", told)))
    return found


def version_of(text):
    return tuple(int(part) for part in re.match(r"[0-9.]+", text)[0].strip(".").split("."))


def dotted(version):
    return ".".join(map(str, version))


def field(package, name):
    done = subprocess.run(["dpkg-deb", "--field", package, name], capture_output=True, text=True,
                          check=True)
    return done.stdout.strip()


def sizes(packages):
    found, installed = [], 0
    for package in packages:
        name, size = package.name.split("_")[0], package.stat().st_size
        here = int(field(package, "Installed-Size")) * 1024
        installed += here
        bar = PACKAGE_BAR.get(name)
        say(f"{name}: {size / 1e6:.2f} MB" + (f" of {bar / 1e6:.0f}" if bar else "")
            + f", installed {here / 1e6:.2f} MB")
        if bar and size > bar:
            found.append(f"{package.name} has {size / 1e6:.2f} MB, more than {bar / 1e6:.0f}")
    say(f"all installed: {installed / 1e6:.1f} MB of {INSTALLED_BAR / 1e6:.0f}")
    if installed > INSTALLED_BAR:
        found.append(f"all packages installed take {installed / 1e6:.1f} MB")
    return found


def starts(root, arch):
    """Each program says its version, each daemon takes the configuration that it is installed with."""
    prefix = texts.runner(root, arch)
    found = []
    if prefix:
        say(f"starting the programs under {prefix[0]}")
    for program in PROGRAMS:
        inside = f"{INSIDE}/programs/{program}"
        short = program.removeprefix("fleet-")
        configuration = f"{INSIDE}/fleet/debian/{program}/etc/fleet/{short}.toml"
        calls = [["--version"]]
        if program != "fleet":
            calls.append(["--check-config", "--config", configuration])
        for call in calls:
            done = root.run([*prefix, inside, *call], capture_output=True, environment={"HOME": "/tmp"})
            if done.returncode != 0:
                found.append(f"{program} {' '.join(call)} ended with {done.returncode}: "
                             + done.stderr.strip())
    return found
