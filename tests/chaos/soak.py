"""The service for half an hour at 50 contexts: what grows, what is lost, how late it is.

``make soak``, with SOAK_MINUTES for another time. Prints a table and the same as JSON. Exit status 1 says that
something was lost, restarted, or grew faster than allowed.
"""

import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from damond.client import subscribe
from damond.core import Snapshot
from tests.chaos.rig import Served, synthetic

NR_CONTEXTS: Final = 50
NR_SUBSCRIBERS: Final = 3
MEASURE_EVERY_S: Final = 5.0
ALLOWED_SLOPE: Final = 512.0
"""KiB of private memory per minute and process, in the second half; of workers on average.

PSS is shown and not judged: it grows in every process that shares a library with one that ends. The supervisor's replay
buffer is full after a minute (32 MiB), and its allocator settles for some more: 340 KiB per minute were seen in the
minutes 4 to 8, and at 1200 snapshots per second 1.7 MiB over the first 150,000, 0.2 MiB over the next 50,000.
"""
PERCENTILES: Final = (50, 90, 99, 99.9, 100)


def subscriber(run: Path, until_s: float, results: "Connection[dict[str, Any], Any]") -> None:
    """Read everything; tell how many came, what was missed, and the latencies. A process of its own."""
    latencies: list[float] = []
    missed = restarted = 0
    with subscribe(runtime_dir=run).open() as stream:
        while time.monotonic() < until_s:
            snapshot = stream.receive(1.0)
            if isinstance(snapshot, Snapshot) and snapshot.origin is not None:
                latencies.append((time.time_ns() - snapshot.end_ns) / 1e6)
                missed += snapshot.origin.missed
                restarted += snapshot.origin.restarted
    by_percentile = dict(
        zip(map(str, PERCENTILES), np.percentile(latencies, PERCENTILES).round(3).tolist(), strict=True)
    )
    results.send({"received": len(latencies), "missed": missed, "restarted": restarted, "latency_ms": by_percentile})


Memory = tuple[int, int]
"""PSS and what is private of it."""


def memory(*pids: int) -> Memory:
    infos = [psutil.Process(pid).memory_full_info() for pid in pids]
    return sum(int(info.pss) for info in infos), sum(int(info.uss) for info in infos)


def measure(served: Served, until_s: float) -> list[tuple[float, Memory, Memory, Memory]]:
    """Measure the memory of supervisor, launcher and workers now and then."""
    supervisor, launcher = served.family
    workers = [row["pid"] for row in served.status()["contexts"]]
    rows = []
    pause = threading.Event()
    while (now_s := time.monotonic()) < until_s:
        rows.append((now_s, memory(supervisor), memory(launcher), memory(*workers)))
        pause.wait(min(MEASURE_EVERY_S, max(0.0, until_s - time.monotonic())))
    return rows


def slopes(rows: list[tuple[float, Memory, Memory, Memory]]) -> dict[str, dict[str, float]]:
    """Fit a line to each memory in the second half. KiB and KiB per minute; workers on average."""
    minutes = np.array([row[0] for row in rows]) / 60
    half = len(rows) // 2
    table = {}
    for column, (name, nr) in enumerate((("supervisor", 1), ("launcher", 1), ("worker", NR_CONTEXTS)), start=1):
        kib = np.array([row[column] for row in rows]) / 1024 / nr
        steep = [float(np.polyfit(minutes[half:] - minutes[half], each, 1)[0]) for each in kib[half:].T]
        table[name] = {
            "pss_start_kib": round(float(kib[0, 0])),
            "pss_end_kib": round(float(kib[-1, 0])),
            "pss_kib_per_min": round(steep[0], 2),
            "private_end_kib": round(float(kib[-1, 1])),
            "private_kib_per_min": round(steep[1], 2),
        }
    return table


def soak(minutes: float) -> dict[str, Any]:
    """Run the service; return what was found."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="damond-soak-") as folder:
        served = Served(Path(folder), "".join(synthetic(f"c{number}") for number in range(NR_CONTEXTS)))
        try:
            until_s = time.monotonic() + minutes * 60
            pipes = [spawn.Pipe(duplex=False) for _ in range(NR_SUBSCRIBERS)]
            readers = [spawn.Process(target=subscriber, args=(served.run, until_s, pipe[1])) for pipe in pipes]
            for reader in readers:
                reader.start()
            rows = measure(served, until_s)
            found = [pipe[0].recv() for pipe in pipes]
            for reader in readers:
                reader.join()
            status = served.status()
            served.end()
        finally:
            served.abandon()
    contexts = status["contexts"]
    return {
        "minutes": minutes,
        "contexts": NR_CONTEXTS,
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "subscribers": found,
        "memory": slopes(rows),
        "restarts": sum(row["restarts"] for row in contexts),
        "missed_at_hub": sum(status["drops"]["missed"].values()),
        "cpu_s": round(sum(row["process"]["cpu_s"] for row in contexts), 1),
    }


def show(result: Mapping[str, Any]) -> None:
    """Print the table, and the JSON behind it."""
    print(f"{result['minutes']:g} min, {result['contexts']} contexts at 10 Hz, load {result['load_average'][0]:.1f}")
    print(f"{'KiB':<12}{'PSS start':>10}{'PSS end':>10}{'per min':>10}{'private':>10}{'per min':>10}")
    for name, row in result["memory"].items():
        print(f"{name:<12}" + "".join(f"{each:>10}" for each in row.values()))
    print(f"{'latency, ms':<12}" + "".join(f"{f'p{each}':>10}" for each in PERCENTILES), end="")
    print(f"{'received':>10}{'missed':>8}")
    for number, row in enumerate(result["subscribers"]):
        print(f"{number:<12}" + "".join(f"{each:>10}" for each in row["latency_ms"].values()), end="")
        print(f"{row['received']:>10}{row['missed']:>8}")
    print(f"restarts {result['restarts']}, missed at the hub {result['missed_at_hub']}")
    print(json.dumps(result))


def is_good(result: Mapping[str, Any]) -> bool:
    """Judge."""
    lost = sum(row["missed"] + row["restarted"] for row in result["subscribers"])
    steep = [name for name, row in result["memory"].items() if row["private_kib_per_min"] > ALLOWED_SLOPE]
    return not (lost or steep or result["restarts"] or result["missed_at_hub"])


if __name__ == "__main__":
    outcome = soak(float(os.environ.get("SOAK_MINUTES", "30")))
    show(outcome)
    sys.exit(not is_good(outcome))
