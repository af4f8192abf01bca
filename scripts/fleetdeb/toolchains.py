"""Where the compiler comes from, and what it compiles for.

amd64: this machine's Swift, seen at its own path in the release's root. arm64: Debian unstable's
`swiftlang`, in a root of its own, with the arm64 runtime of the very same version; the release's root
is its sysroot. Compiler and runtime are always of one version.
"""

import json
import pathlib
import shutil
import subprocess

from . import folders, pair
from .releases import triplet
from .tell import Failure, say

# In every root, the folder of one build: sources, objects, packages.
INSIDE = "/build"


class Native:
    """This machine's Swift, in the release's root."""

    def __init__(self, root):
        swift = shutil.which("swift")
        if not swift:
            raise Failure("there is no 'swift' in the PATH: amd64 packages are compiled by this "
                          "machine's own; https://www.swift.org/install/linux/ has it")
        told = subprocess.run([swift, "-print-target-info"], capture_output=True, text=True)
        try:
            resources = json.loads(told.stdout)["paths"]["runtimeResourcePath"]
        except (ValueError, KeyError):
            raise Failure(f"{swift} does not say where it lies: {told.stderr.strip()}") from None
        # PREFIX/lib/swift, where a toolchain has its resources.
        prefix = pathlib.Path(resources).parents[1]
        root.bind(prefix, str(prefix))
        self.root = root
        self.environment = {"PATH": f"{prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.flags = []
        self.clang = [f"{prefix}/bin/clang", "-fuse-ld=lld"]
        self.libraries = "/usr/lib"
        self.version = root.output(["swift", "--version"], environment=self.environment).split("\n")[0]
        say(f"compiler: {self.version}, {prefix}")

    def worked(self):
        """Packages were made with it."""


class Cross:
    """Debian unstable's Swift for amd64, with its runtime for arm64 and the release's root as sysroot."""

    SYSROOT = "/sysroot"

    def __init__(self, root, work):
        found = pair.find()
        self.pair = found
        self.root = found.compiler
        self.root.bind(root.path, self.SYSROOT)
        # Where the driver looks for the runtime of a target.
        for name in ("swift", "swift_static", "clang"):
            (root.path / "usr/lib" / name).mkdir(exist_ok=True)
            self.root.bind(found.runtime / "usr/libexec/swift/lib" / name,
                           f"{self.SYSROOT}/usr/lib/{name}")
        self.version = f"Swift {found.version}, Debian unstable"
        self.libraries = f"{self.SYSROOT}/usr/lib"
        self.clang = ["clang", "--target=aarch64-linux-gnu", f"--sysroot={self.SYSROOT}",
                      "-fuse-ld=lld"]
        pkg_config = f"{self.libraries}/aarch64-linux-gnu/pkgconfig:{self.SYSROOT}/usr/share/pkgconfig"
        self.environment = {
            "PATH": "/usr/libexec/swift/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PKG_CONFIG_LIBDIR": pkg_config, "PKG_CONFIG_SYSROOT_DIR": self.SYSROOT,
        }
        write_bundle(work / "sdk" / "fleet-arm64.artifactbundle", self.SYSROOT)
        self.flags = ["--swift-sdk", "fleet-arm64", "--swift-sdks-path", f"{INSIDE}/sdk"]
        say(f"compiler: {self.version}")

    def worked(self):
        """Packages were made with it: the pair is worth keeping."""
        pair.keep(self.pair)


def write_bundle(folder, sysroot):
    """A Swift SDK, as `swift build --swift-sdk` finds it: where the target's libraries and runtime lie."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "info.json": {
            "schemaVersion": "1.0",
            "artifacts": {"fleet-arm64": {
                "type": "swiftSDK", "version": "1.0",
                "variants": [{"path": ".", "supportedTriples": [
                    "x86_64-unknown-linux-gnu", "x86_64-pc-linux-gnu"]}]}},
        },
        "swift-sdk.json": {
            "schemaVersion": "4.0",
            "targetTriples": {"aarch64-unknown-linux-gnu": {
                "sdkRootPath": sysroot, "swiftResourcesPath": f"{sysroot}/usr/lib/swift",
                "swiftStaticResourcesPath": f"{sysroot}/usr/lib/swift_static",
                "toolsetPaths": ["toolset.json"]}},
        },
        "toolset.json": {
            "schemaVersion": "1.0", "rootPath": "/usr/libexec/swift/bin",
            "swiftCompiler": {"extraCLIOptions": ["-use-ld=lld", "-Xclang-linker", "-fuse-ld=lld"]},
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")


def repositories(toolchain):
    """Copies, in the cache, of the repositories of the Swift packages that Package.swift names.

    They are fetched by this machine's git, with its settings; the compiler, which has no network, is
    told of them by a file of mirrors.
    """
    told = json.loads(toolchain.root.output(
        ["swift", "package", "--package-path", f"{INSIDE}/fleet", "dump-package"],
        environment=toolchain.environment))
    mirrors = []
    for dependency in told["dependencies"]:
        source = dependency["sourceControl"][0]
        address = source["location"]["remote"][0]["urlString"]
        version = source["requirement"]["exact"][0]
        copy = folders.CACHE / "git" / f"{source['identity']}.git"
        with folders.locked("git"):
            fetch(address, version, copy)
        mirrors.append({"original": address, "mirror": f"file://{INSIDE}/git/{copy.name}"})
    return {"version": 1, "object": mirrors}


def fetch(address, version, copy):
    def git(*arguments):
        return subprocess.run(["git", *map(str, arguments)], capture_output=True, text=True)

    def has_version():
        return git("-C", copy, "rev-parse", "--verify", "--quiet", f"refs/tags/{version}").returncode == 0

    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        done = git("clone", "--quiet", "--mirror", address, copy)
    elif not has_version():
        done = git("-C", copy, "fetch", "--quiet", "--tags")
    else:
        return
    if done.returncode != 0 or not has_version():
        raise Failure(f"git has no {version} of {address}: {done.stderr.strip()}")


def static_libstdcxx(toolchain, arch):
    """The path of libstdc++.a for `arch`, as the compiler's root sees it."""
    inside = pathlib.Path(f"{toolchain.libraries}/gcc/{triplet(arch)}")
    done = toolchain.root.run(["sh", "-c", f"ls {inside}/*/libstdc++.a"], capture_output=True)
    found = done.stdout.split()
    if len(found) != 1:
        raise Failure(f"one libstdc++.a is wanted below {inside}, not: {found}")
    return found[0]
