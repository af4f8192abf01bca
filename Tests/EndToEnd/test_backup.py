"""The page about copies and new cards, followed to the letter between folders that stand for cards."""

import re

from bridge_support import LINK, SERVICE, SITE, TOPIC, Watcher, fleet_property
from fleetlab.brokers import FleetBroker
from fleetlab.processes import ROOT, Process, free_port, program, run
from support import Client

PAGE = ROOT / "docs" / "operate" / "backup.md"
BLOCKS = [re.sub(r"^   ", "", text, flags=re.M)
          for text in re.findall(r"^   ```sh\n(.*?)^   ```$", PAGE.read_text(), re.M | re.S)]


class Card:
    """A folder with what a Pi's card has: an edge broker with a session, and a bridge behind it."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        (folder / "etc" / "fleet").mkdir(parents=True, exist_ok=True)
        (folder / "root").mkdir(exist_ok=True)
        self.processes = []

    def configure(self, upstream):
        (self.folder / "etc" / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        (self.folder / "etc" / "fleet" / "bridge.toml").write_text(
            f'site = "{SITE}"\nnode = "gateway"\n[edge]\nurl = "mqtt://127.0.0.1:{self.port}"\n'
            f'[upstream]\nurl = "{upstream}"\n[report]\nedge_interval = "200ms"\n')

    def state(self, name):
        return self.folder / "var" / "lib" / "fleet" / name

    def start(self):
        broker = FleetBroker(self.folder / "etc" / "fleet", listen=f"127.0.0.1:{self.port}",
                             state=self.state("broker"))
        bridge = Process([program("fleet-bridge"), "--config", self.folder / "etc" / "fleet" / "bridge.toml",
                          "--state-directory", self.state("bridge")], name="fleet-bridge")
        self.processes = [bridge, broker]
        bridge.wait_for("edge: subscribed")

    def stop(self):
        for process in self.processes:
            assert process.stop() == 0
        self.processes = []

    def follow(self, number):
        """Runs a block of the page here; the daemons are not systemd's."""
        lines = [line for line in BLOCKS[number].splitlines()
                 if "systemctl" not in line and "reboot" not in line]
        text = "\n".join(lines).replace("sudo ", "").replace("-C /", f"-C {self.folder}").replace(
            "/root/", f"{self.folder}/root/")
        for name in ("broker", "bridge"):
            text = re.sub(rf"^fleet-{name} (.*)$", rf"{program('fleet-' + name)} \1 --state-directory "
                          f"{self.state(name)}", text, flags=re.M)
        done = run(["sh", "-euc", text])
        assert done.returncode == 0, done.stderr


def fill(port):
    """A session with a message that waits, a retained message, and ten for the bridge."""
    away = Client(port, "away", clean=False)
    away.connected().subscribe("waits", qos=1)
    away.disconnect()
    client = Client(port, version="5").connected()
    client.publish("waits", b"waiting", 1)
    client.publish("kept", b"retained", 1, retain=True)
    beside = Watcher(port, SERVICE)
    for number in range(10):
        client.publish(TOPIC, str(number), 1)
    beside.until(lambda: beside.counters().get("queue") == 10, "ten messages in the bridge's store")
    beside.disconnect()
    client.disconnect()


def held(port):
    client = Client(port, "away", clean=False).connected()
    client.subscribe("kept", qos=1)
    found = sorted(client.received(2))
    client.disconnect()
    return client.connection[0].session_present, found


def go_on(card, cloud, above):
    """The card's bridge forwards its backlog; returns the epochs of it."""
    card.configure(f"mqtt://127.0.0.1:{cloud.port}")
    count = len(above.payloads()) + 10
    card.start()
    assert held(card.port) == (True, [b"retained", b"waiting"])
    above.until(lambda: len(above.payloads()) >= count, "the bridge's backlog")
    epochs = {fleet_property(message)[0] for message in above.of(TOPIC)[-10:]}
    assert above.payloads()[-10:] == [str(number) for number in range(10)]
    return epochs


def test_a_new_card_goes_on_where_the_old_one_was(tmp_path, mosquitto, started):
    cloud = mosquitto()
    above = Watcher(cloud.port, TOPIC, LINK)
    started.append(above)
    old, new = (Card(tmp_path / name, free_port()) for name in ("old", "new"))
    new.port = old.port
    old.configure("mqtt://127.0.0.1:1")
    started.extend([old, new])
    old.start()
    fill(old.port)
    instance = (old.state("bridge") / "instance").read_text()
    old.stop()
    old.follow(0)
    (old.folder / "root" / "fleet.tar.gz").rename(new.folder / "root" / "fleet.tar.gz")
    new.follow(1)
    assert not (new.folder / "root" / "fleet.tar.gz").exists()
    go_on(new, cloud, above)
    assert (new.state("bridge") / "instance").read_text() == instance


def test_a_copy_is_taken_while_it_runs_and_is_gone_back_to(tmp_path, mosquitto, started):
    cloud = mosquitto()
    above = Watcher(cloud.port, TOPIC, LINK)
    started.append(above)
    card = Card(tmp_path / "card", free_port())
    started.append(card)
    card.configure("mqtt://127.0.0.1:1")
    card.start()
    fill(card.port)
    card.follow(2)
    card.stop()
    first = go_on(card, cloud, above)
    card.stop()
    card.follow(3)
    assert first.isdisjoint(go_on(card, cloud, above)), "the numbers begin with a new epoch"
