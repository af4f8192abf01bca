"""The first file system of the virtual Pi: a shell, and the modules that lead to its disk."""

import os
import stat

# What the kernel starts: it loads the modules in order, and goes over to the disk.
INIT = """#!/busybox sh
/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /busybox insmod "$module"; done
until [ -b /dev/vda ]; do /busybox sleep 0.05; done
/busybox mount -t ext4 -o noatime /dev/vda /root || exec /busybox sh
/busybox mount --move /dev /root/dev
exec /busybox switch_root /root /sbin/init
"""


class Archive:
    """A cpio archive of the format that Linux unpacks ("newc", its early-userspace/buffer-format.rst)."""

    def __init__(self):
        self.parts = []
        self.count = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.count += 1
        encoded = name.encode() + b"\0"
        numbers = (self.count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        self.pad(b"070701" + b"".join(b"%08X" % number for number in numbers) + encoded)
        self.pad(data)

    def pad(self, data):
        self.parts.append(data + bytes(-len(data) % 4))

    def content(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def make(busybox, modules):
    """The archive's bytes; `modules` are (name, content), in the order in which they are loaded."""
    archive = Archive()
    for folder in ("dev", "modules", "root"):
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("init", stat.S_IFREG | 0o755, INIT.encode())
    archive.add("busybox", stat.S_IFREG | 0o755, busybox)
    for number, (name, content) in enumerate(modules):
        archive.add(f"modules/{number:02}-{os.path.basename(name)}", stat.S_IFREG | 0o644, content)
    return archive.content()
