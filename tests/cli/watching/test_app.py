"""What a person sees of a real service, and what the keys do."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from damond.cli import ramp
from damond.client import Client
from damond.core import AddrRange
from damond.plugin import Registry

MIB = 1 << 20
STEPS = 4
SIZE = 64 * MIB
MOVER_OPTIONS = {
    "size": SIZE,
    "tracks": [{"start": 0, "size": SIZE // STEPS, "move": "hop", "move_period": "24s"}],
}
MOVER = """
[service]
max_cpu = "off"
[context.mover]
primitive = "synthetic"
sample_interval = "10ms"
aggr_interval = "100ms"
max_cpu = "off"
max_nr_regions = 40
[context.mover.options]
size = "64MiB"
tracks = [{ start = 0, size = "16MiB", move = "hop", move_period = "24s" }]
"""


PACE = """
sample_interval = "20ms"
aggr_interval = "100ms"
max_cpu = "off"
"""
"""Windows of a tenth of a second whatever the machine has to do: without, a budget would make them longer."""


def synthetic(*names: str) -> str:
    return '[service]\nmax_cpu = "off"\n' + "".join(
        f'[context.{name}]\nprimitive = "synthetic"\n{PACE}' for name in names
    )


@pytest.fixture(scope="module")
def truth() -> list[AddrRange]:
    """Where the mover is hot, in the order in which it comes there: the memory says so itself."""
    memory = Registry(offering="synthetic").make("synthetic", MOVER_OPTIONS).memory
    places = [memory.at(second * 1_000_000, 10_000).hot_ranges(0.9) for second in range(24)]
    assert all(len(each) == 1 for each in places)
    found = list(dict.fromkeys(each[0] for each in places))
    assert len(found) == STEPS
    return found


def hot_range(panel: list[str]) -> tuple[AddrRange, int] | None:
    """The addresses of the rows that are hot in the last column but one, and how many a row has."""
    rows = [(int(line[:12], 16), line) for line in panel if re.match(r"[0-9a-f]{12} ", line)]
    starts = [start for start, _ in rows] + [SIZE]
    width = max((len(line) for _, line in rows), default=0)
    hot = [
        AddrRange(start, end)
        for (start, line), end in zip(rows, starts[1:], strict=True)
        if line.ljust(width)[-2] in ramp.CHARACTERS[-3:]
    ]
    return (AddrRange(hot[0].start, hot[-1].end), starts[1]) if hot else None


def is_at(found: AddrRange, row: int, place: AddrRange) -> bool:
    return abs(found.start - place.start) <= row and abs(found.end - place.end) <= row


def test_the_hot_range_is_that_of_the_memory_and_followed(
    serve: Callable[..., Any], drive: Callable[..., None], truth: list[AddrRange]
) -> None:
    """What is drawn hot is what the script touches, within a row of 17, and it moves as the script moves."""

    async def scenario(view: Any) -> None:
        await view.press("a")
        seen: list[int] = []

        def next_place() -> list[int]:
            found = hot_range(view.panel("heat"))
            return (
                [] if found is None else [at for at in range(STEPS) if is_at(*found, truth[at]) and [at] != seen[-1:]]
            )

        while len(seen) < STEPS:
            seen += await view.until(next_place)
        assert all((after - before) % STEPS == 1 for before, after in pairwise(seen))

    service = serve(MOVER)
    drive(service.run_dir, scenario, name="mover")


ANY_SIZE = r"[\d.]+ ([KMG]i)?B"


def test_every_number_has_its_unit(serve: Callable[..., Any], drive: Callable[..., None]) -> None:
    """Sizes, shares, intervals, rates: no bare number but counts."""

    async def scenario(view: Any) -> None:
        await view.sees("watched for")
        assert re.search(rf"WSS {ANY_SIZE} of 1 GiB monitored \(<?\d+ %\)", view.text)
        assert re.search(r"CPU [\d.]+ % \| [\d,]+ checks/s \| \d+ regions", view.text)
        assert re.search(rf"finds hot areas of {ANY_SIZE} in a minute", view.text)
        assert re.search(r"rate 0 \[ \.:-=\+\*#%@\] 100 %  cell 500 ms x [\d.]+ MiB", view.text)
        assert re.search(rf"WSS now {ANY_SIZE}, p50 {ANY_SIZE}, p95 {ANY_SIZE} in [\d.]+ (ms|s)", view.text)
        assert re.search(r"\|-10 s .* \d\d:\d\d:\d\d", view.text)
        regions = view.panel("regions")[2:]
        row = re.compile(r"[0-9a-f]{12} +[\d.]+ [KMG]iB +<?\d+ % +[\d.]+ (ms|s|min)\b")
        assert [line for line in regions if line and not row.match(line)] == []
        idle = [line for line in view.panel("idle")[1:] if not line.startswith("watched")]
        assert [line for line in idle if line and not re.search(r" [\d.]+ ([KMG]i)?B +<?\d+ %", line)] == []

    service = serve(synthetic("one"))
    drive(service.run_dir, scenario)


def test_states_by_name(serve: Callable[..., Any], drive: Callable[..., None]) -> None:
    """A paused, a stopped and a failed context: the word, why, what helps; what is old is called so."""

    async def scenario(view: Any) -> None:
        await view.until(lambda: re.search(r"CPU [\d.]+ %", "".join(view.panel("facts"))))
        with Client(service.run_dir) as client:
            client.pause("one")
            await view.sees("one paused: what is shown is old")
            client.resume("one")
            await view.sees("one running |")
            client.stop("one")
            await view.sees("hint: 'damond start one' starts it")
            assert "one stopped: what is shown is old" in view.text
            client.start("one")
            await view.sees("one running |")
        await view.press("p", "p")
        await view.sees("gone failed: ")
        assert "4194304" in "".join(view.panel("facts"))
        assert "hint: " in "".join(view.panel("facts"))
        assert "1 failed" in view.lines[0]

    service = serve()
    drive(service.run_dir, scenario)


def test_the_service_goes_away_and_comes_back(serve: Callable[..., Any], drive: Callable[..., None]) -> None:
    """The view says so, keeps what it has as old, and goes on by itself; the time between is no data."""

    async def scenario(view: Any) -> None:
        await view.sees("watched for")
        service.stop()
        await view.sees("the service is gone")
        await view.sees("one stopped: what is shown is old")
        assert "HEAT MAP" in view.text
        await view.until(lambda: "hint: " not in view.text)  # nobody could start it
        service.start()
        await view.until(lambda: "the service is gone" not in view.text and "one running |" in view.text)
        await view.sees("/ no data")

    service = serve(synthetic("one"))
    drive(service.run_dir, scenario)


def test_contexts_come_and_go(serve: Callable[..., Any], drive: Callable[..., None]) -> None:
    """One that is added to the service is in the list, one that it no longer has is not; the view runs on."""

    def states() -> dict[str, str]:
        rows = (line[1:].split() for line in view_of[0].panel("contexts")[2:])
        return {row[0]: row[1] for row in rows if row}

    async def scenario(view: Any) -> None:
        view_of.append(view)
        await view.until(lambda: states() == {"one": "running", "two": "running"})
        service.configure(synthetic("one", "three"))
        with Client(service.run_dir) as client:
            client.reload()
        await view.until(lambda: states() == {"one": "running", "two": "stopped", "three": "running"})
        service.stop()
        service.start()
        await view.until(lambda: states() == {"one": "running", "three": "running"})

    view_of: list[Any] = []

    service = serve(synthetic("one", "two"))
    drive(service.run_dir, scenario, name="one")


def test_what_is_not_shown_is_skipped_and_counted(serve: Callable[..., Any], drive: Callable[..., None]) -> None:
    """Of the other context only the newest is read; nothing of the shown one is skipped, and nothing is missed."""

    async def scenario(view: Any) -> None:
        await view.press("2")
        rows = view.app.reading.contexts.rows
        await view.until(lambda: "two" in rows and rows["two"].skipped > 20)
        assert rows["one"].skipped == rows["one"].missed == rows["two"].missed == 0
        assert re.search(r"missed 0, skipped \d+", view.lines[0])

    service = serve(synthetic("one", "two"))
    drive(service.run_dir, scenario, name="one")


def test_the_past_is_fetched(serve: Callable[..., Any], drive: Callable[..., None]) -> None:
    """A context that is chosen has the past that the service keeps, not just what comes from then on."""

    async def scenario(view: Any) -> None:
        rows = view.app.reading.contexts.rows
        await view.until(lambda: "two" in rows and rows["two"].skipped > 20)
        await view.press("n")
        await view.until(lambda: view.app.view.shown.name == "two" and view.app.view.moment is not None)
        recent = view.app.view.shown.recent
        await view.until(lambda: recent.end_ns - recent.start_ns > 2 * 10**9)
        first = next(iter(recent)).start_ns
        epoch = rows["two"].newest.origin.epoch
        assert first - epoch < 10**9

    service = serve(synthetic("one", "two"))
    drive(service.run_dir, scenario, name="one")


def test_pausing_keeps_the_picture(serve: Callable[..., Any], drive: Callable[..., None]) -> None:
    """The context runs on, and nothing of it is lost: the picture has it when it goes on."""

    async def scenario(view: Any) -> None:
        await view.sees("watched for")
        await view.press("space")
        await view.sees("PICTURE PAUSED")
        before = (view.panel("heat"), view.panel("regions"), view.panel("idle"))
        shown = view.app.view.shown
        seq = shown.last[1]
        await view.until(lambda: shown.last[1] > seq + 20)
        assert (view.panel("heat"), view.panel("regions"), view.panel("idle")) == before
        await view.press("space")
        await view.until(lambda: view.panel("heat") != before[0])
        assert "PICTURE PAUSED" not in view.text
        assert "missed 0" in view.lines[0]

    service = serve(synthetic("one"))
    drive(service.run_dir, scenario)


def test_sorting(serve: Callable[..., Any], drive: Callable[..., None]) -> None:
    """Each column of the table that has the focus in turn, and the other way around."""

    async def scenario(view: Any) -> None:
        await view.sees("watched for")
        await view.press("space", "tab")
        for key in ("rate", "size", "age", "samples", "address"):
            assert key in view.panel("regions")[0]
            rows = [line for line in view.panel("regions")[2:] if line]
            await view.press("r")
            turned = [line for line in view.panel("regions")[2:] if line]
            assert rows != turned or key == "rate"
            await view.press("s")
        await view.press("s", "s", "s", "s")
        addresses = [line[:12] for line in view.panel("regions")[2:] if line]
        assert addresses == sorted(addresses)

    service = serve(synthetic("one"))
    drive(service.run_dir, scenario)


def test_zooming(serve: Callable[..., Any], drive: Callable[..., None]) -> None:
    """In time: longer columns. In addresses: to the region at the cursor, further in, and out to where it began."""

    async def scenario(view: Any) -> None:
        await view.sees("watched for")
        await view.press("space", "plus")
        assert "cell 1 s x" in view.text
        await view.press("minus", "minus")
        assert "cell 200 ms x" in view.text
        whole = view.panel("heat")
        await view.press("z")
        assert "zoomed to" in view.text
        zoom = view.app.view.zoom
        await view.press("z")
        assert view.app.view.zoom.size == zoom.size - 2 * (zoom.size // 4)
        for _ in range(20):
            await view.press("Z")
        assert view.panel("heat") == whole

    service = serve(synthetic("one"))
    drive(service.run_dir, scenario)


def test_export(
    serve: Callable[..., Any], drive: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PNG of the heat map and an SVG of the screen, in the current directory; it is said where, or why not."""

    async def scenario(view: Any) -> None:
        await view.sees("watched for")
        await view.press("e")
        await view.sees(f"written: {tmp_path}/damond-one-")
        assert written(".png").startswith(b"\x89PNG")
        await view.press("E")
        await view.until(lambda: ".svg" in view.lines[0])
        assert b"HEAT" in written(".svg")

    def written(suffix: str) -> bytes:
        (path,) = tmp_path.glob(f"*{suffix}")
        return path.read_bytes()

    service = serve(synthetic("one"))
    monkeypatch.chdir(tmp_path)
    drive(service.run_dir, scenario)


def test_an_export_that_fails_says_why(
    serve: Callable[..., Any], drive: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view goes on."""

    async def scenario(view: Any) -> None:
        await view.sees("watched for")
        missing.rmdir()
        await view.press("E")
        await view.sees("can't write")

    missing = tmp_path / "missing"
    missing.mkdir()
    service = serve(synthetic("one"))
    monkeypatch.chdir(missing)
    drive(service.run_dir, scenario)


def test_help(serve: Callable[..., Any], drive: Callable[..., None]) -> None:
    """It names every key of the footer and every column that is no plain word, and goes away again."""

    async def scenario(view: Any) -> None:
        await view.press("question_mark")
        text = await view.sees("NUMBERS")
        assert "WSS" in text
        await view.press("escape")
        await view.sees("CONTEXTS")
        await view.press("question_mark")
        await view.sees("NUMBERS")
        await view.press_at_once("x", "y", "z")
        await view.sees("CONTEXTS")

    service = serve(synthetic("one"))
    drive(service.run_dir, scenario)


@pytest.mark.parametrize(
    ("size", "there", "not_there"),
    [
        ((120, 40), "contexts facts heat working-set regions idle", ""),
        ((80, 24), "contexts facts heat working-set regions", "idle"),
        ((80, 17), "contexts facts heat working-set", "regions idle"),
        ((80, 14), "contexts facts heat", "working-set regions idle"),
        ((80, 11), "contexts heat", "facts working-set regions idle"),
        ((60, 24), "facts heat working-set regions", "contexts idle"),
    ],
    ids=["120x40", "80x24", "80x17", "80x14", "80x11", "60x24"],
)
def test_panels_go_in_a_known_order(
    service_of_two: Any, drive: Callable[..., None], size: tuple[int, int], there: str, not_there: str
) -> None:
    """As the terminal shrinks: idle times, regions, working set, facts; the list where it is narrow."""

    async def scenario(view: Any) -> None:
        await view.sees("HEAT MAP")
        await view.until(lambda: all(any(view.panel(name)) for name in there.split()))
        assert [name for name in not_there.split() if view.app.query_one(f"#{name}").region.area] == []
        assert len(view.lines) == size[1]
        assert all(len(line) == size[0] for line in view.lines)

    drive(service_of_two.run_dir, scenario, size=size)


@pytest.fixture
def service_of_two(serve: Callable[..., Any]) -> Any:
    return serve(synthetic("one", "two"))


def test_each_panel_alone(service_of_two: Any, drive: Callable[..., None]) -> None:
    """What has no room in the overview has it for a key; resizing lays out anew."""

    async def scenario(view: Any) -> None:
        await view.sees("HEAT MAP")
        await view.press("5")
        await view.until(lambda: any("IDLE TIME" in line for line in view.lines))
        await view.press("4")
        await view.until(lambda: any("REGIONS" in line for line in view.lines))
        assert "HEAT MAP" not in view.text
        await view.press("2")
        await view.sees("skipped")
        await view.press("1")
        await view.resize(120, 40)
        await view.sees("IDLE TIME")
        assert "HEAT MAP" in view.text

    drive(service_of_two.run_dir, scenario, size=(80, 24))


def test_without_colours(service_of_two: Any, drive: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR: no colour is sent, and heat is a character."""

    async def scenario(view: Any) -> None:
        await view.until(lambda: re.search(r"[0-9a-f]{12} .*[@%#]", "\n".join(view.panel("heat"))))
        strips = view.app.screen._compositor.render_strips()
        styles = [segment.style for strip in strips for segment in strip if segment.style is not None]
        coloured = [each for each in styles if any(part and not part.is_default for part in (each.color, each.bgcolor))]
        assert coloured == []

    monkeypatch.setattr("damond.cli.watching.app.ramp.has_colours", lambda console: True)
    monkeypatch.setenv("NO_COLOR", "1")
    drive(service_of_two.run_dir, scenario)
