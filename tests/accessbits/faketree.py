"""A tree of plain files that stands in for /proc and /sys."""

import os
from collections.abc import Mapping
from pathlib import Path

from damond_accessbits import Root
from damond_accessbits.idle import BITMAP
from damond_accessbits.pageflags import LRU, MMAP, UPTODATE
from damond_accessbits.pagemap import PRESENT
from damond_accessbits.probe import own_page

PAGE = os.sysconf("SC_PAGESIZE")
USED = LRU | MMAP | UPTODATE
NR_FRAMES = 1 << 12
OWN_FRAME = 7


class FakeTree:
    """Files with the layout of the real ones; who "accesses" a frame clears its bit in the bitmap."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = Root(str(base))

    def text(self, relative: str, content: str) -> None:
        path = self.base / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def word(self, relative: str, index: int, value: int) -> None:
        path = self.base / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.seek(index * 8)
            file.write(value.to_bytes(8, "little"))

    def page_idle(self, flags: Mapping[int, int] | None = None) -> None:
        """Make page_idle and kpageflags, and the entry in pagemap that a probe looks for."""
        (self.base / BITMAP).parent.mkdir(parents=True, exist_ok=True)
        (self.base / BITMAP).write_bytes(bytes(NR_FRAMES // 8))
        path = self.base / "proc/kpageflags"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join((flags or {}).get(frame, 0).to_bytes(8, "little") for frame in range(NR_FRAMES)))
        self.word("proc/self/pagemap", own_page()[1] // PAGE, PRESENT | OWN_FRAME)

    def flags(self, frame: int, flags: int) -> None:
        self.word("proc/kpageflags", frame, flags)

    def access(self, *frames: int) -> None:
        data = bytearray((self.base / BITMAP).read_bytes())
        for frame in frames:
            data[frame // 8] &= ~(1 << frame % 8)
        (self.base / BITMAP).write_bytes(data)

    def marked(self) -> set[int]:
        data = (self.base / BITMAP).read_bytes()
        return {frame for frame in range(len(data) * 8) if data[frame // 8] >> frame % 8 & 1}

    def process(self, pid: int, maps: str, frames: Mapping[int, int] | None = None, smaps: str = "") -> None:
        """Make the files of a process; ``frames`` maps addresses to the frames behind them."""
        self.text(f"proc/{pid}/maps", maps)
        self.text(f"proc/{pid}/stat", f"{pid} (a) b) S 1 1 1 0 -1 4194304 0 0")
        self.text(f"proc/{pid}/smaps", smaps)
        self.text(f"proc/{pid}/clear_refs", "")
        (self.base / f"proc/{pid}/pagemap").write_bytes(b"")
        for address, frame in (frames or {}).items():
            self.word(f"proc/{pid}/pagemap", address // PAGE, PRESENT | frame)
