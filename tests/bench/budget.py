"""What the service costs in all: contexts on the real path of vaddr, with the budget of the defaults, and at start.

Real processes and their real pagemap; a plain file stands in for page_idle/bitmap, which most kernels lack: writes and
reads of it cost about what those of the bitmap do without its walks of reverse mappings, and it never says "accessed".
So contexts are told to go on at 5 ms and 100 ms, and the budget alone slows them down.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil

from damond.client import Client
from damond.errors import DamondError

sys.path.insert(0, str(Path(__file__).parent))
from syscalls import fake_bitmap, target

PLUGIN = """
import os
from damond.plugin import hookimpl
from damond_accessbits import Root
from damond_vaddr import Vaddr

damond_api_version = 1

class VaddrOnFile(Vaddr):
    name = "vaddr_on_file"
    auto_rank = None
    def __init__(self, options):
        super().__init__(options, Root(os.environ["DAMOND_BENCH_ROOT"]))

@hookimpl
def damond_primitives():
    return [VaddrOnFile]
"""
METADATA = "Metadata-Version: 2.1\nName: vaddr-on-file\nVersion: 1\n"

CONTEXT = """
[context.c{number}]
primitive = "vaddr_on_file"
pid = {pid}
{more}
options = {{source = "page_idle", allow_kdamond = true}}
"""


class Service:
    """``damond serve`` with so many contexts on one process.

    Args:
        nr_contexts: How many.
        head: The configuration but for the contexts.
        more: Lines of each context.
    """

    def __init__(self, nr_contexts: int, head: str = "", more: str = 'intervals_goal = "off"') -> None:
        self._nr_contexts, self._head, self._more = nr_contexts, head, more

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._target = target()
        pid, _ = self._target.__enter__()
        folder = Path(self._folder.name)
        fake_bitmap(folder / "root")
        (folder / "vaddr_on_file.py").write_text(PLUGIN)
        info = folder / "vaddr_on_file-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(METADATA)
        (info / "entry_points.txt").write_text("[damond]\nvaddr_on_file = vaddr_on_file\n")
        contexts = [CONTEXT.format(number=n, pid=pid, more=self._more) for n in range(self._nr_contexts)]
        (folder / "damond.toml").write_text(self._head + "".join(contexts))
        self.run = folder / "run"
        self._log = (folder / "log").open("w+")
        env = {**os.environ, "PYTHONPATH": str(folder), "DAMOND_BENCH_ROOT": str(folder / "root")}
        line = [sys.executable, "-m", "damond", "serve", "--config", folder / "damond.toml", "--runtime-dir", self.run]
        self._process = subprocess.Popen(line, stderr=self._log, env=env)
        deadline_s = time.monotonic() + 60
        while self._nr_running() < self._nr_contexts:
            if time.monotonic() > deadline_s or self._process.poll() is not None:
                raise RuntimeError((folder / "log").read_text())
            time.sleep(0.1)
        self._start_s, self._began = time.monotonic(), self._cpu_s()
        return self

    def _nr_running(self) -> int:
        try:
            with Client(self.run) as client:
                return sum(each["state"] == "running" for each in client.contexts())
        except DamondError:
            return 0

    def _cpu_s(self) -> dict[int, float]:
        root = psutil.Process(self._process.pid)
        return {each.pid: _used_s(each.pid) for each in (root, *root.children(recursive=True))}

    def cpu(self, span_s: float) -> float:
        """Return the CPU time of all its processes from now on. Per time."""
        before, began_s = self._cpu_s(), time.monotonic()
        time.sleep(span_s)
        after = self._cpu_s()
        return sum(after[pid] - before.get(pid, 0.0) for pid in after) / (time.monotonic() - began_s)

    def status(self) -> dict[str, object]:
        """Return what ``damond status`` shows."""
        with Client(self.run) as client:
            return client.status()

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()
        self._target.__exit__()
        self._folder.cleanup()


def _used_s(pid: int) -> float:
    """Return the CPU time of all threads of a process: clock ticks of 10 ms would be too coarse."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _pass_us(nr_regions: int, samples: int, span_s: float = 10.0) -> float:
    """Measure a worker at ten samples a second: microseconds per sample, its share of so long aggregations included."""
    more = f"""
intervals_goal = "off"
max_cpu = "off"
sample_interval = "100ms"
aggr_interval = "{100 * samples}ms"
min_nr_regions = {nr_regions}
max_nr_regions = {nr_regions}
policy = "kernel"
"""
    with Service(1, '[service]\nmax_cpu = "off"\n', more) as service:
        service.cpu(3)
        with Client(service.run) as client:
            (context,) = client.status()["contexts"]
        before_s = _used_s(context["pid"])
        service.cpu(span_s)
        return (_used_s(context["pid"]) - before_s) / (10 * span_s) * 1e6


def passes() -> Iterator[tuple[str, float, str]]:
    """Measure what a budget begins with: a pass, a region, an aggregation, of a worker whose caches are cold."""
    few, many, each = _pass_us(20, 20), _pass_us(420, 20), _pass_us(20, 1)
    aggregation = (each - few) / (1 - 1 / 20)
    yield "vaddr, ten samples a second: a pass over 20 regions", few - aggregation / 20, "us of CPU, assumed: 650"
    yield "  a region more", (many - few) / 400, "us, assumed: 2.5 (page_idle walks besides)"
    yield "  an aggregation", aggregation, "us, assumed: 1000 (of some 130 regions)"


def figures() -> Iterator[tuple[str, float, str]]:
    """Measure one and ten contexts after a minute, and ten in the minute after their start."""
    if os.geteuid() != 0:
        print("budget: needs root (frames in pagemap); left out", file=sys.stderr)
        return
    yield from passes()
    with Service(1) as one:
        one.cpu(60)
        yield (
            "one context of vaddr, all processes, after a minute",
            100 * one.cpu(30),
            "% of one CPU, at most 1",
        )
    with Service(10) as ten:
        yield "ten contexts that start at once, their first minute", 100 * ten.cpu(60), "% of one CPU"
        yield "  and after it", 100 * ten.cpu(60), "% of one CPU, at most 1.1"


if __name__ == "__main__":
    for name, value, unit in figures():
        print(f"{name:70} {value:10.3f} {unit}")
