"""Builds the kernels of the guests from Debian's source packages, unless they are there already.

usage: python -m tests.kernel.build [--force] [--work DIR] [--jobs N] [--package NAME] [uml|x86 ...]
       python -m tests.kernel.build --minutes N

Each takes 160 MB to fetch, 2 GB of disk and about five minutes on two CPUs. What comes out is kept in the cache
directory (XDG_CACHE_HOME). Needs apt of a Debian system (where a package has gone, --package names its successor);
elsewhere unpack the sources of a kernel as DIR/uml/PACKAGE or DIR/x86/PACKAGE (--work DIR), and the rest is the same.

With --minutes it says of each kind whether tests can run in it, having built it if that took no longer than so many
minutes for all; what can't be is said, and no error.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.kernel.kernels import HERE, KINDS, Kind, cache_dir, find, missing, not_for

TOOLS: Final = {
    "gcc": "gcc libc6-dev", "make": "make", "flex": "flex", "bison": "bison", "bc": "bc",
    "xz": "xz-utils", "strip": "binutils",
}  # fmt: skip
"""Programs that the build takes, and the packages they come in; libelf-dev besides."""


class BuildError(Exception):
    """A kernel can't be built here."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of kernel is built.

    Attributes:
        package: Debian's package of its sources.
        suite: The suite it is in; "" if the one that the machine runs has it.
        variables: What make is given.
        target: What is made.
        image: Where that is then, below the build directory.
        name: What it is called in the cache.
    """

    package: str
    suite: str
    variables: tuple[str, ...]
    target: str
    image: str
    name: str


RECIPES: Final = {
    # SMP and a fast way into the kernel (seccomp) came to user-mode Linux after 6.12.
    "uml": Recipe("linux-source-7.2", "trixie-backports", ("ARCH=um",), "linux", "linux", "linux"),
    "x86": Recipe("linux-source-6.12", "", ("ARCH=x86_64",), "bzImage", "arch/x86/boot/bzImage", "bzImage"),
}


def run(*command: object, cwd: Path | None = None) -> None:
    """Run one step; what it says is shown.

    Raises:
        BuildError: It failed.
    """
    words = [str(word) for word in command]
    if subprocess.run(words, cwd=cwd, check=False).returncode:
        raise BuildError(f"failed: {' '.join(words)}")


def check_tools() -> None:
    absent = [package for program, package in TOOLS.items() if shutil.which(program) is None]
    if not Path("/usr/include/libelf.h").exists():
        absent.append("libelf-dev")
    if absent:
        raise BuildError(f"to build kernels: apt-get install --no-install-recommends {' '.join(absent)}")


def apt_options(suite: str, work: Path) -> list[str]:
    """Return options that make apt see one suite of the machine's own mirror, and keep all it writes in ``work``."""
    if not suite:
        return []
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    mirrors = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    mirror = next((each for each in mirrors if each.endswith("/debian/")), None)
    if mirror is None:
        raise BuildError("apt knows no mirror of Debian here: unpack the kernel's sources yourself (see --help)")
    (work / "sources.list").write_text(f"deb {mirror} {suite} main\n")
    for directory in ("lists/partial", "cache/archives/partial"):
        (work / directory).mkdir(parents=True, exist_ok=True)
    places = {"Etc::SourceList": "sources.list", "State::Lists": "lists", "Cache": "cache"}
    options = [f"-oDir::{name}={work / place}" for name, place in places.items()]
    options.append("-oDir::Etc::SourceParts=-")
    run("apt-get", *options, "update", "-q")
    return options


def fetch(recipe: Recipe, work: Path) -> Path:
    """Return the unpacked sources, from the package if they are not there yet."""
    tree = work / recipe.package
    if not (tree / "Makefile").exists():
        if shutil.which("apt-get") is None:
            raise BuildError(f"no apt-get here: unpack the sources of a kernel as {tree}")
        options = apt_options(recipe.suite, work)
        # apt would drop root for a user who may not write here.
        run("apt-get", *options, "-oAPT::Sandbox::User=root", "download", "-q", recipe.package, cwd=work)
        package = max(work.glob(f"{recipe.package}_*.deb"))
        run("dpkg-deb", "-x", package, work / "package")
        run("tar", "-xf", work / f"package/usr/src/{recipe.package}.tar.xz", "-C", work)
    return tree


@dataclass(frozen=True, slots=True)
class Mend:
    """One place of the sources that has to be another.

    Attributes:
        path: The file.
        old: What is there; group 1 stays.
        new: What comes there, or behind group 1.
    """

    path: str
    old: str
    new: str


_NO_TIME_TRAVEL: Final = "#ifndef CONFIG_UML_TIME_TRAVEL_SUPPORT"

MENDS: Final = (
    # Linux 7.2, update_pte_range: leaves a page that is not young executable for the host, and x86 can't have that
    # without readable. A read faults no more then, and never sets the accessed bit again.
    Mend("arch/um/kernel/tlb.c", r"(if \(!pte_young\(\*pte\)\) \{\s*r = 0;\s*w = 0;)(?!\s*x = 0)", " x = 0;"),
    # A page without any access is a mapping of its own for the host, which has at most vm.max_map_count (65530) of
    # them. Beyond, mmap fails and the page faults for ever: seen with 512 MiB, watched for half a minute.
    Mend(
        "arch/um/kernel/tlb.c",
        r"(ret = )ops->mmap\(ops->mm_idp, addr, PAGE_SIZE,\s*prot, fd, offset\);",
        "prot ? ops->mmap(ops->mm_idp, addr, PAGE_SIZE, prot, fd, offset) :\n"
        "\t\t\t\tops->unmap(ops->mm_idp, addr, PAGE_SIZE);",
    ),
    # Linux 7.2, sched_clock: without time travel it is kernel/sched/clock.c's, which counts ticks of 10 ms. CPU times
    # of what works for less and then sleeps would be rough guesses; a monitor does nothing else.
    Mend(
        "arch/um/kernel/time.c",
        rf"(?s)\A((?!.*{_NO_TIME_TRAVEL}).*)\Z",
        f"\n{_NO_TIME_TRAVEL}\nnotrace unsigned long long sched_clock(void)\n{{\n\treturn os_nsecs();\n}}\n#endif\n",
    ),
)
"""For user-mode Linux."""


def mend(tree: Path) -> None:
    """Put :data:`MENDS` in place.

    Raises:
        BuildError: A place is not there, and what should be there is not either: the sources have changed.
    """
    for each in MENDS:
        path = tree / each.path
        text, count = re.subn(each.old, lambda match, each=each: match[1] + each.new, path.read_text())
        if count:
            path.write_text(text)
        elif each.new.strip() not in text:
            raise BuildError(f"{path} has changed: see what has become of {each.old}")


def configure(recipe: Recipe, tree: Path, out: Path, fragment: Path) -> None:
    """Make the configuration, and see that nothing that was asked for got lost.

    Raises:
        BuildError: Something did: its name or what it depends on has changed.
    """
    run("make", "-s", "-C", tree, f"O={out}", *recipe.variables, f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig")
    got = set((out / ".config").read_text().splitlines())
    asked = {line for line in fragment.read_text().splitlines() if line.startswith(("CONFIG_", "# CONFIG_"))}
    # What is switched off need not be named in the result: it may depend on something else that is off.
    lost = sorted(line for line in asked - got if line.startswith("CONFIG_"))
    lost += sorted(line for line in asked if line.startswith("# ") and f"{line.split()[1]}=y" in got)
    if lost:
        raise BuildError(f"{recipe.package} has lost {', '.join(lost)}")


def build(name: str, recipe: Recipe, work: Path, jobs: int) -> Path:
    """Build one kind of kernel and put it into the cache."""
    check_tools()
    work.mkdir(parents=True, exist_ok=True)
    tree, out = fetch(recipe, work), work / "out"
    if name == "uml":
        mend(tree)
    out.mkdir(exist_ok=True)
    configure(recipe, tree, out, HERE / f"{name}.config")
    run("make", "-s", "-C", tree, f"O={out}", *recipe.variables, f"-j{jobs}", recipe.target)
    image = cache_dir() / recipe.name
    image.parent.mkdir(parents=True, exist_ok=True)
    fresh = image.with_suffix(".new")
    if recipe.target == "linux":
        run("strip", "-o", fresh, out / recipe.image)
    else:
        shutil.copyfile(out / recipe.image, fresh)
    fresh.replace(image)
    return image


def ready(kind: Kind, until: float) -> str:
    """Say whether guests of a kind can run, having built the kernel if there is none and time for it."""
    if find(kind) is not None or not_for(kind) or time.monotonic() >= until:
        why = missing(kind)
        return f"not tested on: {why}" if why else f"at hand: {find(kind)}"
    begin = time.monotonic()
    command = [sys.executable, "-m", "tests.kernel.build", kind.name]
    # The time may be up in the midst of a compiler: all of the session is ended then.
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            _, said = process.communicate(timeout=until - begin)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return f"not tested on: it was not built within {until - begin:.0f} s; 'make kernel' takes its time"
    if process.returncode:
        why = said.decode(errors="replace").strip().splitlines() or ["status {process.returncode}"]
        return f"not tested on: it can't be built here: {why[-1]}"
    return f"built in {time.monotonic() - begin:.0f} s: {find(kind)}"


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="uml|x86", help="which; both if none is named")
    parser.add_argument("--force", action="store_true", help="build even what is there")
    parser.add_argument("--work", type=Path, help="where to build; a temporary directory if not given")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--package", help="another package of sources, for the one kind that is named")
    parser.add_argument("--minutes", type=float, help="build what is missing within this time, and say what can't be")
    args = parser.parse_args()
    if args.minutes is not None:
        until = time.monotonic() + 60 * args.minutes
        for kind in KINDS.values():
            print(f"kernel, {kind.title}: {ready(kind, until)}", flush=True)
        return 0
    if args.package and len(args.kinds) != 1:
        parser.error("--package is for one kind: name it")
    for name in args.kinds or RECIPES:
        if name not in RECIPES:
            parser.error(f"{name} is none of {', '.join(RECIPES)}")
        image = None if args.force else find(KINDS[name])
        if image is None:
            with tempfile.TemporaryDirectory(prefix="damond-kernel-") as temporary:
                recipe = replace(RECIPES[name], package=args.package or RECIPES[name].package)
                image = build(name, recipe, (args.work or Path(temporary)) / name, args.jobs)
        print(f"{KINDS[name].title}: {image}", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BuildError as error:
        print(f"kernel: {error}", file=sys.stderr)
        sys.exit(69)
