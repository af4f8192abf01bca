"""A network link on loopback that can be cut silently: no FIN, no RST, bytes go nowhere."""

import selectors
import socket
import threading
import time

CHUNK_BYTES = 65_536
BUFFER_LIMIT_BYTES = 1_048_576


class Link:
    """Forwards TCP from a free loopback port to a target; `cut()` makes it a black hole.

    While it is cut, open connections stay open and nothing is read from them or written to them;
    new connections are accepted by the kernel and never answered. `restore()` lets new connections
    through; those of before the cut are dropped, as a router does that has forgotten them.
    """

    def __init__(self, target_port, target_host="127.0.0.1"):
        self._target = (target_host, target_port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._wake, self._wake_end = socket.socketpair()
        self._is_cut = False
        self._forget = False
        self._closing = False
        self._bytes_per_second = None
        self._pairs = {}
        self._pending = {}
        self.bytes_forwarded = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self):
        with self._lock:
            self._is_cut = True
        self._wake.send(b".")

    def restore(self):
        with self._lock:
            self._is_cut = False
            self._forget = True
        self._wake.send(b".")

    def limit(self, bytes_per_second):
        """Slow the link down (None: as fast as it goes)."""
        with self._lock:
            self._bytes_per_second = bytes_per_second

    def close(self):
        with self._lock:
            self._closing = True
        self._wake.send(b".")
        self._thread.join(5)

    def _run(self):
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_end, selectors.EVENT_READ)
        while True:
            events = self._selector.select()
            with self._lock:
                cut, forget, closing = self._is_cut, self._forget, self._closing
                rate, self._forget = self._bytes_per_second, False
            if forget or closing:
                for end in list(self._pairs):
                    self._drop(end)
            if closing:
                self._listener.close()
                return
            for key, mask in events:
                if key.fileobj is self._wake_end:
                    self._wake_end.recv(64)
                    self._watch_all(not cut)
                elif cut:
                    continue
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._pairs:
                    self._serve(key.fileobj, mask, rate)

    def _watch_all(self, watch):
        for end in [self._listener, *self._pairs]:
            watched = end in self._selector.get_map()
            if watch and not watched:
                self._selector.register(end, self._interest(end))
            elif not watch and watched:
                self._selector.unregister(end)

    def _interest(self, end):
        if end is self._listener:
            return selectors.EVENT_READ
        peer = self._pairs[end]
        interest = 0
        if len(self._pending[peer]) < BUFFER_LIMIT_BYTES:
            interest |= selectors.EVENT_READ
        if self._pending[end]:
            interest |= selectors.EVENT_WRITE
        return interest or selectors.EVENT_WRITE

    def _accept(self):
        try:
            near, _ = self._listener.accept()
        except BlockingIOError:
            return
        try:
            far = socket.create_connection(self._target, timeout=5)
        except OSError:
            near.close()
            return
        for end, peer in ((near, far), (far, near)):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[end] = peer
            self._pending[end] = bytearray()
        for end in (near, far):
            self._selector.register(end, self._interest(end))

    def _serve(self, end, mask, rate):
        peer = self._pairs[end]
        try:
            if mask & selectors.EVENT_WRITE and self._pending[end]:
                sent = end.send(self._pending[end])
                del self._pending[end][:sent]
                self.bytes_forwarded += sent
                if rate:
                    time.sleep(sent / rate)
            if mask & selectors.EVENT_READ:
                data = end.recv(CHUNK_BYTES if not rate else max(1, min(CHUNK_BYTES, rate // 20)))
                if not data:
                    self._flush(peer)
                    return self._drop(end)
                self._pending[peer] += data
        except BlockingIOError:
            pass
        except OSError:
            return self._drop(end)
        for side in (end, peer):
            self._selector.modify(side, self._interest(side))

    def _flush(self, end):
        end.setblocking(True)
        end.settimeout(1)
        try:
            end.sendall(self._pending[end])
        except OSError:
            pass

    def _drop(self, end):
        peer = self._pairs.get(end)
        for side in (end, peer):
            if side is None or side not in self._pairs:
                continue
            if side in self._selector.get_map():
                self._selector.unregister(side)
            del self._pairs[side]
            del self._pending[side]
            side.close()
