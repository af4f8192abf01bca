"""Sensors through the kernel's own drivers: what a simulated device says has to be what the broker has."""

import json
import time

from fleetdeb.tell import Failure
from fleetlab.processes import Process, system_program

from .lab import EDGE
from .system import HOST_NAME

CONFIGURATION = """
[[sensor]]
name = "cpu"
source = "thermal"
zone = "cpu-thermal"
interval = "1s"

[[sensor]]
name = "barn"
source = "w1"
interval = "2s"

[[sensor]]
name = "rack"
source = "hwmon"
chip = "lm75"
interval = "1s"

[[sensor]]
name = "door"
source = "gpio"
line = "DOOR"
edges = "both"
interval = "2s"
"""
SENSORS = ["cpu", "barn", "rack", "door"]
PARAMETERS = "/sys/module/fleet_sensors/parameters"
# 25.5 degrees as an LM75 has them (its data sheet), in the order of an SMBus word; 26.0.
RACK_25_5, RACK_26 = "0x8019", "0x001a"
PATIENCE = 60

GPIO = """
modprobe gpio-sim
cd /sys/kernel/config/gpio-sim && mkdir -p barn/bank0/line17 && cd barn
echo 28 > bank0/num_lines; echo pinctrl-bcm2711 > bank0/label; echo DOOR > bank0/line17/name
echo 1 > live
echo /sys/devices/platform/$(cat dev_name)/$(cat bank0/chip_name)/sim_gpio17/pull
"""
I2C = f"""
modprobe i2c-dev; modprobe i2c-stub chip_addr=0x48; modprobe lm75
bus=$(i2cdetect -l | sed -n 's/^i2c-\\([0-9]*\\).*SMBus stub.*/\\1/p')
i2cset -y $bus 0x48 0 {RACK_25_5} w
echo lm75 0x48 > /sys/bus/i2c/devices/i2c-$bus/new_device
echo $bus
"""


class Watch:
    """What the broker hands out of the Pi's node, from now on."""

    def __init__(self):
        topic = f"fleet/v1/home/{HOST_NAME}"
        host, port = EDGE.split(":")
        self.process = Process([system_program("mosquitto_sub"), "-h", host, "-p", port, "-v", "-q", "1",
                                "-t", f"{topic}/m/+", "-t", f"{topic}/event/+"], by_line=True)
        self.prefix = f"{topic}/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    def all(self, channel):
        """The payloads of a channel, such as `m/cpu`."""
        lines = [line.split(" ", 1) for line in list(self.process.lines)]
        return [json.loads(line[1]) for line in lines if line[0] == self.prefix + channel and len(line) == 2]

    def wait(self, channel, is_wanted, from_the_begin=False):
        """The first payload of those from now on that is wanted, or None."""
        begin = 0 if from_the_begin else len(self.all(channel))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := next((message for message in self.all(channel)[begin:] if is_wanted(message)), None):
                return found
            if not self.process.is_running():
                raise Failure(f"mosquitto_sub ended: {self.process.output[-500:]}")
            time.sleep(0.1)
        return None


def test_sensors(results, pi):
    pi.write("/etc/fleet/agent.d/50-sensors.toml", CONFIGURATION)
    with Watch() as watch:
        done = pi.run("systemctl reload fleet-agent")
        results.check("sensors come with a reload", done.returncode == 0, failure=done.stdout)
        missing = {name: watch.wait(f"m/{name}", lambda message: message.get("q") == "bad", from_the_begin=True)
                   for name in SENSORS}
        results.check("those whose devices are not there are bad, each with its reason", all(
            message and message["why"] for message in missing.values()),
            "; ".join(message["why"] if message else "nothing came" for message in missing.values()))
        pull = pi.output(GPIO)
        bus = pi.output(I2C)
        pi.output("modprobe fleet_sensors")
        test_values(results, pi, watch, bus)
        test_door(results, pi, watch, pull)
        test_fault(results, pi, watch)


def test_values(results, pi, watch, bus):
    def is_told(what, sensor, value):
        found = watch.wait(f"m/{sensor}", lambda message: message.get("v") == value)
        results.check(f"{what}: {value}", found is not None, failure=str(watch.all(f"m/{sensor}")[-2:]))

    is_told("a thermal zone that appears later", "cpu", 45)
    is_told("a DS18B20 on a 1-Wire bus that appears later", "barn", 21.5)
    is_told("an LM75 on an I2C bus that appears later", "rack", 25.5)
    is_told("a GPIO line that appears later", "door", 0)
    pi.output(f"echo 71250 > {PARAMETERS}/cpu_millidegrees; echo -5000 > {PARAMETERS}/barn_millidegrees\n"
              f"i2cset -f -y {bus} 0x48 0 {RACK_26} w")
    is_told("the thermal zone gets warmer", "cpu", 71.25)
    is_told("the barn gets colder", "barn", -5)
    is_told("the rack gets warmer", "rack", 26)


def test_door(results, pi, watch, pull):
    for _ in range(3):
        pi.output(f"echo pull-up > {pull}; sleep 0.2; echo pull-down > {pull}; sleep 0.2")
    pi.output(f"echo pull-up > {pull}")
    level = watch.wait("m/door", lambda message: message.get("v") == 1)
    edges = [event.get("edge") for event in watch.all("event/door")]
    results.check("each edge of a GPIO line is an event, in order", edges == ["rising", "falling"] * 3 + ["rising"],
                  " ".join(map(str, edges)))
    results.check("and its level is measured", level is not None)


def test_fault(results, pi, watch):
    pi.output(f"echo 1 > {PARAMETERS}/barn_corrupt")
    bad = watch.wait("m/barn", lambda message: message.get("q") == "bad")
    pi.output(f"echo 0 > {PARAMETERS}/barn_corrupt")
    good = watch.wait("m/barn", lambda message: message.get("v") == -5)
    results.check("a wrong checksum on the 1-Wire bus is bad, and passes", bool(bad and good),
                  bad["why"] if bad else "")
