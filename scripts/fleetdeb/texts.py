"""What the programs themselves tell the packaging: pages of the manual, completions, the store's format."""

import re
import shutil

from .tell import Failure

PACKAGE = {"fleet": "fleet-cli"}
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/{}",
    "zsh": "usr/share/zsh/vendor-completions/_{}",
    "fish": "usr/share/fish/vendor_completions.d/{}.fish",
}
EMULATOR = "/usr/bin/qemu-aarch64-static"


def runner(root, arch):
    """The words that run a program of `arch` in `root`."""
    if arch == "amd64":
        return []
    emulator = shutil.which("qemu-aarch64-static")
    if not emulator:
        raise Failure("there is no qemu-aarch64-static; `scripts/deps deb` installs what packages need")
    root.bind(emulator, EMULATOR)
    return [EMULATOR]


def write(root, arch, programs, inside, folder):
    """Fills `folder`, one folder a package, with what the programs at `inside` print."""
    prefix = runner(root, arch)
    shutil.rmtree(folder, ignore_errors=True)
    for program in programs:
        place = folder / PACKAGE.get(program, program)

        def text(*flags, program=program):
            return root.output([*prefix, f"{inside}/{program}", *flags]) + "\n"

        page = text("--man")
        title = re.search(r'^\.TH "?[\w\\-]+"? "?(\d)', page, re.M)
        if not title:
            raise Failure(f"{program} --man prints no page of a manual")
        put(place / f"usr/share/man/man{title[1]}/{program}.{title[1]}", page)
        for shell, path in COMPLETIONS.items():
            script = text("--generate-completion-script", shell)
            # A shell reads it; nobody runs it.
            put(place / path.format(program), re.sub(r"\A#!.*\n", "", script))


def store_formats(root, arch, daemons, inside):
    """{daemon: the newest format of a store that it reads}; an agent has no store."""
    prefix = runner(root, arch)
    found = {}
    for daemon in daemons:
        done = root.run([*prefix, f"{inside}/fleet-{daemon}", "store", "format", "--state-directory",
                         "/nonexistent"], capture_output=True)
        if told := re.search(r"^program_format=(\d+)$", done.stdout, re.M):
            found[daemon] = int(told[1])
    return found


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
