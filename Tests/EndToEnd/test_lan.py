"""The page that leads from this machine to the LAN, followed to the letter in a network of its own."""

import re
import socket

from fleetlab.brokers import secret_file
from fleetlab.processes import ROOT, Process, program, run, wait_until

PAGE = ROOT / "docs" / "operate" / "lan.md"
FOLDER = "/etc/fleet/"


def block(kind, containing):
    """The block of the page with these words, as it stands there."""
    blocks = re.findall(rf"^   ```{kind}\n(.*?)^   ```$", PAGE.read_text(), re.M | re.S)
    (found,) = [text for text in blocks if containing in text]
    return re.sub(r"^   ", "", found, flags=re.M)


def here(text, tmp_path):
    return text.replace(FOLDER, f"{tmp_path}/fleet/").replace("sudo ", "").replace(
        "fleet-broker ", program("fleet-broker") + " ")


def test_the_page_lets_the_lan_in_with_user_and_certificate(tmp_path, network_namespace, started):
    inside = network_namespace()
    (tmp_path / "fleet" / "credentials" / "broker").mkdir(parents=True)
    (tmp_path / "fleet" / "broker.d").mkdir()
    password = secret_file(tmp_path / "password", "right")

    def shell(text):
        done = run(["sh", "-euc", here(text, tmp_path)])
        assert done.returncode == 0, done.stderr
        return done
    shell(block("sh", "passwd").rstrip() + f" --password-file {password}")
    shell(block("sh", "openssl"))
    drop_in = tmp_path / "fleet" / "broker.d" / "20-lan.toml"
    drop_in.write_text(here(block("toml", "[[listener]]"), tmp_path))
    done = shell(next(line for line in block("sh", "--check-config").splitlines()
                      if "--check-config" in line))
    assert str(drop_in) in done.stdout

    broker = Process(inside.command([program("fleet-broker"), "--config", tmp_path / "fleet" / "broker.toml",
                                     "--state-directory", tmp_path / "state"]), name="fleet-broker")
    started.append(broker)
    broker.wait_for("ready")
    host = socket.gethostname()

    def fleet(*arguments):
        return run(inside.command([program("fleet"), "status", *arguments]),
                   environment={"HOME": str(tmp_path), "XDG_CONFIG_HOME": ""})
    # This machine's programs as before.
    wait_until(lambda: fleet().returncode == 0, "the broker's own word")
    certificate = tmp_path / "fleet" / "credentials" / "broker" / "server.crt"
    lan = f"{host}:8883"
    done = fleet("--broker", f"mqtts://barn-1@{lan}", "--ca-file", certificate,
                 "--password-file", password)
    assert done.returncode == 0, done.stderr
    assert fleet("--broker", f"mqtts://{lan}", "--ca-file", certificate).returncode == 2
    wrong = secret_file(tmp_path / "wrong", "wrong")
    assert fleet("--broker", f"mqtts://barn-1@{lan}", "--ca-file", certificate,
                 "--password-file", wrong).returncode == 2
