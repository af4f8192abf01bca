"""A disk, a clock and a power switch in a test's hand: what faults/faults.c does inside a program."""

import errno
import mmap
import pathlib
import struct

from fleetlab.processes import run, system_program

SOURCE = pathlib.Path(__file__).parent / "faults" / "faults.c"
WORDS = ("kill_at", "events", "kinds", "moment", "power", "seed", "sync_fails", "sync_error",
         "write_fails", "write_error", "clock_offset", "syncs", "writes", "bytes")
WRITE, SYNC, SEND, RECEIVE = 1, 2, 4, 8
BEFORE, AFTER, TORN = range(3)


def build(folder):
    """Compile the library once; returns its path."""
    library = pathlib.Path(folder) / "faults.so"
    if not library.exists():
        done = run([system_program("cc"), "-shared", "-fPIC", "-O1", "-pthread", "-Wall", "-Werror",
                    "-o", library, SOURCE])
        assert done.returncode == 0, done.stderr
    return library


class Faults:
    """The words that a program's faults are read from; `environment` starts the program with them."""

    def __init__(self, library, folder):
        file = pathlib.Path(folder) / "faults.words"
        file.write_bytes(bytes(4 * len(WORDS)))
        with open(file, "r+b") as words:
            self._memory = mmap.mmap(words.fileno(), 0)
        self.environment = {"LD_PRELOAD": str(library), "FLEET_TEST_FAULTS": str(file)}

    def __getitem__(self, name):
        return struct.unpack_from("i", self._memory, 4 * WORDS.index(name))[0]

    def __setitem__(self, name, value):
        struct.pack_into("i", self._memory, 4 * WORDS.index(name), value)

    def kill_at(self, event, kinds, moment=BEFORE, power=False, seed=0):
        """Die at the event with this number, counted from now on."""
        self["kill_at"], self["events"] = 0, 0
        self["moment"], self["power"], self["seed"] = moment, int(power), seed
        self["kinds"], self["kill_at"] = kinds, event

    def calm(self):
        for name in WORDS[:11]:
            self[name] = 0

    def fail_syncs(self, count, error=errno.EIO):
        self["sync_error"], self["sync_fails"] = error, count

    def fail_writes(self, count, error=errno.EIO):
        self["write_error"], self["write_fails"] = error, count
