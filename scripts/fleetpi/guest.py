"""The virtual Pi: QEMU with one arm64 core and no KVM, and how commands come in.

Commands go by QEMU's guest agent over a virtio serial port: neither a network nor a password is needed.
"""

import base64
import dataclasses
import json
import pathlib
import random
import re
import socket
import subprocess
import sys
import time

from fleetdeb.tell import Failure

ENVIRONMENT = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
               "DEBIAN_FRONTEND=noninteractive"]
MEMORY_MIB = 384
# Kernel messages go to the serial port's log; interfaces are eth0, eth1. Without nokaslr the kernel has page
# tables of its own (KPTI), and a boot costs half as much again.
KERNEL_ARGUMENTS = "console=ttyAMA0 loglevel=4 net.ifnames=0 nokaslr audit=0 systemd.show_status=no"


@dataclasses.dataclass
class Result:
    """As subprocess.run has it, with both streams in `stdout`."""

    returncode: int
    stdout: str


class Agent:
    """QEMU's guest agent (its docs/interop/qemu-ga-ref): one line of JSON a question, one an answer."""

    def __init__(self, path):
        self.path = path
        self.connection = None

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(1)
        connection.connect(str(self.path))
        self.connection, self.waiting = connection, b""

    def is_there(self):
        """Whether it answers now. 0xFF makes it forget half a question, and comes before its answer."""
        number = random.randrange(1 << 31)
        try:
            if self.connection is None:
                self.connect()
            self.connection.sendall(b"\xff")
            self.send("guest-sync-delimited", id=number)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                if self.line(1).lstrip(b"\xff").strip() == b'{"return": %d}' % number:
                    return True
        except (OSError, Failure):
            pass
        return False

    def send(self, name, **arguments):
        question = json.dumps({"execute": name, "arguments": arguments})
        self.connection.sendall(question.encode() + b"\n")

    def line(self, timeout):
        self.connection.settimeout(timeout)
        while b"\n" not in self.waiting:
            part = self.connection.recv(1 << 16)
            if not part:
                self.connection = None
                raise Failure("the virtual Pi is gone")
            self.waiting += part
        line, self.waiting = self.waiting.split(b"\n", 1)
        return line

    def ask(self, name, timeout=60, **arguments):
        self.send(name, **arguments)
        answer = json.loads(self.line(timeout))
        if "error" in answer:
            raise Failure(f"{name}: {answer['error']['desc']}")
        return answer["return"]


class Guest:
    """A Pi that is switched on: `with Guest(...) as pi`, and off again, whatever happens."""

    def __init__(self, kernel, image, folder, networks=(), cpu="cortex-a72"):
        self.kernel = kernel
        self.image = image
        # For sockets, whose paths are short, and logs.
        self.folder = pathlib.Path(folder)
        self.networks = networks
        self.cpu = cpu
        self.disk = self.process = None
        self.agent = Agent(self.folder / "agent")
        self.seed = 0

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *_):
        self.kill()

    def command(self):
        words = [
            "qemu-system-aarch64", "-machine", "virt,gic-version=3", "-cpu", self.cpu, "-smp", "1",
            "-accel", "tcg,tb-size=256", "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-kernel", self.kernel.image, "-initrd", self.kernel.initrd,
            "-append", KERNEL_ARGUMENTS,
            "-blockdev", f"nbd,node-name=disk,server.type=unix,server.path={self.folder}/disk",
            "-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={self.agent.path},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-serial", f"file:{self.folder}/serial.log"]
        for number, network in enumerate(self.networks):
            words += ["-netdev", f"tap,id=net{number},ifname={network},script=no,downscript=no",
                      "-device", f"virtio-net-pci,netdev=net{number},mac=52:54:00:00:00:0{number + 1},romfile="]
        return words

    def start(self):
        """Switches on, and waits until its system is up; `boot_seconds` says how long that took."""
        begin = time.monotonic()
        self.seed += 1
        self.disk = subprocess.Popen(
            [sys.executable, pathlib.Path(__file__).with_name("disk.py"), self.image, self.folder / "disk",
             str(self.seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.disk.stdout.readline()
        self.agent.connection = None
        with (self.folder / "qemu.log").open("a") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT)
        self.wait_for(self.agent.is_there, "its guest agent to answer", 240)
        self.state = self.run("systemctl is-system-running --wait", timeout=180).stdout.strip()
        self.boot_seconds = time.monotonic() - begin
        self.output("/usr/lib/systemd/systemd-networkd-wait-online --interface=eth0 --timeout=60")
        return self

    def wait_for(self, condition, what, timeout):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if result := condition():
                return result
            if self.process.poll() is not None:
                raise Failure(f"the virtual Pi ended while waiting for {what}:\n{self.last_words()}")
            time.sleep(0.2)
        raise Failure(f"the virtual Pi: waited {timeout} s for {what}\n{self.last_words()}")

    def last_words(self):
        texts = [(self.folder / name).read_text(errors="replace") if (self.folder / name).exists() else ""
                 for name in ("qemu.log", "serial.log")]
        return "\n".join(re.sub(r"[^\n -~]", "", text)[-1500:] for text in texts)

    def run(self, command, timeout=300):
        """A shell command in it."""
        pid = self.agent.ask("guest-exec", path="/bin/bash", arg=["-c", command], env=ENVIRONMENT,
                             **{"capture-output": "merged"})["pid"]
        end, pause = time.monotonic() + timeout, 0.02
        while not (told := self.agent.ask("guest-exec-status", pid=pid))["exited"]:
            if time.monotonic() > end:
                raise Failure(f"`{command}` took longer than {timeout} s in the virtual Pi")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)
        output = base64.b64decode(told.get("out-data", "")).decode(errors="replace")
        return Result(told.get("exitcode", 128 + told.get("signal", 0)), output)

    def output(self, command, **options):
        """What a command prints; it has to succeed."""
        done = self.run(command, **options)
        if done.returncode != 0:
            raise Failure(f"`{command}` ended with {done.returncode} in the virtual Pi:\n{done.stdout}")
        return done.stdout.strip()

    def write(self, path, text):
        encoded = base64.b64encode(text.encode()).decode()
        self.output(f"echo {encoded} | base64 -d > {path}")

    def reboot(self):
        """In order. QEMU ends at a reboot (-no-reboot), and begins anew."""
        self.agent.send("guest-shutdown", mode="reboot")
        self.ended(120)
        self.start()

    def switch_off(self):
        self.agent.send("guest-shutdown", mode="powerdown")
        self.ended(120)

    def ended(self, timeout):
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"the virtual Pi did not go down within {timeout} s\n{self.last_words()}")
        self.disk.communicate("")

    def cut_power(self):
        """In the midst of a flush the disk falls silent; then it itself is gone.

        Returns what became of the writes that were not flushed.
        """
        self.disk.stdin.write("cut\n")
        self.disk.stdin.flush()
        told = json.loads(self.disk.stdout.readline())
        self.process.kill()
        self.process.wait()
        self.disk.communicate()
        return told

    def kill(self):
        """Ends what is left of it."""
        for process in (self.process, self.disk):
            if process and process.poll() is None:
                process.kill()
                process.wait()
