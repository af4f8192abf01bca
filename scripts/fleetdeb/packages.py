"""Makes the packages of one release and architecture in that release's root."""

import shutil

from . import folders, keyring, programs, source, texts, toolchains
from .releases import triplet
from .roots import Root
from .tell import say, step
from .toolchains import INSIDE

# What packages are made and checked with.
TOOLS = ["debhelper", "dpkg-dev", "lintian", "man-db", "shellcheck", "binutils", "pkgconf", "git",
         "ca-certificates"]
# What the machine's own Swift is linked against.
COMPILER = ["libxml2", "libncurses6", "libedit2", "libcurl4"]
# What the programs are linked against.
LIBRARIES = ["libc6-dev", "libgpiod-dev", "libjansson-dev", "libsqlite3-dev", "libssl-dev",
             "libtomlplusplus-dev"]


def root_of(release, arch):
    libraries = [*LIBRARIES, release.libstdcxx]
    if arch == "amd64":
        return Root(f"{release.codename}-{arch}", release.suites, [*TOOLS, *COMPILER, *libraries])
    return Root(
        f"{release.codename}-{arch}", release.suites,
        [*TOOLS, f"binutils-{triplet(arch)}", *(f"{name}:{arch}" for name in libraries)],
        architectures=("amd64", arch), after=make_links_relative)


def make_links_relative(path):
    """As a sysroot, it has another place: what leads from its top would lead out of it."""
    for link in (path / "usr/lib").rglob("*"):
        if link.is_symlink() and (target := link.readlink()).is_absolute():
            ups = len(link.parent.relative_to(path).parts)
            link.unlink()
            link.symlink_to("/".join([".."] * ups) + str(target))


def make(release, arch, package_version, target=None, change=None):
    """Returns the paths of the packages, which go to the folder `target`.

    `change`, for tests, is called with the copy of the tree that they are built from.
    """
    root = root_of(release, arch).make()
    work = folders.build_folder(release.codename, arch)
    tree = work / "fleet"
    tree.mkdir(parents=True, exist_ok=True)
    log = work / "build.log"
    log.unlink(missing_ok=True)
    shutil.rmtree(tree / "debian", ignore_errors=True)
    source.copy_tree(tree)
    if change:
        change(tree)
    toolchain = toolchains.Native(root) if arch == "amd64" else toolchains.Cross(root, work)
    programs.compile_all(toolchain, release, arch, work, log)
    if toolchain.root is not root:
        root.bind(work, INSIDE, writable=True)
    made = work / "programs"
    texts.write(root, arch, programs.PROGRAMS, f"{INSIDE}/programs", made / "texts")
    formats = texts.store_formats(root, arch, source.DAEMONS, f"{INSIDE}/programs")
    (made / "fleet-archive-keyring.gpg").write_bytes(keyring.public())
    keyring.stop()
    with step(f"packages for {arch}, Debian {release.number}"):
        source.assemble(tree, release, package_version, formats)
        for old in work.glob("*.deb"):
            old.unlink()
        root.do(["dpkg-buildpackage", "-b", "-us", "-uc", "-d", "-a", arch], log,
                folder=f"{INSIDE}/fleet",
                environment={"SOURCE_DATE_EPOCH": str(source.epoch()),
                             "FLEET_PROGRAMS": f"{INSIDE}/programs"})
    toolchain.worked()
    target = target or folders.packages_folder(release.codename)
    target.mkdir(parents=True, exist_ok=True)
    found = [put(deb, target) for deb in sorted(work.glob("*.deb"))]
    say(f"{len(found)} packages in {target}")
    return found


def put(deb, folder):
    """Copies a package, in place of older ones of its name and architecture."""
    name, _, arch = deb.stem.split("_")
    for old in folder.glob(f"{name}_*_{arch}.deb"):
        old.unlink()
    return shutil.copy2(deb, folder / deb.name)
