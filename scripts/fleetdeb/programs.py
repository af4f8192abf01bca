"""Compiles the programs, and what the packaging has to know of them."""

import json
import pathlib
import re

from . import folders, toolchains
from .tell import step
from .toolchains import INSIDE

PROGRAMS = ["fleet-broker", "fleet-agent", "fleet-bridge", "fleet"]


def shared_flags():
    """Those of scripts/release-flags."""
    text = (folders.TREE / "scripts/release-flags").read_text()
    return re.sub(r"#.*", "", text).split()


def flags_of(toolchain, extra):
    # No debug information: packages do not carry it. Paths are those inside the root, the same for
    # everybody; they are cut all the same, for messages.
    return ["--package-path", f"{INSIDE}/fleet", "--scratch-path", f"{INSIDE}/scratch",
            "--cache-path", f"{INSIDE}/home/cache", "--config-path", f"{INSIDE}/config",
            *shared_flags(), "-debug-info-format", "none",
            "-Xswiftc", "-file-prefix-map", "-Xswiftc", f"{INSIDE}/fleet=.",
            "-Xcc", f"-ffile-prefix-map={INSIDE}/fleet=.", *toolchain.flags, *extra]


def compile_all(toolchain, release, arch, work, log):
    """Leaves the programs, unstripped, in `work`/programs."""
    toolchain.root.bind(work, INSIDE, writable=True)
    (work / "home").mkdir(exist_ok=True)
    configuration = work / "config"
    configuration.mkdir(exist_ok=True)
    mirrors = toolchains.repositories(toolchain)
    (configuration / "mirrors.json").write_text(json.dumps(mirrors, indent=2) + "\n")
    (work / "git").mkdir(exist_ok=True)
    toolchain.root.bind(folders.CACHE / "git", f"{INSIDE}/git")
    environment = {**toolchain.environment, "GIT_CONFIG_COUNT": "1",
                   "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    extra = compatibility(toolchain, release, arch, log)
    flags = flags_of(toolchain, extra)
    inside = pathlib.Path(toolchain.root.output(
        ["swift", "build", *flags, "--show-bin-path"], environment=environment))
    built = work / inside.relative_to(INSIDE)
    built.mkdir(parents=True, exist_ok=True)
    # The linker looks here first, and finds no shared one.
    link = built / "libstdc++.a"
    link.unlink(missing_ok=True)
    link.symlink_to(toolchains.static_libstdcxx(toolchain, arch))
    programs = work / "programs"
    programs.mkdir(exist_ok=True)
    for program in PROGRAMS:
        with step(f"{program} for {arch}, Debian {release.number}"):
            toolchain.root.do(["swift", "build", *flags, "--product", program], log,
                              environment=environment)
        target = programs / program
        target.unlink(missing_ok=True)
        target.write_bytes((built / program).read_bytes())
        target.chmod(0o755)
    loaded_libraries(toolchain, work, log, environment)


def compatibility(toolchain, release, arch, log):
    """For Debian 12 on arm64, whose glibc is older than the one that Debian's runtime was built with."""
    if arch != "arm64" or release.codename != "bookworm":
        return []
    output = f"{INSIDE}/glibc-2.36.o"
    toolchain.root.do(
        [*toolchain.clang, "-O2", "-c", f"{INSIDE}/fleet/Packaging/glibc-2.36.c", "-o", output], log,
        environment=toolchain.environment)
    return ["-Xlinker", output]


# As COpenSSL's shim names each function of the library that is loaded on first use.
LOADED = re.compile(r"^FLEET_TYPED\((\w+)\)", re.M)


def loaded_libraries(toolchain, work, log, environment):
    """Makes a library that refers to all that the programs look up at run time, dlsym(3).

    It is in no package: dpkg-shlibdeps reads from it which package, of which version, they need.
    """
    names = LOADED.findall((work / "fleet/Sources/COpenSSL/shim.h").read_text())
    source = work / "loaded.c"
    source.write_text("".join(f"extern char {name};\n" for name in names) + "void *fleet_loaded[] = {"
                      + ", ".join(f"&{name}" for name in names) + "};\n")
    toolchain.root.do(
        [*toolchain.clang, "-shared", "-fPIC", "-nostdlib", "-o", f"{INSIDE}/programs/loaded.so",
         f"{INSIDE}/loaded.c", "-Wl,--no-undefined", "-lssl", "-lcrypto"], log, environment=environment)
