"""Debian's own packages, for containers that reach no mirror: fetched by a root's apt, kept in the cache.

What lies in the folder is a repository without a signature: `deb [trusted=yes] file:FOLDER ./`.
"""

import subprocess
import time

from . import folders, mirror, repository
from .tell import Unavailable, step

INSIDE = "/debs"
# The root itself, in which containers may be running, is not changed.
DAY_SECONDS = 86_400
OPTIONS = ["-o", f"Dir::State::Lists={INSIDE}/lists", "-o", f"Dir::Cache={INSIDE}/cache",
           "-o", f"Dir::Cache::Archives={INSIDE}", "-o", f"Dir::Etc::SourceList={INSIDE}/sources.list",
           "-o", "Dir::Etc::SourceParts=-", "-o", "APT::Sandbox::User=root"]


def fetch(name, root, suites, *actions):
    """The folder with all that apt would fetch for these `actions` (lists of words) in this root.

    Fetched anew after a day, or when the root is another.
    """
    folder = folders.CACHE / "debs" / name
    index = folder / "Packages"
    if index.exists() and index.stat().st_mtime > max(root.made_at, time.time() - DAY_SECONDS):
        return folder
    for part in ("lists/partial", "cache", "partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text("\n".join(mirror.sources(suites)) + "\n")
    root.bind(folder, INSIDE, writable=True)
    # What a newer Debian calls its keys by.
    root.bind(mirror.KEYRING, mirror.KEYRING)
    with step(f"Debian's packages in {folder}"):
        for words in (["update"], *(["--download-only", *action] for action in actions)):
            done = root.run(["apt-get", "-q", "-y", *OPTIONS, *words], network=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode != 0:
                raise Unavailable(f"apt-get {' '.join(words)}:\n" + "\n".join(done.stdout.splitlines()[-5:]))
        index.write_text("".join(
            repository.stanza_of(folder, package)[1] for package in sorted(folder.glob("*.deb"))))
    return folder
