"""The folder that packages are built in: a copy of this tree with its `debian/` in place.

`debian/` is Packaging/debian, and for each package the files of Packaging/PACKAGE by the names that
debhelper expects (`service` becomes `debian/fleet-broker.service`). What the daemons share stands once
in Packaging/daemon: scripts as they are, and the end of each unit.
"""

import hashlib
import os
import re
import shutil
import subprocess
import textwrap
import time

from . import folders

DAEMONS = ["broker", "agent", "bridge"]
PACKAGES = ["fleet-common", *(f"fleet-{name}" for name in DAEMONS), "fleet-cli", "fleet-edge",
            "fleet-archive-keyring"]

# Names of debhelper's files; what else a folder of Packaging holds is installed as it is.
PARTS = ["bash-completion", "dirs", "docs", "examples", "install", "links", "lintian-overrides", "manpages",
         "NEWS", "postinst", "postrm", "preinst", "prerm", "service", "sysusers", "tmpfiles", "triggers",
         "udev"]

MAINTAINER = "Fleet developers <packages@fleet.example>"


def version():
    """From the one place that has it."""
    text = (folders.TREE / "Sources/FleetModel/Version.swift").read_text()
    return re.search(r'current = "([^"]+)"', text).group(1)


def epoch():
    """When the sources were last changed, for all times in the packages."""
    if os.environ.get("SOURCE_DATE_EPOCH"):
        return int(os.environ["SOURCE_DATE_EPOCH"])
    done = subprocess.run(["git", "-C", folders.TREE, "log", "-1", "--format=%ct"],
                          capture_output=True, text=True)
    return int(done.stdout) if done.returncode == 0 else int(
        (folders.TREE / "CHANGELOG.md").stat().st_mtime)


def files():
    """Paths, relative to the tree, of what the packages are made of."""
    done = subprocess.run(
        ["git", "-C", folders.TREE, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True)
    if done.returncode == 0:
        names = done.stdout.split("\0")
    else:
        # An unpacked archive: all but what was built there.
        names = [str(path.relative_to(folders.TREE)) for path in folders.TREE.rglob("*")
                 if not path.relative_to(folders.TREE).parts[0].startswith((".build", ".venv"))]
    return sorted(name for name in names if name and (folders.TREE / name).is_file())


def digest():
    """Of what packages are made of: the same for the same files."""
    whole = hashlib.sha256()
    for name in files():
        if name.startswith(("Sources/", "Packaging/", "docs/", "Package.swift", "CHANGELOG.md")):
            whole.update(f"{name}\0".encode() + hashlib.sha256((folders.TREE / name).read_bytes()).digest())
    return whole.hexdigest()


def copy_tree(target):
    """Brings `target` up to date; what did not change keeps its time, for the compiler's sake."""
    wanted = set(files())
    for path in sorted(target.rglob("*"), reverse=True):
        name = str(path.relative_to(target))
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif name not in wanted:
            path.unlink()
    for name in wanted:
        source, copy = folders.TREE / name, target / name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        # Whatever umask the tree was checked out with.
        copy.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def assemble(target, release, package_version, formats):
    """Makes `target`/debian. `formats`: of the store that each daemon reads, where it has one."""
    debian = target / "debian"
    shutil.copytree(target / "Packaging/debian", debian)
    for package in PACKAGES:
        for part in PARTS:
            text = part_of(target / "Packaging", package, part, release, formats)
            if text is not None:
                file = debian / f"{package}.{part}"
                file.write_text(text)
    changes = (target / "CHANGELOG.md").read_text()
    (debian / "changelog").write_text(changelog(changes, release, package_version))
    for name in DAEMONS:
        (debian / f"fleet-{name}.NEWS").write_text(changelog(changes, release, package_version, UPGRADING))


def part_of(packaging, package, part, release, formats):
    """The text of one of debhelper's files; `None` where the package has no such file."""
    own = packaging / package / part
    short = package.removeprefix("fleet-")
    shared = packaging / "daemon" / part if short in DAEMONS else None
    texts = [path.read_text() for path in (own, shared) if path and path.exists()]
    if not texts:
        return None
    text = for_systemd("\n".join(texts), release.systemd) if part == "service" else "".join(texts)
    if "@FORMAT@" in text:
        if short not in formats:
            return None
        text = text.replace("@FORMAT@", str(formats[short]))
    return text.replace("@DAEMON@", short)


CONDITION = re.compile(r"^@systemd (<|>=) (\d+)@ (.*)\n", re.M)


def for_systemd(text, number):
    """Keeps the lines that are for this release's systemd; an older one warns of keys it does not know."""
    return CONDITION.sub(
        lambda found: found[3] + "\n" if (number < int(found[2])) == (found[1] == "<") else "", text)


SECTION = re.compile(r"^## (\S+) - (\S+)\n(.*?)(?=^## |\Z)", re.M | re.S)
ENTRY = re.compile(r"^- (.*?)(?=^- |^#|^$|\Z)", re.M | re.S)
# What apt-listchanges(1) shows before an upgrade.
UPGRADING = re.compile(r"^### Upgrading\n(.*?)(?=^### |\Z)", re.M | re.S)


def changelog(text, release, package_version, part=None):
    """CHANGELOG.md as debian/changelog; its newest section is this package's. Or one part of the sections."""
    sections = []
    for index, (number, date, body) in enumerate(SECTION.findall(text)):
        if part:
            body = "".join(part.findall(body))
            if not body:
                continue
        when = epoch() if date == "unreleased" else int(
            time.mktime(time.strptime(f"{date} UTC", "%Y-%m-%d %Z")))
        name = package_version if index == 0 else number
        entries = [textwrap.fill(" ".join(entry.replace("`", "").split()), 76,
                                 initial_indent="  * ", subsequent_indent="    ",
                                 break_on_hyphens=False)
                   for entry in ENTRY.findall(body)]
        sections.append(
            f"fleet ({name}-1{release.suffix}) {release.codename}; urgency=medium\n\n"
            + "\n".join(entries) + f"\n\n -- {MAINTAINER}  "
            + time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(when)) + "\n")
    return "\n".join(sections)
