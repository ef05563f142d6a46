"""What damo itself makes of our export: every report accepts it, and tells our numbers."""

import json
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from damond.core import Mapping, Origin, ProcessMemory, Snapshot, Summary
from damond.record import Record, RecordWriter
from tests.record.formats.damo_program import Damo, installed
from tests.record.make import AGGR_NS, HOST, START_NS, make_snapshot, make_target

DAMOND = [sys.executable, "-m", "damond"]
MIB = 1024 * 1024
NR_SNAPSHOTS = 60
BASE = 0x7F0000000000


@pytest.fixture(scope="module")
def damo(request: pytest.FixtureRequest) -> Iterator[Damo]:
    """Give damo, installed."""
    with installed(Path(request.config.cache.mkdir("damo"))) as found:
        yield found


def _snapshot(number: int) -> Snapshot:
    """Make four regions of 16 MiB, of which one after the other is hot for 1.5 s, and one of 1 MiB that is lukewarm."""
    hot = number // 15
    rows = [
        (BASE + index * 16 * MIB, 16 * MIB, 20 if index == hot else 0, number % 15 if index == hot else number)
        for index in range(4)
    ]
    return make_snapshot(number, make_target([*rows, (BASE + 128 * MIB, MIB, number % 3, 0)], 4242, pid=4242))


@pytest.fixture(scope="module")
def exported(damo: Damo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export a record of 60 snapshots, as a user does; damo finds it where it runs."""
    path = tmp_path_factory.mktemp("record") / "a.damond"
    memory = ProcessMemory(
        target_id=4242, pid=4242, vsz_bytes=256 * MIB, rss_bytes=64 * MIB,
        mappings=(Mapping(BASE, BASE + 129 * MIB, "anonymous"),),
    )  # fmt: skip
    with RecordWriter(path) as writer:
        for number in range(NR_SNAPSHOTS):
            writer.add(_snapshot(number))
        writer.add(
            Summary(
                context="web", end_ns=START_NS + AGGR_NS, total_bytes=65 * MIB, accessed_bytes=0, bandwidth_bps=0,
                nr_regions=5, checks_per_s=1.0, cpu_fraction=0.0, memory=(memory,),
                origin=Origin(host=HOST, epoch=1, seq=0),
            )
        )  # fmt: skip
    data = damo.directory / "web.data"
    done = subprocess.run(
        [*DAMOND, "export", "--format", "damo", "-o", str(data), str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.usefixtures("exported")
def test_wss(damo: Damo) -> None:
    """The working set of each window, in its order."""
    text = damo.run(
        "report",
        "wss",
        "--raw_number",
        "--all_wss",
        "--exclude_samples",
        "0",
        "--sortby",
        "time",
        "--input",
        "web.data",
    )
    found = [int(line.split()[1]) for line in text.splitlines() if not line.startswith("#") and line.strip()]
    assert found == [_snapshot(number).accessed_bytes for number in range(NR_SNAPSHOTS)]


@pytest.mark.usefixtures("exported")
def test_nr_regions(damo: Damo) -> None:
    """As many regions as there are."""
    text = damo.run("report", "nr_regions", "--input", "web.data")
    assert set(re.findall(r"^\d+\t(\d+)", text, re.MULTILINE)) == {"5"}


@pytest.mark.usefixtures("exported")
def test_heatmap(damo: Damo) -> None:
    """The hot region moves on every 1.5 s; drawn too."""
    where = ["--address_range", str(BASE), str(BASE + 64 * MIB)]
    text = damo.run("report", "heatmap", "--output", "raw", "--resol", "4", "4", *where, "--input", "web.data")
    cells = np.array([float(line.split()[2]) for line in text.splitlines()]).reshape(4, 4)
    assert cells.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert len(damo.run("report", "heatmap", "--input", "web.data")) > 1000


STYLES = ("detailed", "simple-boxes", "temperature-sz-hist", "recency-sz-hist", "recency-percentiles",
          "temperature-percentiles", "cold", "hot")  # fmt: skip


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize("style", STYLES)
def test_access(damo: Damo, style: str) -> None:
    """Every style of the report on accesses has something to say."""
    assert len(damo.run("report", "access", "--style", style, "--input", "web.data").splitlines()) > 3


@pytest.mark.usefixtures("exported")
def test_access_numbers(damo: Damo) -> None:
    """Addresses, accesses and ages of the last snapshot are ours."""
    text = damo.run("report", "access", "--json", "--raw_number", "--input", "web.data")
    (record,) = json.loads(text)
    last = record["snapshots"][-1]
    (target,) = _snapshot(NR_SNAPSHOTS - 1).targets
    got = sorted(
        (int(each["start"].replace(",", "")), int(each["nr_accesses"]["samples"]), int(each["age"]["aggr_intervals"]))
        for each in last["regions"]
    )
    assert got == list(zip(target.start.tolist(), target.nr_accesses.tolist(), target.age.tolist(), strict=True))


@pytest.mark.usefixtures("exported")
def test_holistic_and_footprints(damo: Damo) -> None:
    """RSS and VSZ come from what was recorded with it."""
    text = damo.run(
        "report", "holistic", "--access_pattern", "web.data", "--perf_path", "/bin/true"
    )  # perf is not the question
    assert re.search(r"rss +64.000 MiB", text)
    assert re.search(r"vsz +256.000 MiB", text)
    assert re.search(r"wss +16.000 MiB", text)
    assert "64.000 MiB" in damo.run("report", "footprints", "rss", "--input", "web.data.mem_footprint")


@pytest.mark.usefixtures("exported")
def test_times(damo: Damo) -> None:
    """The times at which something was as it is asked for."""
    text = damo.run("report", "times", "--access_rate", "100%", "100%", "--inputs", "web.data", "web.data.profile")
    ranges = re.findall(r"^([\d.]+)-([\d.]+)$", text, re.MULTILINE)
    assert float(ranges[0][0]) == pytest.approx(START_NS / 1e9, abs=1e-3)
    assert float(ranges[-1][1]) == pytest.approx(START_NS / 1e9 + 6.0, abs=1e-3)


@pytest.mark.usefixtures("exported")
def test_validate(damo: Damo) -> None:
    """Intervals, regions and accesses are those of a record that is in order."""
    assert "invalid" not in damo.run("validate", "--input", "web.data")


@pytest.mark.usefixtures("exported")
def test_adjust(damo: Damo) -> None:
    """It can be summed up over longer intervals; what comes out can be imported."""
    longer = ["--aggregate_interval", "500000", "--skip", "0", "--output_permission", "644"]
    damo.run("adjust", *longer, "--input", "web.data", "--output", "adjusted.data")
    (record,) = json.loads(zlib.decompress((damo.directory / "adjusted.data").read_bytes()))
    assert len(record["snapshots"]) == 12


@pytest.mark.parametrize("kind", ["json_compressed", "json", "perf_script"])
def test_convert_there_and_back(damo: Damo, exported: Path, kind: str, tmp_path: Path) -> None:
    """Whatever damo makes of our export, an import brings the same regions, accesses and ages back."""
    name = f"converted.{kind}"
    damo.run("convert_record_format", "--record_file", "web.data", "--format", kind, "--output_file", name)
    done = subprocess.run(
        [*DAMOND, "import", "--name", "web", "-o", str(tmp_path / "b"), str(damo.directory / name)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Record.open(exported) as before, Record.open(tmp_path / "b") as after:
        for one, other in zip(before.snapshots("web"), after.snapshots("web"), strict=True):
            assert other.end_ns == pytest.approx(one.end_ns, abs=1000)
            assert other.start_ns == pytest.approx(one.start_ns, abs=1000)
            for mine, theirs in zip(one.targets, other.targets, strict=True):
                for column in ("start", "size", "nr_accesses", "age"):
                    np.testing.assert_array_equal(getattr(mine, column), getattr(theirs, column))
