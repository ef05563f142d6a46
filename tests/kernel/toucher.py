"""A process that maps, touches, forks and executes on command: one command per line on its input, one answer each.

map SIZE [hugetlb|locked|file|thp|readonly] -> address         touch ADDRESS STEP COUNT -> ok  (reads one byte each)
write ADDRESS STEP COUNT      -> ok              exec SIZE -> address            (a new program, a new mapping)
fork -> pid                   holes COUNT -> ok  (that many mappings with holes between)
"""

import mmap
import os
import signal
import sys
import tempfile

import numpy as np

_MAP_HUGETLB = 0x40000
_MAP_LOCKED = 0x2000
_MADV_HUGEPAGE = 14
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

kept: dict[int, tuple[mmap.mmap, np.ndarray]] = {}


def map_memory(size: str, kind: str = "") -> int:
    if kind == "file":
        with tempfile.TemporaryFile() as file:
            file.truncate(int(size))
            memory = mmap.mmap(file.fileno(), int(size))
    else:
        flags = _PRIVATE | {"hugetlb": _MAP_HUGETLB, "locked": _MAP_LOCKED}.get(kind, 0)
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if kind != "readonly" else 0)
        memory = mmap.mmap(-1, int(size), flags=flags, prot=prot)
    if kind == "thp":
        memory.madvise(_MADV_HUGEPAGE)
    pages = np.frombuffer(memory, np.uint8)
    address = int(pages.__array_interface__["data"][0])
    kept[address] = (memory, pages)
    return address


def select(address: str, step: str, count: str) -> np.ndarray:
    base = max(each for each in kept if each <= int(address))
    begin = int(address) - base
    return kept[base][1][begin : begin + int(step) * int(count) : int(step)]


def make_holes(count: int) -> None:
    size = mmap.PAGESIZE
    address = map_memory(str(3 * count * size))
    for number in range(count):
        # Every other page another protection: neighbours can't become one mapping.
        libc().mprotect(address + 3 * number * size, size, mmap.PROT_READ)


def libc():  # noqa: ANN201 - ctypes is imported where it is needed
    import ctypes  # noqa: PLC0415

    library = ctypes.CDLL(None)
    library.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return library


def answer(command: str, *words: str) -> object:
    if command == "map":
        return map_memory(*words)
    if command == "touch":
        select(*words).max()
    elif command == "write":
        select(*words)[:] = 1
    elif command == "holes":
        make_holes(int(words[0]))
    elif command == "fork":
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        return pid
    elif command == "exec":
        os.execv(sys.executable, [sys.executable, __file__, *words])  # noqa: S606 - that is what the command is for
    return "ok"


if __name__ == "__main__":
    print(map_memory(sys.argv[1]) if sys.argv[1:] else "ready", flush=True)
    for line in sys.stdin:
        print(answer(*line.split()), flush=True)
