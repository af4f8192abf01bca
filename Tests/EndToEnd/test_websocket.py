"""MQTT over WebSocket (clause 6 of the standards): paho-mqtt, and bytes that no library sends."""

import time

import pytest

from support import VERSIONS, Client
from websocket import BINARY, CLOSE, CONNACK, CONNECT, PING, PONG, TEXT, RawWebSocket, accept_of, \
    frame, request

versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def listening(fleet_broker):
    """listening(lines="", tail="") -> a broker with a WebSocket listener on a free port."""
    def start(lines="", tail=""):
        return fleet_broker(
            f'[[listener]]\naddress = "127.0.0.1:0"\nprotocol = "websocket"\n{lines}\n{tail}',
            listen=None)
    return start


@pytest.fixture
def connect(started):
    def connect_client(*arguments, **options):
        client = Client(*arguments, transport="websockets", **options)
        started.append(client)
        return client.connected()
    return connect_client


def exchange(connect, port, version, **options):
    subscriber = connect(port, "subscriber", version=version, **options)
    subscriber.subscribe("a/#", qos=2)
    publisher = connect(port, "publisher", version=version, **options)
    payloads = [bytes([size % 251]) * size for size in (0, 1, 120, 200, 70_000, 300_000)]
    for number, payload in enumerate(payloads):
        publisher.publish(f"a/{number}", payload, number % 3)
    assert sorted(subscriber.received(len(payloads)), key=len) == payloads


@versions
def test_paho_clients_exchange_messages_over_ws(listening, connect, version):
    exchange(connect, listening().port, version)


@versions
def test_paho_clients_exchange_messages_over_wss(
        listening, connect, version, server_keys, authority):
    certificate, key = server_keys
    broker = listening(f'tls = {{ certificate = "{certificate}", key = "{key}" }}')
    exchange(connect, broker.port, version, host="localhost", ca_file=authority.certificate)


def test_a_ws_and_a_plain_client_share_topics(fleet_broker, connect, started):
    broker = fleet_broker(
        '[[listener]]\naddress = "127.0.0.1:0"\n'
        '[[listener]]\naddress = "127.0.0.1:0"\nprotocol = "websocket"\npath = "/mqtt"\n',
        listen=None)
    plain = Client(broker.port_of(0), "plain")
    started.append(plain)
    plain.connected().subscribe("t", qos=1)
    connect(broker.port_of(1), "ws").publish("t", b"over", 1)
    assert plain.received(1) == [b"over"]


def test_the_handshake_answers_with_the_sub_protocol(listening):
    with RawWebSocket(listening().port, opens=False) as client:
        head = client.send(request()).head()
    assert "Sec-WebSocket-Protocol: mqtt" in head.split("\r\n")
    assert f"Sec-WebSocket-Accept: {accept_of('dGhlIHNhbXBsZSBub25jZQ==')}" in head


REFUSED = {
    "404": request("/other"), "403": request(Origin="https://evil.example"),
    "426": b"GET /mqtt HTTP/1.1\r\nHost: a\r\nUser-Agent: browser\r\n\r\n",
    "400": request(Sec_WebSocket_Protocol="chat"), "405": request().replace(b"GET", b"PUT"),
    "431": request(Cookie="a" * 9_000), "413": request(Content_Length="9")}


@pytest.mark.parametrize("status", REFUSED)
def test_what_is_no_opening_of_ours_is_answered_and_closed(listening, status):
    broker = listening('path = "/mqtt"\norigins = ["https://panel.example"]')
    with RawWebSocket(broker.port, opens=False) as client:
        answer = client.send(REFUSED[status]).rest()
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    broker.process.wait_for(f"connection refused.*WebSocket: .*HTTP {status}")


def test_an_http_request_that_never_ends(listening):
    broker = listening(tail='[limits]\ntime_to_connect = "1s"\n')
    begin = time.monotonic()
    with RawWebSocket(broker.port, opens=False) as client:
        client.send(b"GET /mqtt HTTP/1.1\r\nHost: a\r\n")
        assert client.rest().startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begin < 10
    broker.process.wait_for("connection refused.*no CONNECT in time")


def test_a_handshake_without_connect_is_ended_too(listening):
    broker = listening(tail='[limits]\ntime_to_connect = "1s"\n')
    with RawWebSocket(broker.port) as client:
        assert client.frame() == (CLOSE, (1000).to_bytes(2, "big"))
        assert client.frame() is None


def test_packets_need_not_align_with_frames(listening):
    """[MQTT-6.0.0-2]: CONNECT byte by byte in frames; then many packets in one; then in fragments."""
    with RawWebSocket(listening().port) as client:
        for byte in CONNECT:
            client.send(frame(BINARY, bytes([byte])))
        assert client.frame() == (BINARY, CONNACK)
        client.send(frame(BINARY, b"\xc0\x00" * 3))
        got = b""
        while len(got) < 6:
            got += client.frame()[1]
        assert got == b"\xd0\x00" * 3
        client.send(frame(BINARY, b"\xc0", final=False))
        client.send(frame(PING, b"in between"))
        assert client.frame() == (PONG, b"in between")
        client.send(frame(0, b"\x00"))
        assert client.frame() == (BINARY, b"\xd0\x00")


FAULTS = {
    "a text frame": (frame(TEXT, b"a"), 1003), "unmasked": (frame(BINARY, b"a", masked=False), 1002),
    "a fragment of a control frame": (frame(PING, b"", final=False), 1002),
    "a reserved opcode": (frame(5, b""), 1002), "a reserved bit": (frame(0x40 | 2, b""), 1002),
    "a length that disagrees": (b"\x82\xfe\x00\x01" + b"\0" * 5, 1002),
    "an endless frame": (b"\x82\xff\x7f" + b"\xff" * 7, 1009)}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("after", ["handshake", "CONNECT"])
def test_a_fault_is_said_and_ends_the_connection(listening, name, after):
    """[MQTT-6.0.0-1] and RFC 6455; the will of a client that does so is published."""
    broker = listening()
    data, code = FAULTS[name]
    with RawWebSocket(broker.port) as client:
        if after == "CONNECT":
            client.send(frame(BINARY, CONNECT))
            assert client.frame() == (BINARY, CONNACK)
        client.send(data)
        opcode, payload = client.frame()
        assert opcode == CLOSE and int.from_bytes(payload[:2], "big") == code
        assert client.frame() is None
    broker.process.wait_for("(refused|disconnected).*WebSocket: ")


def test_a_closing_frame_is_answered(listening):
    broker = listening()
    with RawWebSocket(broker.port) as client:
        client.send(frame(BINARY, CONNECT))
        assert client.frame() == (BINARY, CONNACK)
        client.send(frame(CLOSE, b"\x03\xe9"))
        assert client.frame() == (CLOSE, b"\x03\xe9")
        assert client.frame() is None
    broker.process.wait_for("client disconnected .*without DISCONNECT")


def test_disconnect_is_answered_by_a_closing_frame(listening):
    broker = listening()
    with RawWebSocket(broker.port) as client:
        client.send(frame(BINARY, CONNECT) + frame(BINARY, b"\xe0\x00"))
        assert client.frame() == (BINARY, CONNACK)
        assert client.frame() == (CLOSE, (1000).to_bytes(2, "big"))
    broker.process.wait_for("client disconnected .*by the client")


def test_the_end_of_the_broker_is_told(listening):
    broker = listening()
    with RawWebSocket(broker.port) as client:
        client.send(frame(BINARY, CONNECT))
        assert client.frame() == (BINARY, CONNACK)
        broker.process.child.terminate()
        assert client.frame() == (CLOSE, (1001).to_bytes(2, "big"))


def test_a_slow_reader_over_ws_costs_its_own_queue_only(listening, connect):
    broker = listening()
    with RawWebSocket(broker.port) as reader:
        reader.send(frame(BINARY, CONNECT + b"\x82\x06\x00\x02\x00\x01a\x00"))
        assert reader.frame()[0] == BINARY
        publisher = connect(broker.port, "publisher")
        for _ in range(300):
            publisher.client.publish("a", b"x" * 65_536, 0)
        publisher.publish("b", b"", 1)
        broker.process.wait_for("slow reader")
        resident = int(next(line.split()[1] for line in open(
            f"/proc/{broker.process.child.pid}/status") if line.startswith("VmRSS")))
        assert resident < 96 * 1024, f"{resident} kB resident"


def test_a_flood_of_pings_from_a_client_that_does_not_read(listening, connect):
    broker = listening()
    with RawWebSocket(broker.port) as flooder:
        flooder.send(frame(BINARY, CONNECT))
        flooder.socket.settimeout(3)
        pings = b"".join(frame(PING, b"x" * 125) for _ in range(500))
        sent = 0
        try:
            while sent < 64 * 1024 * 1024:
                flooder.send(pings)
                sent += len(pings)
        except TimeoutError:
            pass
        assert sent < 64 * 1024 * 1024, "it was listened to without end"
        connect(broker.port, "other").publish("a", b"", 1)
