"""What is on the virtual Pi's card: Debian 13, as an image of ext4."""

import hashlib
import pathlib
import shutil
import subprocess

from fleetdeb import folders
from fleetdeb.roots import Root, require_root
from fleetdeb.tell import Failure, step

from . import emulation
from .lab import LAN, PACKAGE_SERVER, WAN

# What an ordinary Pi has, and what Fleet's packages need of Debian: this one reaches no mirror.
PACKAGES = ["systemd-sysv", "dbus", "udev", "libpam-systemd", "login", "passwd", "kmod", "procps", "iproute2",
            "netbase", "wget", "sudo", "libjansson4", "libsqlite3-0", "libssl3t64", "libgpiod3"]
# What the tests need: commands from outside, a shell before the disk, values for I2C chips.
TOOLS = ["qemu-guest-agent", "busybox-static", "i2c-tools", "e2fsprogs"]
# Of no use here, and slow to make where each instruction is emulated.
LEFT_OUT = ["/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/lib/udev/hwdb.d/*"]
IMAGE_SIZE = "1536M"
HOST_NAME = "barn-1"

# Units that wait for a mirror, for a network, or for the night.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "fstrim.timer", "systemd-networkd-wait-online.service"]

FILES = {
    "etc/hostname": f"{HOST_NAME}\n",
    "etc/hosts": f"127.0.0.1 localhost {HOST_NAME}\n::1 localhost\n{LAN.host} {PACKAGE_SERVER}\n",
    "etc/fstab": "/dev/vda / ext4 noatime,errors=remount-ro 0 1\n",
    "etc/machine-id": "00000000000000000000000000000f1e\n",
    # The user who says yes to apt.
    "etc/apt/apt.conf.d/90yes": 'APT::Get::Assume-Yes "true";\n',
    "etc/systemd/network/10-lan.network":
        f"[Match]\nName=eth0\n[Network]\nAddress={LAN.guest}/24\nLinkLocalAddressing=no\n",
    "etc/systemd/network/20-wan.network":
        f"[Match]\nName=eth1\n[Network]\nAddress={WAN.guest}/24\nLinkLocalAddressing=no\n",
}


class PiRoot(Root):
    """The virtual Pi's system, in a folder; `emulator` runs its programs while it is made."""

    def __init__(self, release, emulator):
        self.emulator = emulator
        super().__init__(f"{release.codename}-pi", release.suites, [*PACKAGES, *TOOLS], architectures=("arm64",),
                         options=[f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT])

    @property
    def recipe(self):
        return super().recipe + "\n".join([*LEFT_OUT, ""])

    def make(self):
        if self.is_made:
            return self
        with emulation.arm64_programs(self.emulator):
            return super().make()

    @property
    def busybox(self):
        return (self.path / "usr/bin/busybox").read_bytes()


def image(root, kernels):
    """The card as it comes from the shop, an image in the cache; guests write to copies of it."""
    require_root()
    place = folders.CACHE / "pi"
    made, stamp = place / "card.img", place / "card.recipe"
    recipe = hashlib.sha256("\n".join(
        [pathlib.Path(__file__).read_text(), (root.path / "etc/fleet-root").read_text(),
         *((kernel.image.parent / "recipe").read_text() for kernel in kernels)]).encode()).hexdigest()
    if made.exists() and stamp.exists() and stamp.read_text() == recipe:
        return made
    stamp.unlink(missing_ok=True)
    with step(f"the image of the virtual Pi's card, {IMAGE_SIZE}"):
        tree = place / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        subprocess.run(["cp", "-a", "--reflink=auto", root.path, tree], check=True)
        for kernel in kernels:
            shutil.copytree(kernel.modules, tree / f"usr/lib/modules/{kernel.version}", symlinks=True)
        configure(tree)
        made.unlink(missing_ok=True)
        subprocess.run(["truncate", "-s", IMAGE_SIZE, made], check=True)
        done = subprocess.run(
            ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-d", tree,
             made], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"mkfs.ext4: {done.stderr.strip()}")
        shutil.rmtree(tree)
        stamp.write_text(recipe)
    return made


def configure(tree):
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in [*(tree / "etc/apt/sources.list.d").iterdir(), tree / "etc/apt/sources.list"]:
        path.unlink(missing_ok=True)
    units = tree / "etc/systemd/system"
    for unit in MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "systemd-networkd.service").symlink_to("/usr/lib/systemd/system/systemd-networkd.service")
    # Not its first boot: nothing has to be asked for, or to be made from what is below /usr.
    for path in ("etc/.updated", "var/.updated"):
        (tree / path).touch()
