"""What the units' sandboxes let through: all that the daemons are for, and not one call more is denied."""

import json

from fleetdeb import containers

from . import strict
from .support import DAEMONS, blocks, put, use, wait_for

SYS = "/srv/sys"
THERMOMETER = "28-0316a2795f12"
AGENT = f"""
[kernel]
sys_root = "{SYS}"
""" + "".join(f'[[sensor]]\nname = "{name}"\ninterval = "1s"\n{keys}\n' for name, keys in {
    "load": 'source = "load"\nminutes = 1', "memory": 'source = "memory"', "disk": 'source = "disk"',
    "uptime": 'source = "uptime"', "thermal": 'source = "thermal"',
    "hwmon": 'source = "hwmon"\nchip = "fake"', "attic": f'source = "w1"\nid = "{THERMOMETER}"',
    "made-up": 'source = "simulated"\nseed = 1'}.items())
# As the kernel's drivers show themselves; the last one is plugged in later.
DRIVERS = f"""
mkdir -p {SYS}/class/thermal/thermal_zone0 {SYS}/class/hwmon/hwmon0 {SYS}/bus/w1/devices
echo cpu-thermal > {SYS}/class/thermal/thermal_zone0/type
echo 48312 > {SYS}/class/thermal/thermal_zone0/temp
echo fake > {SYS}/class/hwmon/hwmon0/name
echo 21500 > {SYS}/class/hwmon/hwmon0/temp1_input
"""
PLUG_IN = f"""
mkdir {SYS}/bus/w1/devices/{THERMOMETER}
printf '50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\\n50 05 4b 46 7f ff 0c 10 1c t=21062\\n' \
    > {SYS}/bus/w1/devices/{THERMOMETER}/w1_slave
echo 21062 > {SYS}/bus/w1/devices/{THERMOMETER}/temperature
"""
BROKER = """
[[listener]]
address = "unix:/run/fleet/broker/mqtt.sock"
group = "fleet"
"""
BRIDGE = """
[upstream]
name = "cloud"
url = "mqtts://sandbox.local:8884"
ca_file = "/etc/fleet/server.crt"
[routes]
up = ["plant/#"]
"""
CLOUD = """
listener 8884
allow_anonymous true
certfile /etc/mosquitto/server.crt
keyfile /etc/mosquitto/server.key
"""
HOSTS = "127.0.0.1 localhost sandbox sandbox.local\n"


def test_sandbox_serves(results, tree, folder, binds, target):
    with containers.Container("sandbox", tree, folder, binds, files={**strict.FILES, "/etc/hosts": HOSTS}
                              ) as machine:
        use(machine, "/repository/both", target)
        machine.output("apt-get install -q -y fleet-edge")
        strict.prove(results, machine)
        test_tls(results, machine)
        test_sources(results, machine)
        test_control(results, machine)
        machine.output("fleet-broker store backup /root/broker.db && fleet-bridge store backup /root/bridge.db")
        for daemon in DAEMONS:
            machine.output(f"systemctl reload fleet-{daemon}")
        strict.check(results, machine)


def test_tls(results, machine):
    """To the broker, and from the bridge to its upstream."""
    _, certificate, takeover, *_ = blocks("operate/lan.md", "sh")
    lan = blocks("operate/lan.md", "toml")[0].replace('[authentication]\n', "", 1).replace(
        'password_file = "/etc/fleet/broker.d/users"\n', "")
    machine.output(f"{certificate}\ncp server.crt /etc/fleet/server.crt\n"
                   "install -o mosquitto -m 600 server.crt server.key /etc/mosquitto")
    put(machine, "/etc/fleet/broker.d/20-lan.toml", lan + "allow_anonymous = true\n" + BROKER)
    put(machine, "/etc/fleet/bridge.d/20-upstream.toml", BRIDGE)
    put(machine, "/etc/mosquitto/cloud.conf", CLOUD)
    machine.output(f"{takeover}\nsystemctl restart fleet-bridge\n"
                   "systemd-run -q --unit cloud mosquitto -c /etc/mosquitto/cloud.conf")
    ask = "--ca-file /etc/fleet/server.crt --broker mqtts://sandbox.local"

    def arrives():
        machine.output(f"fleet pub {ask}:8883 -r plant/press 7")
        return "7" in machine.run(f"fleet sub {ask}:8884 --retained-only plant/press").stdout

    done = wait_for(arrives, 15)
    results.check("TLS works in the sandboxes: a listener's, and to an upstream", done, failure=
                  machine.run("journalctl --no-pager -n 20 -o cat -u fleet-bridge -u fleet-broker").stdout)


def test_sources(results, machine):
    machine.output(DRIVERS)
    put(machine, "/etc/fleet/agent.d/20-sensors.toml", AGENT)
    machine.output("systemctl reload fleet-agent")

    def state():
        told = machine.run("fleet sub --retained-only -o json fleet/v1/home/sandbox/state").stdout
        return json.loads(told)["payload"] if told.startswith("{") else {}

    def good():
        return {name for name, entry in state().items() if "v" in entry and entry.get("q") != "bad"}

    wanted = {"load", "memory", "disk", "uptime", "thermal", "hwmon", "made-up"}
    done = wait_for(lambda: good() >= wanted, 25)
    results.check("every source that a container can have works in the sandbox", done, f"{len(wanted)} sources"
                  if done else f"{state()}")
    machine.output(PLUG_IN)
    done = wait_for(lambda: "attic" in good(), 25)
    results.check("a sensor that appears later is read", done, failure=f"{state()}")
    results.skip("lines of GPIO, I2C and SPI", "a container has no such device; make test-pi has them")
    verified = machine.run("udevadm verify /usr/lib/udev/rules.d/60-fleet-agent.rules")
    if "Unknown command" in verified.stdout:
        return
    groups = machine.run("getent group gpio i2c spi | grep -c ':fleet-agent$'").stdout.strip()
    results.check("udev takes the rules for them, and the agent is in their groups",
                  verified.returncode == 0 and groups == "3", failure=f"{groups}: {verified.stdout}")


def test_control(results, machine):
    machine.output("useradd -G fleet ann && useradd bob")
    for daemon in DAEMONS:
        member, other = (machine.run(f"su {user} -c 'fleet-{daemon} log-level info'") for user in ("ann", "bob"))
        is_right = member.returncode == 0 and other.returncode != 0 and "fleet" in other.stdout
        results.check(f"fleet-{daemon} obeys the group fleet, and nobody else", is_right,
                      failure=member.stdout + other.stdout)
    rights = machine.run("stat -c '%U:%G %a' /run/fleet/broker/mqtt.sock").stdout.strip()
    results.check("a listener's socket belongs to the group that is asked for", rights ==
                  "fleet-broker:fleet 660", rights)
