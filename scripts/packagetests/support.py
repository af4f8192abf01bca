"""What the tests on booted systems share."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import textwrap
import time

from fleetdeb import packages, repository
from fleetdeb.folders import TREE, packages_folder

OLD = "0.0.9"
DAEMONS = ["broker", "agent", "bridge"]


class Results:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, what, is_right, detail=""):
        print(f"{'ok  ' if is_right else 'FAIL'}  {what}" + (f" ({detail})" if detail else ""), flush=True)
        if is_right:
            self.passed += 1
        else:
            self.failed += 1

    def skip(self, what, reason):
        print(f"SKIP  {what}: {reason}", flush=True)
        self.skipped += 1


def repositories(target, folder):
    """(repository with the version before alone, repository with both)."""
    old = folder / "packages" / target.codename
    if not list(old.glob(f"fleet-broker_{OLD}-*.deb")):
        packages.make(target, "amd64", OLD, old)
    only_old, both = folder / "old", folder / "both"
    for place in (only_old, both):
        shutil.rmtree(place, ignore_errors=True)
    repository.make(only_old, lambda codename: folder / "packages" / codename)
    repository.make(both, lambda codename: folder / "packages" / codename)
    repository.make(both)
    return only_old, both


def use(container, repo, target):
    """As docs/start/install.md says, with a folder for a web server."""
    container.output(
        f"install -m 644 {repo}/fleet-archive-keyring.gpg /usr/share/keyrings/\n"
        "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*\n"
        "cat > /etc/apt/sources.list.d/fleet.sources <<END\n"
        f"Types: deb\nURIs: file:{repo}\nSuites: {target.codename}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/fleet-archive-keyring.gpg\nEND\n"
        "apt-get -q update")


def blocks(page, language):
    """The blocks of a language in a page of the manual, as a reader copies them."""
    text = (TREE / "docs" / page).read_text()
    return [textwrap.dedent(block) for block in
            re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.M | re.S)]


def wait_for(condition, seconds):
    """What `condition` says, once it is true, or at the end of the time."""
    end = time.monotonic() + seconds
    while not (said := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return said


def put(container, path, text):
    container.output(f"cat > {path}", input=text)


def pid(container, daemon):
    return container.output(f"systemctl show --value -p MainPID fleet-{daemon}")


def starts_of(container, daemon):
    """How often systemd has started it."""
    told = container.output(f"journalctl --no-pager -o cat -u fleet-{daemon}")
    return len(re.findall("^Started ", told, re.M))


def newest(target, name):
    """The package of this name that `make deb` has made for amd64."""
    folder = packages_folder(target.codename)
    return next(path for arch in ("amd64", "all") for path in folder.glob(f"{name}_*_{arch}.deb"))


def changed(source, target, version, change):
    """The package `source` with another version, after `change` of the folder with its files."""
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "package"
        subprocess.run(["dpkg-deb", "--raw-extract", source, folder], check=True)
        change(folder)
        control = folder / "DEBIAN/control"
        control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.M))
        (folder / "DEBIAN/md5sums").unlink()
        target.mkdir(parents=True, exist_ok=True)
        made = target / source.name.replace(source.name.split("_")[1], version)
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", folder, made], check=True,
                       stdout=subprocess.DEVNULL)
    return made
