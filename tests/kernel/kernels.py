"""Where the kernels of the guests are: those of DAMOND_KERNEL, of the cache, or of a directory beside the checkout."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
CHECKOUT: Final = HERE.parents[1]

HOW: Final = (
    "'make kernel' builds it, and DAMOND_KERNEL names a directory that has it; 'make test-kernel' runs the tests"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of guest kernel.

    Attributes:
        name: What the launcher and the tests call it.
        title: What users read.
        images: Where the kernel may lie in a directory of kernels.
        program: The program it needs on the host, if it is none itself.
        remedy: How to come by that program.
    """

    name: str
    title: str
    images: tuple[str, ...]
    program: str = ""
    remedy: str = ""


UML: Final = Kind("uml", "user-mode Linux", ("linux",))
X86: Final = Kind(
    "x86",
    "emulated x86-64",
    ("bzImage", "x86/bzImage"),
    program="qemu-system-x86_64",
    remedy="apt-get install --no-install-recommends qemu-system-x86",
)
KINDS: Final = {kind.name: kind for kind in (UML, X86)}


def cache_dir() -> Path:
    """Return where built kernels are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "damond", "kernel")


def places() -> list[Path]:
    """List the directories in which kernels are looked for; the first that has one is taken."""
    given = os.environ.get("DAMOND_KERNEL")
    return [Path(given)] if given else [cache_dir(), CHECKOUT.parent / "shared" / "kernel"]


def find(kind: Kind) -> Path | None:
    """Return the kernel of a kind; None if there is none."""
    candidates = [place / image for place in places() for image in kind.images]
    return next((each.resolve() for each in candidates if each.is_file()), None)


def not_for(kind: Kind) -> str:
    """Say why no kernel of a kind is of use on this host, and what to do; "" if one is."""
    if platform.machine() != "x86_64":
        return (
            f"the guest kernels are for x86-64 hosts, this one is {platform.machine()}; where the host's own kernel "
            "has page_idle, 'pytest tests/kernel -m kernel' as root runs the tests without a guest"
        )
    if kind.program and shutil.which(kind.program) is None:
        return f"no {kind.program} here: {kind.remedy}"
    return ""


def missing(kind: Kind) -> str:
    """Say why guests of a kind can't run here, and what to do; "" if they can."""
    absent = "" if find(kind) else f"no {kind.title} kernel in {' or '.join(map(str, places()))}: {HOW}"
    return not_for(kind) or absent
