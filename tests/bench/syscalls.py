"""The price of an access check of vaddr with page_idle, against the same system calls issued from C."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from damond.core import AddrRange, Attrs, Context, Target, adaptation
from damond.plugin import Registry
from damond_accessbits.root import Root

NR_REGIONS = 1000
PASSES = 60
SZ_MEMORY = 256 << 20

# One check is one pread of pagemap, one of kpageflags, one pwrite and one pread of the bitmap; arguments: the four
# files and passes. Addresses come on standard input, frames are looked up as damond does.
C_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int pagemap = open(argv[1], O_RDONLY), flags = open(argv[2], O_RDONLY), bitmap = open(argv[3], O_RDWR);
	long passes = atol(argv[4]), nr = 0;
	uint64_t addr[65536], pfn[65536], word;
	struct timespec from, to;

	while (nr < 65536 && scanf("%lu", &addr[nr]) == 1)
		nr++;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (long pass = 0; pass < passes; pass++) {
		for (long i = 0; i < nr; i++) {
			if (pread(pagemap, &word, 8, addr[i] / 4096 * 8) != 8)
				return 1;
			pfn[i] = word & ((1ULL << 55) - 1);
		}
		for (long i = 0; i < nr; i++)
			if (pread(flags, &word, 8, pfn[i] * 8) != 8)
				return 2;
		for (long i = 0; i < nr; i++) {
			word = 1ULL << (pfn[i] & 63);
			if (pwrite(bitmap, &word, 8, pfn[i] / 64 * 8) != 8)
				return 3;
		}
		for (long i = 0; i < nr; i++)
			if (pread(bitmap, &word, 8, pfn[i] / 64 * 8) != 8)
				return 4;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%f\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / 1e3 / passes / nr);
	return 0;
}
"""

TARGET = f"""
import mmap, numpy as np
memory = mmap.mmap(-1, {SZ_MEMORY}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
memory[::4096] = b"x" * (len(memory) // 4096)
print(np.frombuffer(memory, np.uint8).__array_interface__["data"][0], flush=True)
input()
"""


def figures() -> Iterator[tuple[str, float, str]]:
    """Measure both in one run, in turns; the bitmap is a plain file, the rest is the machine's own."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if os.geteuid() != 0 or compiler is None:
        print("vaddr against C: needs root (frames in pagemap) and a C compiler; left out", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder, target() as (pid, start):
        tree = Path(folder)
        program = _compile(compiler, tree)
        bitmap = fake_bitmap(tree)
        ours, theirs = [], []
        for _ in range(5):
            check_us, addrs = _time_damond(tree, pid, start)
            ours.append(check_us)
            line = [str(program), f"/proc/{pid}/pagemap", "/proc/kpageflags", str(bitmap), str(PASSES)]
            done = subprocess.run(line, input="\n".join(map(str, addrs)), capture_output=True, text=True, check=True)
            theirs.append(float(done.stdout))
    yield f"vaddr with page_idle, {NR_REGIONS} regions: one access check", statistics.median(ours), "us"
    yield "  the same system calls from C", statistics.median(theirs), "us"
    yield "  ratio", statistics.median(ours) / statistics.median(theirs), ", at most 2.5"


class target:  # noqa: N801 - reads as a function where it is used
    """A process with memory to look at."""

    def __enter__(self) -> tuple[int, int]:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TARGET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        return self.process.pid, int(self.process.stdout.readline())

    def __exit__(self, *_: object) -> None:
        self.process.communicate("\n")


def fake_bitmap(tree: Path) -> Path:
    """Make a tree with the real /proc and a plain file as page_idle/bitmap; return the file."""
    tree.mkdir(exist_ok=True)
    (tree / "proc").symlink_to("/proc")
    bitmap = tree / "sys/kernel/mm/page_idle/bitmap"
    bitmap.parent.mkdir(parents=True)
    with bitmap.open("wb") as file:
        file.truncate(1 << 30)
    return bitmap


def _compile(compiler: str, tree: Path) -> Path:
    source, program = tree / "check.c", tree / "check"
    source.write_text(C_SOURCE)
    subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True, capture_output=True)
    return program


def _as_page_idle(primitive: Any) -> None:
    """Have no two words of the plain file share a call: what lies between costs nothing there, but in page_idle."""
    for reach in (primitive._source._frames._reads, primitive._source._frames._writes):
        reach.words, reach.measured = 0, True


def _time_damond(tree: Path, pid: int, start: int) -> tuple[float, list[int]]:
    """Time prepare and check of the primitive itself; return microseconds per check, and the addresses of one pass."""
    cls = Registry(offering="vaddr").primitive("vaddr")
    primitive = cls(cls.Options(source="page_idle", allow_kdamond=True), root=Root(str(tree)))  # type: ignore[call-arg]
    target = Target(pid, pid=pid)
    pieces = adaptation.evenly_split(AddrRange(start, start + SZ_MEMORY), NR_REGIONS)
    target.set_ranges(pieces)
    attrs = Attrs(min_nr_regions=NR_REGIONS, max_nr_regions=2 * NR_REGIONS)
    ctx = Context(attrs=attrs, targets=[target], rng=np.random.default_rng(1))
    primitive.init(ctx)
    _as_page_idle(primitive)
    began = time.perf_counter_ns()
    for _ in range(PASSES):
        primitive.prepare_access_checks(ctx)
        primitive.check_accesses(ctx)
    took_us = (time.perf_counter_ns() - began) / 1000
    addrs = target.regions.sampling_addr.tolist()
    primitive.cleanup(ctx)
    return took_us / ctx.checks, addrs
