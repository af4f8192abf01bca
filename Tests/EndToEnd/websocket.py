"""A WebSocket client in bytes, for what no well-behaved library sends."""

import base64
import hashlib
import os
import socket

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"
CONNACK = b"\x20\x02\x00\x00"
BINARY, TEXT, CLOSE, PING, PONG = 2, 1, 8, 9, 10


def request(path="/mqtt", **fields):
    """The request that opens a WebSocket; None leaves a field out."""
    known = {
        "Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "mqtt"}
    known.update({name.replace("_", "-"): value for name, value in fields.items()})
    lines = [f"{name}: {value}" for name, value in known.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def frame(opcode, payload, final=True, masked=True):
    head = bytes([opcode | (0x80 if final else 0)])
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65_536:
        head += bytes([bit | 126]) + len(payload).to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + len(payload).to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class RawWebSocket:
    """A connection whose handshake is done, unless told otherwise."""

    def __init__(self, port, opens=True):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(20)
        self.buffer = b""
        if opens:
            self.socket.sendall(request())
            assert self.head().startswith("HTTP/1.1 101 ")

    def send(self, data):
        self.socket.sendall(data)
        return self

    def _more(self):
        chunk = self.socket.recv(65_536)
        self.buffer += chunk
        return chunk

    def head(self):
        """The answer to the request."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                raise EOFError(self.buffer)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head.decode()

    def frame(self):
        """The next frame, (opcode, payload); None at the end of the connection."""
        while True:
            if len(self.buffer) >= 2:
                length, start = self.buffer[1], 2
                if length == 126 and len(self.buffer) >= 4:
                    length, start = int.from_bytes(self.buffer[2:4], "big"), 4
                if length != 126 and len(self.buffer) >= start + length:
                    opcode = self.buffer[0] & 15
                    payload = self.buffer[start:start + length]
                    self.buffer = self.buffer[start + length:]
                    return opcode, payload
            try:
                if not self._more():
                    return None
            except ConnectionResetError:
                return None

    def rest(self):
        """All bytes until the connection ends."""
        try:
            while self._more():
                pass
        except ConnectionResetError:
            pass
        return self.buffer

    def close(self):
        self.socket.close()

    __enter__ = lambda self: self
    __exit__ = lambda self, *_: self.close()


def accept_of(key):
    guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()
