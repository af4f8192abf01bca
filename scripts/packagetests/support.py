"""What the tests on booted systems share."""

import pathlib
import re
import subprocess
import tempfile
import textwrap
import time

from fleetdeb.folders import TREE, packages_folder

DAEMONS = ["broker", "agent", "bridge"]


def use(container, repo, target):
    """As docs/start/install.md says, with a folder for a web server."""
    container.output(
        f"install -m 644 {repo}/fleet-archive-keyring.gpg /usr/share/keyrings/\n"
        "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*\n"
        "cat > /etc/apt/sources.list.d/fleet.sources <<END\n"
        f"Types: deb\nURIs: file:{repo}\nSuites: {target.codename}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/fleet-archive-keyring.gpg\nEND\n"
        "apt-get -q update")


def blocks(page, language=""):
    """The blocks of a language in a page of the manual, as a reader copies them."""
    text = (TREE / "docs" / page).read_text()
    return [textwrap.dedent(block) for kind, block in
            re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, re.M | re.S) if kind == language]


PYTHON = TREE / ".venv/bin/python"


def has_clients():
    """Whether there is paho-mqtt, which is in no package that containers have."""
    return PYTHON.exists()


def client(script, *arguments):
    """The command of one of scripts/fleetlab's clients; who runs it chooses the network."""
    return [str(PYTHON), str(TREE / "scripts/fleetlab" / script), *map(str, arguments)]


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
        subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", folder, made], check=True,
                       stdout=subprocess.DEVNULL)
    return made
