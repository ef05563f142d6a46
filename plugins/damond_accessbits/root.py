"""The one place that knows where /proc and /sys are."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Root:
    """The directory below which ``proc`` and ``sys`` are: the machine's own, or a tree that stands in for them.

    Attributes:
        base: The directory.
    """

    base: str = "/"

    def path(self, relative: str) -> Path:
        """Return the whole path of a file, for instance of ``"proc/kpageflags"``."""
        return Path(self.base, relative)

    def open(self, relative: str, flags: int = os.O_RDONLY) -> int:
        """Open a file that is to stay open, and return its descriptor."""
        return os.open(self.path(relative), flags | os.O_CLOEXEC)

    def read(self, relative: str) -> bytes:
        """Return the whole content of a file."""
        return self.path(relative).read_bytes()

    def read_word(self, relative: str) -> str:
        """Return the one word that most files of sysfs hold; "" where the file can't be read."""
        try:
            return self.read(relative).decode(errors="replace").strip()
        except OSError:
            return ""
