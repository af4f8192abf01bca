"""Listeners and the limits of those who knock: Unix sockets, PROXY protocol, reload, addresses, rates."""

import os
import resource
import signal
import socket
import stat
import struct
import time

import pytest

from fleetlab.brokers import fleet_password_file
from fleetlab.processes import program, run, system_program, wait_until
from support import Client
from websocket import BINARY, CONNACK, CONNECT, frame, request

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def proxy_header(source="192.0.2.7", port=54_321, command=0x21, tail=b""):
    """A header of the PROXY protocol, version 2, for a client at `source`."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    address = socket.inet_pton(family, source)
    body = address + address + struct.pack(">HH", port, 1883) + tail
    return SIGNATURE + bytes([command, 0x11 if len(address) == 4 else 0x21]) \
        + struct.pack(">H", len(body)) + body


def talk(port, data, pieces=None, seconds=20):
    """Sends `data`, and returns what comes until CONNACK or the end."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(seconds)
        for start in range(0, len(data), pieces or len(data)):
            client.sendall(data[start:start + (pieces or len(data))])
            if pieces:
                time.sleep(0.002)
        got = b""
        try:
            while CONNACK not in got and (chunk := client.recv(4096)):
                got += chunk
        except ConnectionResetError:
            pass
        return got


def is_open(connection):
    """Whether the peer has not closed a connection, as far as is known now."""
    connection.settimeout(0.05)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionResetError:
        return False


# --- Unix sockets -------------------------------------------------------------------------------

def test_a_unix_socket_serves_without_a_password_and_names_who_connects(
        fleet_broker, tmp_path, started):
    path = tmp_path / "mqtt.sock"
    users = fleet_password_file(tmp_path / "users", {"alice": "secret"})
    broker = fleet_broker(
        '[[listener]]\naddress = "127.0.0.1:0"\n'
        f'[[listener]]\nname = "local"\naddress = "unix:{path}"\nmode = "0600"\n'
        f'[authentication]\npassword_file = "{users}"\n', listen=None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    client = Client(1883, "inside", transport="unix", host=str(path))
    started.append(client)
    client.connected().subscribe("a", qos=1)
    done = run([system_program("mosquitto_pub"), "--unix", path, "-t", "a", "-m", "b", "-q", "1"])
    assert done.returncode == 0, done.stderr
    assert client.received(1) == [b"b"]
    broker.process.wait_for(
        f'client connected.*client=inside.*address="uid={os.geteuid()} pid={os.getpid()}"')
    # Over TCP the same broker asks for a password.
    Client(broker.port, "outside").refused()
    broker.stop()
    assert not path.exists()


def test_a_unix_socket_of_a_broker_that_was_killed_is_taken_over(fleet_broker, tmp_path):
    path = tmp_path / "mqtt.sock"
    lines = f'[[listener]]\naddress = "127.0.0.1:0"\n[[listener]]\naddress = "unix:{path}"\n'
    fleet_broker(lines, listen=None).kill()
    assert path.exists()
    fleet_broker(lines, listen=None)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(CONNECT)
        assert client.recv(4) == CONNACK


def test_an_address_that_comes_up_later_is_served_then(network_namespace, start, tmp_path):
    inside = network_namespace()
    file = tmp_path / "broker.toml"
    file.write_text("".join(f'[[listener]]\naddress = "{address}:1883"\nallow_anonymous = true\n'
                            for address in ("127.0.0.1", "192.0.2.1")))
    broker = start(inside.command([program("fleet-broker"), "--config", file, "--state-directory",
                                   tmp_path / "state"]))
    broker.wait_for("ready")
    assert "does not have the address" in broker.output

    def publish(host):
        return run(inside.command([program("fleet"), "pub", "--broker", f"mqtt://{host}:1883", "t", "1"]))

    assert publish("127.0.0.1").returncode == 0
    assert publish("192.0.2.1").returncode != 0
    assert run(inside.command(["ip", "address", "add", "192.0.2.1/32", "dev", "lo"])).returncode == 0
    assert publish("192.0.2.1").returncode == 0


def test_a_group_that_is_not_there_is_an_error(tmp_path):
    file = tmp_path / "broker.toml"
    file.write_text(f'[[listener]]\naddress = "unix:{tmp_path}/x"\ngroup = "no-such-group"\n')
    done = run([program("fleet-broker"), "--config", file, "--state-directory", tmp_path / "s"])
    assert done.returncode != 0 and "no-such-group" in done.stderr


# --- PROXY protocol -----------------------------------------------------------------------------

@pytest.fixture
def proxied(fleet_broker):
    def start(lines="", tail=""):
        return fleet_broker(
            '[[listener]]\naddress = "127.0.0.1:0"\nproxy_protocol = true\n'
            f'allow_anonymous = true\n{lines}\n{tail}', listen=None)
    return start


@pytest.mark.parametrize("source,text", [
    ("192.0.2.7", "192.0.2.7:54321"), ("2001:db8::9", r"\[2001:db8::9\]:54321")])
@pytest.mark.parametrize("pieces", [None, 1])
def test_the_clients_address_is_the_one_that_the_proxy_says(proxied, source, text, pieces):
    broker = proxied()
    data = proxy_header(source, tail=b"\x04\x00\x03abc") + CONNECT
    assert talk(broker.port, data, pieces) == CONNACK
    broker.process.wait_for(f'client connected.*address="?{text}')


def test_a_proxy_that_connects_for_itself_keeps_its_address(proxied):
    broker = proxied()
    assert talk(broker.port, proxy_header(command=0x20) + CONNECT) == CONNACK
    broker.process.wait_for('client connected.*address="?127.0.0.1:')


BAD_HEADERS = {
    "no header": (CONNECT, "does not begin with a header"),
    "version 1": (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n" + CONNECT, "version 1"),
    "a datagram": (proxy_header().replace(b"\x21\x11", b"\x21\x12"), "datagram"),
    "too short": (SIGNATURE + b"\x21\x11\x00\x01a", "too short"),
    "too long": (SIGNATURE + b"\x21\x11\xff\xff", "above 4096"),
    "an unknown command": (SIGNATURE + b"\x25\x11\x00\x00", "command"),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_a_malformed_header_ends_the_connection_with_a_reason(proxied, name):
    broker = proxied()
    data, words = BAD_HEADERS[name]
    assert talk(broker.port, data) == b""
    broker.process.wait_for(f"connection refused.*{words}")
    assert talk(broker.port, proxy_header() + CONNECT) == CONNACK


def test_a_header_is_taken_from_trusted_proxies_only(proxied):
    broker = proxied('proxy_from = ["192.0.2.0/24", "127.0.0.2"]')
    assert talk(broker.port, proxy_header() + CONNECT) == b""
    broker.process.wait_for("connection refused: listener.proxy_from")
    with socket.socket() as trusted:
        trusted.bind(("127.0.0.2", 0))
        trusted.connect(("127.0.0.1", broker.port))
        trusted.sendall(proxy_header() + CONNECT)
        assert trusted.recv(4) == CONNACK


def test_a_header_that_does_not_come_is_waited_for_as_long_as_a_connect(proxied):
    broker = proxied(tail='[limits]\ntime_to_connect = "1s"\n')
    assert talk(broker.port, proxy_header()[:15]) == b""
    broker.process.wait_for("connection refused.*no CONNECT in time")


def test_a_loopback_listener_behind_a_proxy_needs_a_word_on_who_may_enter(tmp_path):
    file = tmp_path / "broker.toml"
    file.write_text('[[listener]]\naddress = "127.0.0.1:0"\nproxy_protocol = true\n')
    done = run([program("fleet-broker"), "--config", file, "--check-config"])
    assert done.returncode != 0 and "nobody could log in" in done.stderr


def test_tls_and_websocket_behind_a_proxy(fleet_broker, server_keys, authority):
    import ssl
    certificate, key = server_keys
    tls = f'tls = {{ certificate = "{certificate}", key = "{key}" }}\n'
    common = '[[listener]]\naddress = "127.0.0.1:0"\nproxy_protocol = true\nallow_anonymous = true\n'
    broker = fleet_broker(
        f'{common}{tls}{common}protocol = "websocket"\n{common}protocol = "websocket"\n{tls}',
        listen=None)
    context = ssl.create_default_context(cafile=str(authority.certificate))
    for index in range(3):
        client = socket.create_connection(("127.0.0.1", broker.port_of(index)))
        client.sendall(proxy_header("192.0.2.9"))
        if index != 1:
            client = context.wrap_socket(client, server_hostname="localhost")
        client.settimeout(20)
        if index == 0:
            client.sendall(CONNECT)
        else:
            client.sendall(request() + frame(BINARY, CONNECT))
        got = b""
        while CONNACK not in got:
            got += client.recv(4096)
        client.close()
    wait_until(lambda: broker.process.output.count("address=192.0.2.9") >= 3, "three addresses")


# --- listeners ----------------------------------------------------------------------------------

def test_a_reload_opens_and_closes_listeners_and_keeps_connections(fleet_broker, tmp_path, started):
    old, new = tmp_path / "old.sock", tmp_path / "new.sock"
    tcp = '[[listener]]\naddress = "127.0.0.1:0"\n'
    broker = fleet_broker(f'{tcp}[[listener]]\naddress = "unix:{old}"\n', listen=None)
    kept = Client(broker.port, "kept")
    inside = Client(1883, "inside", transport="unix", host=str(old))
    started += [kept, inside]
    kept.connected()
    inside.connected().subscribe("a", qos=1)

    broker.file.write_text(f'{tcp}[[listener]]\naddress = "unix:{new}"\nbad = 1\n')
    broker.process.child.send_signal(signal.SIGHUP)
    broker.process.wait_for("unknown key")
    assert old.exists() and not new.exists()

    broker.file.write_text(f'{tcp}[[listener]]\naddress = "unix:{new}"\n')
    broker.process.child.send_signal(signal.SIGHUP)
    broker.process.wait_for("listener closed")
    wait_until(new.exists, "the new socket")
    wait_until(lambda: not old.exists(), "the old socket to go")
    # Who came by the old listener is still there, and so is the port.
    kept.publish("a", b"still", 1)
    assert inside.received(1) == [b"still"]
    Client(broker.port, "again").connected().stop()
    Client(1883, "fresh", transport="unix", host=str(new)).connected().stop()


def test_a_listener_has_its_own_limit_of_connections(fleet_broker):
    broker = fleet_broker(
        '[[listener]]\naddress = "127.0.0.1:0"\nconnections = 2\n'
        '[[listener]]\naddress = "127.0.0.1:0"\n', listen=None)
    first, second, third, other = [
        socket.create_connection(("127.0.0.1", broker.port_of(index))) for index in (0, 0, 0, 1)]
    broker.process.wait_for("connection refused: listener.connections")
    assert not is_open(third) and is_open(first) and is_open(second) and is_open(other)
    first.close()
    # The place of who has gone is free again.
    wait_until(lambda: talk(broker.port_of(0), CONNECT) == CONNACK, "a free place")


def test_a_listener_has_its_own_packet_size(fleet_broker):
    broker = fleet_broker(
        '[[listener]]\naddress = "127.0.0.1:0"\npacket_size = "1KiB"\n'
        '[[listener]]\naddress = "127.0.0.1:0"\n', listen=None)
    small, large = [Client(broker.port_of(index), f"c{index}", version="5").connected()
                    for index in (0, 1)]
    assert small.connection[2].MaximumPacketSize == 1024
    assert large.connection[2].MaximumPacketSize == 1 << 20
    small.subscribe("t")
    large.publish("t", b"x" * 10_000, qos=1)
    assert small.received(1) == [b"x" * 10_000]  # what it is sent is its own to limit
    small.client.publish("t", b"x" * 2_000)
    assert small.disconnected()
    broker.process.wait_for("client disconnected.*client=c0.*code=0x95")


# --- limits of addresses ------------------------------------------------------------------------

def test_one_address_has_so_many_connections(fleet_broker):
    broker = fleet_broker("[limits]\nconnections_per_address = 3\n")
    crowd = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(4)]
    broker.process.wait_for("connection refused: limits.connections_per_address")
    assert [is_open(c) for c in crowd] == [True, True, True, False]
    with socket.socket() as other:
        other.bind(("127.0.0.9", 0))
        other.connect(("127.0.0.1", broker.port))
        other.sendall(CONNECT)
        assert other.recv(4) == CONNACK
    crowd[0].close()
    wait_until(lambda: talk(broker.port, CONNECT) == CONNACK, "a free place")


def test_connections_of_this_machine_itself_are_not_counted_unless_told_so(fleet_broker):
    broker = fleet_broker("[limits]\nconnections = 2000\n")
    crowd = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(1_200)]
    assert talk(broker.port, CONNECT) == CONNACK
    assert "connection refused" not in broker.process.output
    for connection in crowd:
        connection.close()


def test_ipv6_is_counted_by_its_network_and_behind_a_proxy_by_its_client(proxied):
    broker = proxied(tail="[limits]\nconnections_per_address = 2\n")

    def enter(source):
        client = socket.create_connection(("127.0.0.1", broker.port))
        client.settimeout(20)
        client_id = source[-1].encode()
        client.sendall(proxy_header(source) + CONNECT.replace(b"\x01x", b"\x01" + client_id))
        try:
            return client, client.recv(4) == CONNACK
        except ConnectionResetError:
            return client, False

    inside = [enter("2001:db8::1"), enter("2001:db8::2:2")]
    assert all(ok for _, ok in inside)
    assert not enter("2001:db8::3")[1]
    assert enter("2001:db8:0:1::3")[1]
    broker.process.wait_for("connections_per_address.*2001:db8::3")


def test_a_connect_flood_of_one_address_is_slowed_down_and_others_get_in(fleet_broker):
    broker = fleet_broker("[limits]\nconnect_rate = 2\n")
    served = [talk(broker.port, CONNECT) == CONNACK for _ in range(40)]
    # A burst of ten seconds' worth, and what came meanwhile.
    assert 20 <= sum(served) < 40
    broker.process.wait_for("connection refused: limits.connect_rate")
    with socket.socket() as other:
        other.bind(("127.0.0.9", 0))
        other.connect(("127.0.0.1", broker.port))
        other.sendall(CONNECT)
        assert other.recv(4) == CONNACK
    wait_until(lambda: talk(broker.port, CONNECT) == CONNACK, "the rate to allow one more")


# --- descriptors --------------------------------------------------------------------------------

def test_at_the_last_descriptor_strangers_are_refused_and_all_else_goes_on(
        fleet_broker, tmp_path, started):
    users = fleet_password_file(tmp_path / "users", {"alice": "secret"})
    broker = fleet_broker(
        f'[authentication]\npassword_file = "{users}"\nallow_anonymous = true\n',
        prefix=[system_program("prlimit"), "--nofile=100:100"])
    broker.process.wait_for("fewer descriptors")
    # A session that outlives its connection: what is acknowledged to its publisher is in the store.
    guest = Client(broker.port, "guest", clean=False)
    started.append(guest)
    guest.connected().subscribe("a", qos=1)
    crowd = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(150)]
    broker.process.wait_for("connection refused: limits.connections")
    # A reload opens the users' file, and who is inside is served.
    fleet_password_file(users, {"bob": "other"})
    broker.process.child.send_signal(signal.SIGHUP)
    broker.process.wait_for("configuration reloaded")
    for number in range(50):
        assert not guest.publish("a", b"%d" % number, 1).is_failure
    assert guest.received(50) == [b"%d" % number for number in range(50)]
    for connection in crowd:
        connection.close()
    wait_until(lambda: talk(broker.port, CONNECT) == CONNACK, "room again")


# --- rates of who is inside ---------------------------------------------------------------------

@pytest.mark.parametrize("limit", ["publish_rate = 100", 'publish_bandwidth = "1200B"'])
def test_who_publishes_too_fast_is_slowed_down_and_loses_nothing(fleet_broker, started, limit):
    broker = fleet_broker(f"[limits]\n{limit}\n")
    reader, hasty, calm = [Client(broker.port, name) for name in ("reader", "hasty", "calm")]
    started += [reader, hasty, calm]
    for client in (reader, hasty, calm):
        client.connected()
    reader.subscribe("t", qos=0)
    begin = time.monotonic()
    for number in range(300):  # of 12 bytes each
        hasty.client.publish("t", b"%07d" % number, 0)
    broker.process.wait_for("publishes too fast.*client=hasty")
    calm.publish("other", b"", 1)
    assert time.monotonic() - begin < 1.5, "another client waited too"
    assert reader.received(300) == [b"%07d" % number for number in range(300)]
    assert 1.8 < time.monotonic() - begin < 10


# --- TLS ----------------------------------------------------------------------------------------

@pytest.fixture
def secured(fleet_broker, server_keys):
    certificate, key = server_keys
    return fleet_broker(
        '[[listener]]\naddress = "127.0.0.1:0"\n'
        f'tls = {{ certificate = "{certificate}", key = "{key}" }}\n', listen=None)


@pytest.mark.parametrize("data", [CONNECT, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_the_log_says_that_a_plain_client_came_to_a_tls_port(secured, data):
    assert CONNACK not in talk(secured.port, data)
    secured.process.wait_for("connection refused.*plain MQTT or HTTP to a TLS port")


def test_a_flood_of_handshakes_slows_down_nobody_else_much(secured, authority, started):
    import ssl
    import threading
    inside = Client(secured.port, "inside", host="localhost", ca_file=authority.certificate)
    started.append(inside)
    inside.connected().subscribe("a", qos=1)
    context = ssl.create_default_context(cafile=str(authority.certificate))
    done = []

    def shake():
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", secured.port)) as plain:
                with context.wrap_socket(plain, server_hostname="localhost") as client:
                    client.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
                    done.append(client.recv(4))

    # Beside them handshakes that go no further than a first half.
    stalled = [socket.create_connection(("127.0.0.1", secured.port)) for _ in range(300)]
    for connection in stalled:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    threads = [threading.Thread(target=shake) for _ in range(10)]
    for thread in threads:
        thread.start()
    for number in range(20):
        inside.publish("a", b"%d" % number, 1)
    for thread in threads:
        thread.join()
    assert done == [CONNACK] * 200
    assert len(inside.received(20)) == 20
    for connection in stalled:
        connection.close()
