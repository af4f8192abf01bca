"""Another key for the repository."""

import pathlib
import shutil
import tempfile

from fleetdeb import containers, keyring, repository

from .support import changed, newest, use

KEYRING = "usr/share/keyrings/fleet-archive-keyring.gpg"


def test_keys(results, tree, folder, target):
    """Old key, then both, then the new one alone, by nothing but `apt upgrade`."""
    built = newest(target, "fleet-archive-keyring")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    repo = folder / "repository"
    # A short path, for the socket of gpg's agent.
    with tempfile.TemporaryDirectory() as home, keyring.kept_in(pathlib.Path(home)):
        old = keyring.make()
        only_old = keyring.public()
        new = keyring.make()
        both = keyring.public()

        def publish(version, keys, key):
            with keyring.signed_by(key):
                changed(built, folder / "packages", version,
                        lambda package: (package / KEYRING).write_bytes(keys))
                repository.make(repo, lambda codename: folder / "packages" if
                                codename == target.codename else folder / "none")

        publish("1", only_old, old)
        (repo / "fleet-archive-keyring.gpg").write_bytes(only_old)
        with containers.Container("keys", tree, folder / "container", [(repo, "/repository")]) as container:
            use(container, "/repository", target)
            container.output("apt-get install -q -y fleet-archive-keyring")
            publish("2", both, old)
            container.output("apt-get -q update && apt-get -q -y upgrade")
            publish("3", both, new)
            done = container.run("apt-get -q -o APT::Update::Error-Mode=any update && apt-get -q -y upgrade")
            version = container.run("dpkg-query -W -f '${Version}' fleet-archive-keyring").stdout
            results.check("a new key comes by apt upgrade before it signs", done.returncode == 0
                          and version == "3", failure=done.stdout[-800:])
            container.output(
                "rm -f /usr/share/keyrings/fleet-archive-keyring.gpg; "
                "cp /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/fleet-archive-keyring.gpg")
            done = container.run("apt-get -q -o APT::Update::Error-Mode=any update")
            results.check("without the key apt refuses the repository", done.returncode != 0)
