"""A disk that keeps after a power cut what a real one may keep: what was flushed, and of the rest anything.

Run as a program, `disk.py IMAGE SOCKET SEED`, it serves the file IMAGE over NBD, the network block device that
QEMU speaks, on a Unix socket. What the guest writes waits in memory, as in the cache of a card or an SSD,
until the guest flushes it; only then is it in IMAGE. `cut` on its standard input is the power cut. It comes at the
worst moment, in the midst of the next flush: each write that waits is then kept, lost, or torn, sector by
sector, whatever their order; SEED decides. Nothing is answered any more; a line of JSON says what became of
the writes. The end of the input without `cut` is an orderly end: all is kept.

The protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""

import json
import os
import pathlib
import random
import socket
import struct
import sys
import threading

SECTOR = 512
# A cut waits so long for a flush.
PATIENCE = 3

# What the server offers: flags, and flush.
TRANSMISSION_FLAGS = 1 << 0 | 1 << 2
FIXED_NEWSTYLE, NO_ZEROES = 1 << 0, 1 << 1
OPTION_MAGIC, OPTION_REPLY_MAGIC = b"IHAVEOPT", 0x3E889045565A9
EXPORT_NAME, ABORT, GO = 1, 2, 7
ACK, INFO, UNSUPPORTED = 1, 3, 1 << 31 | 1
REQUEST_MAGIC, REPLY_MAGIC = 0x25609513, 0x67446698
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
EINVAL = 22


class VolatileCache:
    """An image, and the writes that are not in it yet."""

    def __init__(self, image, seed):
        self.file = os.open(image, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        # In the order they came, and what the newest of them says of each sector.
        self.waiting = []
        self.newest = {}
        self.chance = random.Random(seed)
        # Told when the power goes.
        self.changed = threading.Condition()
        self.is_doomed = False
        self.cut_writes = None

    def read(self, offset, length):
        data = bytearray(os.pread(self.file, length, offset))
        if self.newest:
            for place in range(0, length, SECTOR):
                if sector := self.newest.get(offset + place):
                    data[place:place + SECTOR] = sector
        return data

    def write(self, offset, data):
        self.waiting.append((offset, data))
        for place in range(0, len(data), SECTOR):
            self.newest[offset + place] = data[place:place + SECTOR]

    def flush(self):
        if self.is_doomed and self.waiting:
            self.cut()
            return
        for offset, data in self.waiting:
            os.pwrite(self.file, data, offset)
        self.waiting.clear()
        self.newest.clear()

    def cut(self):
        """The power goes."""
        self.cut_writes = told = {"kept": 0, "lost": 0, "torn": 0}
        for offset, data in self.waiting:
            what = self.chance.choice(list(told))
            told[what] += 1
            for place in range(0, len(data), SECTOR):
                if what == "kept" or what == "torn" and self.chance.random() < 0.5:
                    os.pwrite(self.file, data[place:place + SECTOR], offset + place)
        self.changed.notify_all()


def receive(connection, length):
    data = bytearray()
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def negotiate(connection, cache):
    """The handshake ("fixed newstyle"); returns whether requests follow."""
    connection.sendall(b"NBDMAGIC" + OPTION_MAGIC + struct.pack(">H", FIXED_NEWSTYLE | NO_ZEROES))
    flags, = struct.unpack(">I", receive(connection, 4))
    while True:
        magic, option, length = struct.unpack(">8sII", receive(connection, 16))
        receive(connection, length)
        if magic != OPTION_MAGIC:
            return False

        def reply(kind, data=b"", option=option):
            connection.sendall(struct.pack(">QIII", OPTION_REPLY_MAGIC, option, kind, len(data)) + data)

        export = struct.pack(">QH", cache.size, TRANSMISSION_FLAGS)
        if option == EXPORT_NAME:
            connection.sendall(export + (b"" if flags & NO_ZEROES else bytes(124)))
            return True
        if option == GO:
            reply(INFO, struct.pack(">H", 0) + export)
            reply(ACK)
            return True
        if option == ABORT:
            reply(ACK)
            return False
        reply(UNSUPPORTED)


def answer(cache, kind, offset, length, data):
    """(error, what was read) for one request."""
    with cache.changed:
        if offset % SECTOR or length % SECTOR or offset + length > cache.size:
            return EINVAL, b""
        if kind == WRITE:
            cache.write(offset, data)
        if kind == FLUSH:
            cache.flush()
        # Whoever waits for an answer of a disk without power waits for ever.
        cache.changed.wait_for(lambda: cache.cut_writes is None)
        if kind == READ:
            return 0, cache.read(offset, length)
        return (0 if kind in (WRITE, FLUSH) else EINVAL), b""


def serve(connection, cache):
    if not negotiate(connection, cache):
        return
    while True:
        magic, _, kind, handle, offset, length = struct.unpack(">IHHQQI", receive(connection, 28))
        if magic != REQUEST_MAGIC or kind == DISCONNECT:
            return
        data = receive(connection, length) if kind == WRITE else b""
        error, read = answer(cache, kind, offset, length, data)
        connection.sendall(struct.pack(">IIQ", REPLY_MAGIC, error, handle) + read)


def accept(listener, cache):
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                serve(connection, cache)
            except (EOFError, ConnectionError):
                pass


def main():
    image, path, seed = sys.argv[1:]
    cache = VolatileCache(image, seed)
    pathlib.Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    threading.Thread(target=accept, args=(listener, cache), daemon=True).start()
    print("serves", flush=True)
    wanted = sys.stdin.readline()
    with cache.changed:
        if wanted != "cut\n":
            cache.flush()
            return
        cache.is_doomed = True
        if not cache.changed.wait_for(lambda: cache.cut_writes, PATIENCE):
            cache.cut()
    print(json.dumps(cache.cut_writes), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
