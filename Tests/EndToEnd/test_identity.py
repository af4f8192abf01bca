"""Users from client certificates, revocation lists, and keys that both sides know (PSK)."""

import re
import signal
import subprocess

import pytest

from fleetlab.certificates import CertificateAuthority
from fleetlab.processes import Process, run, system_program
from support import Client, properties

RULES = '[role.own]\neverybody = true\npublish = ["own/%u"]\nsubscribe = ["own/%u"]\n'


class Revoking(CertificateAuthority):
    """An authority that can also take certificates back, and issue some that have expired."""

    def __init__(self, folder):
        super().__init__(folder)
        (self.folder / "index").write_text("")
        (self.folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ndefault_md=sha256\ndefault_crl_days=2\n"
            "new_certs_dir=.\nrand_serial=yes\npolicy=p\n[p]\ncommonName=supplied\n")

    def ca(self, *arguments):
        done = subprocess.run(
            [system_program("openssl"), "ca", "-batch", "-config", "ca.cnf", "-cert", "ca.crt",
             "-keyfile", "ca.key", *map(str, arguments)], cwd=self.folder, capture_output=True,
            text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    def expired(self, name):
        certificate, key = self.issue(name)
        self.ca("-in", f"{name}.csr", "-startdate", "20200101000000Z", "-enddate",
                "20200102000000Z", "-notext", "-out", certificate)
        return certificate, key

    def revoke(self, *certificates):
        for certificate in certificates:
            self.ca("-revoke", certificate)
        self.ca("-gencrl", "-out", "revoked.crl")
        return self.folder / "revoked.crl"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """An authority with a server and clients of all kinds."""
    class Keys:
        authority = Revoking(tmp_path_factory.mktemp("identities"))
        server = authority.issue("server")
        barn = authority.issue("barn", ("DNS:barn.site", "email:barn@site", "URI:urn:fleet:barn"))
        gone = authority.issue("gone")
        two = authority.issue("two", ("DNS:one.site", "DNS:two.site"))
        wild = authority.issue("#", ())
        expired = authority.expired("expired")
        stranger = CertificateAuthority(tmp_path_factory.mktemp("stranger")).issue("barn")
        crl = authority.revoke(gone[0])
        empty_crl = None
    return Keys


def listener(keys, extra="", rules=RULES):
    certificate, key = keys.server
    return (f'{rules}[[listener]]\naddress = "127.0.0.1:0"\n[listener.tls]\n'
            f'certificate = "{certificate}"\nkey = "{key}"\n'
            f'client_ca = "{keys.authority.certificate}"\n{extra}\n')


def client(broker, keys, pair, **options):
    return Client(broker.port, options.pop("client_id", "c"), options.pop("version", "5"),
                  host="localhost", ca_file=keys.authority.certificate, certificate=pair, **options)


@pytest.mark.parametrize("source, user", [
    ("cn", "barn"), ("san-dns", "barn.site"), ("san-email", "barn@site"),
    ("san-uri", "urn:fleet:barn"),
])
def test_the_user_is_what_the_certificate_says(fleet_broker, keys, source, user):
    broker = fleet_broker(listener(keys, f'user_from = "{source}"'), listen=None)
    barn = client(broker, keys, keys.barn).connected()
    broker.process.wait_for(f"client connected.*user={user}")
    assert not barn.publish(f"own/{user}", b"x", 1).is_failure
    assert "Not authorized" in str(barn.publish("own/other", b"x", 1))
    barn.disconnect()
    # A user name must be the same; a password means nothing.
    client(broker, keys, keys.barn, user=user, password="any").connected().disconnect()
    refused = client(broker, keys, keys.barn, user="other", password="any")
    assert "Bad user name" in str(refused.refused())


@pytest.mark.parametrize("pair, source", [("two", "san-dns"), ("two", "san-uri")])
def test_a_certificate_that_names_nobody_or_two_is_refused(fleet_broker, keys, pair, source):
    broker = fleet_broker(listener(keys, f'user_from = "{source}"'), listen=None)
    assert "Not authorized" in str(client(broker, keys, getattr(keys, pair)).refused())
    broker.process.wait_for("connection refused.*the certificate or key names no user")


def test_a_certificate_in_the_name_of_a_wildcard_opens_nothing(fleet_broker, keys):
    broker = fleet_broker(listener(keys, 'user_from = "cn"'), listen=None)
    wild = client(broker, keys, keys.wild).connected()
    assert wild.subscribe("own/#")[0].is_failure and wild.subscribe("own/+")[0].is_failure
    assert wild.publish("own/barn", b"x", 1).is_failure
    wild.disconnect()


def refused_handshake(broker, keys, pair):
    """The certificate is not taken: TLS 1.3 tells the client after its own handshake."""
    try:
        stranger = client(broker, keys, pair)
        stranger.disconnected()
        assert stranger.connection is None or stranger.connection[1].is_failure
        stranger.client.loop_stop()
    except OSError:
        pass


@pytest.mark.parametrize("pair, reason", [
    ("expired", "certificate has expired"), ("gone", "certificate revoked"),
    ("stranger", "certificate refused"), (None, "peer did not return a certificate"),
])
def test_a_client_certificate_that_is_not_taken_says_why(fleet_broker, keys, pair, reason):
    broker = fleet_broker(
        listener(keys, f'user_from = "cn"\nclient_crl = "{keys.crl}"'), listen=None)
    refused_handshake(broker, keys, getattr(keys, pair) if pair else None)
    broker.process.wait_for(f"connection refused.*{reason}")
    assert "client connected" not in broker.process.output
    client(broker, keys, keys.barn).connected().disconnect()


def test_a_self_signed_client_certificate_says_why(fleet_broker, keys, tmp_path):
    pair = tmp_path / "self.crt", tmp_path / "self.key"
    done = run([system_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=barn",
                "-out", pair[0], "-keyout", pair[1]])
    assert done.returncode == 0
    broker = fleet_broker(listener(keys, 'user_from = "cn"'), listen=None)
    refused_handshake(broker, keys, pair)
    broker.process.wait_for("connection refused.*self.signed certificate")


class RevokingKeys:
    """Keys of a server and of two clients, and the list of those that were revoked."""

    def __init__(self, folder):
        self.authority = Revoking(folder / "ca")
        self.server = self.authority.issue("server")
        self.barn = self.authority.issue("barn")
        self.other = self.authority.issue("other")
        self.crl = self.authority.revoke()


def test_a_revocation_list_is_read_again_at_a_reload(fleet_broker, tmp_path):
    keys = RevokingKeys(tmp_path)
    crl = keys.crl
    broker = fleet_broker(listener(keys, f'user_from = "cn"\nclient_crl = "{crl}"'), listen=None)
    stays = client(broker, keys, keys.other, client_id="stays").connected()
    client(broker, keys, keys.barn).connected().disconnect()
    keys.authority.revoke(keys.barn[0])
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for("configuration reloaded")
    refused_handshake(broker, keys, keys.barn)
    broker.process.wait_for("connection refused.*certificate revoked")
    # Who has another certificate stays.
    assert not stays.publish("own/other", b"x", 1).is_failure
    stays.disconnect()
    # A list that is no list changes nothing.
    crl.write_text("nonsense")
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for("revoked.crl.*BEGIN X509 CRL")
    broker.process.wait_for("configuration not reloaded; the old one stays")


@pytest.mark.parametrize("top", ["", 'threads = 2\ndurability = "memory"\n'])
def test_a_revoked_certificate_ends_its_connections_at_a_reload(fleet_broker, tmp_path, top):
    keys = RevokingKeys(tmp_path)
    crl = keys.crl
    rules = '[role.all]\neverybody = true\npublish = ["#"]\nsubscribe = ["#"]\n'
    text = listener(keys, f'user_from = "cn"\nclient_crl = "{crl}"', rules=top + rules)
    broker = fleet_broker(text, listen=None)
    stay = [client(broker, keys, keys.other, client_id=f"stay-{n}").connected() for n in range(4)]
    stay[0].subscribe("will")
    go = [client(broker, keys, keys.barn, client_id=f"go-{n}", clean=False,
                 connect_properties=properties("CONNECT", SessionExpiryInterval=600),
                 will={"topic": "will", "payload": b"mine"}).connected() for n in range(4)]
    old = client(broker, keys, keys.barn, client_id="old", version="3.1.1").connected()
    # What expires ends nobody's connection, and a reload without a change neither.
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for("configuration reloaded")
    assert not go[0].publish("t", b"x", 1).is_failure
    keys.authority.revoke(keys.barn[0])
    broker.process.signal(signal.SIGHUP)
    for one in go:
        assert one.disconnected().value == 0x87
    old.disconnected()
    for one in range(4):
        broker.process.wait_for(f"client disconnected.*client=go-{one}.*code=0x87.*"
                                'reason="the certificate was revoked"')
    for one in stay:
        assert not one.publish("t", b"x", 1).is_failure
    # What the holder of a revoked certificate left to be said is not said.
    assert stay[0].messages == []
    broker.process.wait_for("client disconnected.*client=old")


def test_a_ca_that_is_not_trusted_any_more_ends_its_connections_at_a_reload(
        fleet_broker, keys, tmp_path):
    first, second = CertificateAuthority(tmp_path / "one"), CertificateAuthority(tmp_path / "two")
    trusted = tmp_path / "clients.crt"
    trusted.write_text(first.certificate.read_text() + second.certificate.read_text())
    certificate, key = keys.server
    broker = fleet_broker(
        '[[listener]]\naddress = "127.0.0.1:0"\n[listener.tls]\n'
        f'certificate = "{certificate}"\nkey = "{key}"\nclient_ca = "{trusted}"\n'
        'user_from = "cn"\n', listen=None)
    stays = client(broker, keys, first.issue("stays"), client_id="stays").connected()
    goes = client(broker, keys, second.issue("goes"), client_id="goes").connected()
    trusted.write_text(first.certificate.read_text())
    broker.process.signal(signal.SIGHUP)
    assert goes.disconnected().value == 0x87
    broker.process.wait_for("client=goes.*the certificate's CA is not trusted any more")
    assert not stays.publish("t", b"x", 1).is_failure


@pytest.mark.parametrize("extra, why", [
    ('user_from = "name"', "must be one of"), ('client_crl = "none.crl"', "none.crl"),
])
def test_a_wrong_setting_is_an_error(fleet_broker, keys, extra, why):
    with pytest.raises(RuntimeError, match=why):
        fleet_broker(listener(keys, extra), listen=None)


# --- pre-shared keys ------------------------------------------------------------------------------

KEYS = {"barn": "0123456789abcdef0123456789abcdef", "desk": "00112233445566778899AABBCCDDEEFF"}


@pytest.fixture
def shared(fleet_broker, tmp_path):
    file = tmp_path / "psk"
    file.write_text("# keys\n" + "".join(f"{name}:{key}\n" for name, key in KEYS.items()))
    file.chmod(0o640)
    broker = fleet_broker(f'{RULES}[[listener]]\naddress = "127.0.0.1:0"\n'
                          f'tls = {{ psk_file = "{file}" }}\n', listen=None)
    return broker, file


def publish_with_key(broker, identity, key, topic, *arguments):
    return run([system_program("mosquitto_pub"), "-h", "127.0.0.1", "-p", broker.port, "-V", "mqttv5",
                "--psk-identity", identity, "--psk", key, "-q", "1", "-t", topic, "-m", "x",
                *arguments])


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_the_user_is_the_identity_of_the_key(shared, version):
    broker, _ = shared
    done = publish_with_key(broker, "barn", KEYS["barn"], "own/barn", "--tls-version", version)
    assert done.returncode == 0, done.stderr
    broker.process.wait_for("client connected.*user=barn")
    done = publish_with_key(broker, "desk", KEYS["desk"], "own/barn", "--tls-version", version)
    assert "Not authorized" in done.stderr or "publish refused" in broker.process.output
    done = publish_with_key(broker, "barn", KEYS["barn"], "own/barn", "-u", "desk", "-P", "x",
                            "--tls-version", version)
    assert done.returncode != 0


def test_openssl_itself_by_tls_1_3(shared):
    """An independent client: openssl s_client with a CONNECT of 3.1.1 through the pipe."""
    broker, _ = shared
    packet = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01p\xe0\x00"
    done = subprocess.run(
        [system_program("openssl"), "s_client", "-connect", f"127.0.0.1:{broker.port}", "-tls1_3",
         "-psk_identity", "desk", "-psk", KEYS["desk"], "-quiet"],
        input=packet, capture_output=True, timeout=20)
    assert b"\x20\x02\x00\x00" in done.stdout
    broker.process.wait_for("client connected.*client=p .*user=desk")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("identity, key, reason", [
    ("nobody", KEYS["barn"], "nobody: there is no pre-shared key for this identity"),
    ("barn", KEYS["desk"], "psk_file"),
])
def test_an_unknown_identity_and_a_wrong_key_say_why(shared, version, identity, key, reason):
    broker, _ = shared
    subprocess.run([system_program("openssl"), "s_client", "-connect", f"127.0.0.1:{broker.port}",
                    version, "-psk_identity", identity, "-psk", key, "-quiet"],
                   input=b"", capture_output=True, timeout=20)
    broker.process.wait_for(f"connection refused.*{reason}")
    assert key not in broker.process.output and "client connected" not in broker.process.output


def test_keys_are_read_again_at_a_reload(shared):
    broker, file = shared
    other = "ffeeddccbbaa99887766554433221100"
    file.write_text(f"barn:{other}\n")
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for("configuration reloaded")
    assert publish_with_key(broker, "barn", other, "own/barn").returncode == 0
    assert publish_with_key(broker, "desk", KEYS["desk"], "own/desk").returncode != 0
    file.write_text(f"barn:{other}\nmallory\n")
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for(r"psk:2: there is no colon")
    assert publish_with_key(broker, "barn", other, "own/barn").returncode == 0


def wait_by_key(broker, identity, key, started):
    """mosquitto_sub that is subscribed, with a key."""
    process = Process(
        [system_program("mosquitto_sub"), "-h", "127.0.0.1", "-p", broker.port, "-d", "-V", "mqttv5",
         "--psk-identity", identity, "--psk", key, "-t", f"own/{identity}", "-i", identity],
        name="mosquitto_sub", by_line=True)
    started.append(process)
    process.wait_for("Subscribed")
    return process


def test_keys_that_are_gone_or_changed_end_their_connections_at_a_reload(shared, started):
    broker, file = shared
    more = "ffeeddccbbaa99887766554433221100"
    file.write_text(file.read_text() + f"hill:{more}\n")
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for("configuration reloaded")
    for identity, key in (KEYS | {"hill": more}).items():
        wait_by_key(broker, identity, key, started)
    file.write_text(f"barn:{more}\nhill:{more}\n")
    broker.process.signal(signal.SIGHUP)
    broker.process.wait_for(
        'client disconnected.*client=barn.*user=barn.*code=0x98.*reason="the key was changed"')
    broker.process.wait_for(
        'client disconnected.*client=desk.*user=desk.*code=0x87.*reason="the key was removed"')
    assert publish_with_key(broker, "hill", more, "own/hill").returncode == 0
    assert not re.search("client disconnected.*client=hill", broker.process.output)


@pytest.mark.parametrize("line, why", [
    ("barn", "no colon"), (":00", "no identity"), ("barn:", "hexadecimal"), ("barn:0", "hexadecimal"),
    ("barn:0x11", "hexadecimal"), ("desk:00\ndesk:11", "twice"),
])
def test_a_malformed_line_in_a_key_file_is_an_error(fleet_broker, tmp_path, line, why):
    file = tmp_path / "psk"
    file.write_text(f"other:c0ffee\n{line}\n")
    file.chmod(0o640)
    with pytest.raises(RuntimeError, match=why) as failure:
        fleet_broker('[[listener]]\naddress = "127.0.0.1:0"\n'
                     f'tls = {{ psk_file = "{file}" }}\n', listen=None)
    assert "c0ffee" not in str(failure.value)
