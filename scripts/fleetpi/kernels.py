"""Debian's arm64 kernels, and beside each the modules that simulate sensors; and QEMU for arm64 programs.

Debian builds neither gpio-sim nor i2c-stub. They are built here from Debian's own source of the kernel,
against its headers; modules/fleet_sensors.c adds what the kernel cannot simulate.
"""

import dataclasses
import hashlib
import lzma
import pathlib
import re
import shutil
import subprocess

from fleetdeb import folders
from fleetdeb.roots import Root
from fleetdeb.tell import Failure, step

from . import initrd

ARCH = "arm64"
# By the size of their pages; a Pi 5 has the larger ones.
FLAVOURS = {"4k": "arm64", "16k": "arm64-16k"}
TOOLS = ["make", "gcc-aarch64-linux-gnu", "kmod", "xz-utils", "e2fsprogs", "libelf1t64", "libssl3t64", "pahole"]
OWN_MODULES = pathlib.Path(__file__).parent / "modules"
# What is built of the kernel's own source.
SIMULATORS = ["drivers/gpio/gpio-sim.c", "drivers/i2c/i2c-stub.c", "kernel/irq/irq_sim.c"]
EMULATOR = "usr/bin/qemu-aarch64"
# What leads to the disk.
BOOT_MODULES = ["virtio_pci", "virtio_blk", "ext4"]
# What the Pi has beside: all of Debian's modules would make udev slow where each instruction is emulated.
MODULES = [*BOOT_MODULES, "virtio_net", "virtio_console", "virtio_rng", "autofs4", "configfs", "i2c-dev", "lm75",
           "w1_therm", "sch_netem", "sch_ingress", "cls_matchall", "act_mirred", "ifb",
           "irq_sim", "gpio-sim", "i2c-stub", "fleet_sensors"]


@dataclasses.dataclass
class Kernel:
    version: str
    image: pathlib.Path
    initrd: pathlib.Path
    # /usr/lib/modules of it.
    modules: pathlib.Path


class KernelRoot(Root):
    """An amd64 Debian with a cross compiler and Debian's kernels, unpacked: nothing of them is run."""

    def __init__(self, release):
        super().__init__(f"{release.codename}-pi-kernels", release.suites, TOOLS,
                         architectures=("amd64", ARCH), after=self.fetch)

    @property
    def recipe(self):
        return super().recipe + "\n".join([*FLAVOURS.values(), *SIMULATORS, EMULATOR, ""])

    def fetch(self, path):
        root = Root(path.name, [], [])
        log = path / "var/log/fleet.log"
        shutil.copy("/etc/resolv.conf", path / "etc/resolv.conf")
        (path / "packages").mkdir()
        root.do(["apt-get", "update", "-q"], log, network=True)
        versions = {flavour: version for flavour in FLAVOURS.values() if (version := newest(root, flavour))}
        (path / "versions").write_text("".join(
            f"{flavour} {version}\n" for flavour, version in versions.items()))
        if ARCH not in versions:
            raise Failure(f"Debian has no linux-image-{ARCH}")
        any_version = versions[ARCH].removesuffix(f"-{ARCH}")
        source = re.search(r"^Depends: (linux-source-\S+)", root.output(["apt-cache", "show", "linux-source"]),
                           re.M)[1]
        names = ["qemu-user", f"linux-headers-{any_version}-common", f"linux-kbuild-{any_version}", source,
                 *(f"linux-{part}-{version}:{ARCH}" for version in versions.values()
                   for part in ("image", "headers"))]
        with step("Debian's kernels for arm64, and their source"):
            root.do(["apt-get", "download", "-q", *names], log, network=True, folder="/packages")
            for deb in sorted((path / "packages").glob("*.deb")):
                if deb.name.startswith("qemu-user_"):
                    unpack_one(deb, EMULATOR, path)
                else:
                    root.do(["dpkg-deb", "-x", f"/packages/{deb.name}", "/"], log)
            root.do(["tar", "-C", "/usr/src", "--strip-components=1", "-xf", f"/usr/src/{source}.tar.xz",
                     *(f"{source}/{name}" for name in SIMULATORS)], log)
        shutil.rmtree(path / "packages")
        (path / f"usr/src/{source}.tar.xz").unlink()

    @property
    def emulator(self):
        """QEMU for programs of arm64, the release's own: half as slow as that of the release before."""
        return self.path / EMULATOR

    def versions(self):
        """{flavour: version of its kernel}, of those that Debian has."""
        return dict(line.split() for line in (self.path / "versions").read_text().splitlines())


def unpack_one(deb, name, folder):
    archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", folder, f"./{name}"], stdin=archive.stdout, check=True)
    archive.wait()


def newest(root, flavour):
    told = root.run(["apt-cache", "depends", f"linux-image-{flavour}:{ARCH}"], capture_output=True).stdout
    found = re.search(r"Depends: linux-image-([^\s:]+)", told)
    return found and found[1]


def own_sources():
    return sorted(path for path in OWN_MODULES.iterdir() if path.is_file())


def make(root, pages, busybox):
    """The kernel with pages of this size, its modules and the way to its disk, from the cache if they are there.

    None where Debian has no such kernel.
    """
    version = root.versions().get(FLAVOURS[pages])
    if not version:
        return None
    place = folders.CACHE / "pi" / f"kernel-{pages}"
    recipe = hashlib.sha256("\n".join(
        [version, root.recipe, initrd.INIT, pathlib.Path(__file__).read_text(),
         *(path.read_text() for path in own_sources())]).encode()).hexdigest()
    kernel = Kernel(version, place / "vmlinuz", place / "initrd", place / f"usr/lib/modules/{version}")
    stamp = place / "recipe"
    if stamp.exists() and stamp.read_text() == recipe:
        return kernel
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with step(f"kernel {version} with simulated sensors"):
        shutil.copy2(root.path / f"boot/vmlinuz-{version}", kernel.image)
        build_modules(root, version, place / "build.log")
        take_modules(root, version, kernel.modules)
        root.bind(place, "/kernel", writable=True)
        root.output(["depmod", "-b", "/kernel", version])
        kernel.initrd.write_bytes(initrd.make(busybox, [
            (path.name, (kernel.modules / "kernel" / path.name.removesuffix(".xz")).read_bytes())
            for path in with_dependencies(root, version, BOOT_MODULES)]))
        stamp.write_text(recipe)
    return kernel


def build_modules(root, version, log):
    """Puts the simulators beside Debian's modules in `root`."""
    build = root.path / f"build/modules-{version}"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    for path in [*own_sources(), *(root.path / "usr/src" / name for name in SIMULATORS)]:
        shutil.copy2(path, build / path.name)
    # It is part of the kernel where it is built at all, and says no licence of its own; and irq_to_desc()
    # is not for modules.
    simulator = build / "irq_sim.c"
    text = simulator.read_text().replace(
        "irq_to_desc(irqnum)", "container_of(irq_get_irq_data(irqnum), struct irq_desc, irq_data)")
    if "MODULE_LICENSE" not in text:
        text += '\n#include <linux/module.h>\nMODULE_DESCRIPTION("irq_sim");\nMODULE_LICENSE("GPL");\n'
    simulator.write_text(text)
    root.do(["make", "-C", f"/usr/src/linux-headers-{version}", f"M=/build/{build.name}", "ARCH=arm64",
             "CROSS_COMPILE=aarch64-linux-gnu-", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"], log)
    target = root.path / f"usr/lib/modules/{version}/updates"
    target.mkdir(exist_ok=True)
    for module in build.glob("*.ko"):
        shutil.copy2(module, target)
    root.do(["depmod", version], log)


def with_dependencies(root, version, names):
    """Paths of modules in `root`, each behind those that it needs."""
    found = []
    for name in names:
        told = root.output(["modprobe", "-S", version, "--show-depends", name])
        found += re.findall(r"^insmod /(\S+)", told, re.M)
    return [root.path / name for name in dict.fromkeys(found)]


def take_modules(root, version, target):
    """Copies what the Pi has to `target`; the kernel of a slow machine need not unpack it."""
    (target / "kernel").mkdir(parents=True)
    for path in with_dependencies(root, version, MODULES):
        content = path.read_bytes()
        (target / "kernel" / path.name.removesuffix(".xz")).write_bytes(
            lzma.decompress(content) if path.suffix == ".xz" else content)
    for path in (root.path / f"usr/lib/modules/{version}").glob("modules.*"):
        if path.name.startswith(("modules.builtin", "modules.order")):
            shutil.copy2(path, target)
    # Where depmod(8) looks.
    (target.parents[3] / "lib").symlink_to("usr/lib")
