"""Programs for arm64 on this machine, while the virtual Pi's system is made: the kernel hands them to QEMU."""

import contextlib
import pathlib
import subprocess

BINFMT = pathlib.Path("/proc/sys/fs/binfmt_misc")
NAME = "fleet-aarch64"
# The first bytes of a program for 64-bit ARM, and which of their bits count (elf(5)).
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
# argv[0] stays; the interpreter is opened now, so that a chroot need not have it.
FLAGS = "PF"


@contextlib.contextmanager
def arm64_programs(emulator):
    """The kernel knows what to do with them, until the end; to be called where mounts are left behind."""
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", BINFMT], check=True)
    entry = BINFMT / NAME
    if entry.exists():
        entry.write_text("-1")
    (BINFMT / "register").write_text(f":{NAME}:M::{MAGIC}:{MASK}:{emulator}:{FLAGS}")
    try:
        yield
    finally:
        entry.write_text("-1")
