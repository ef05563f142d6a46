"""The page in a real browser: what is drawn is what the synthetic memory does."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from damond.client import subscribe
from damond.record.writer import RecordWriter
from tests.web.conftest import LIMIT_S, Program
from tests.web.conftest import page as page_of

CHROMIUM = os.environ.get("DAMOND_CHROMIUM") or shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium: apt-get install chromium, or name one in DAMOND_CHROMIUM"
)
MIB = 1 << 20

# The bright pixels just left of the right edge of the picture, as addresses of the context's 256 MiB.
HOT = """() => {
    if (!heatmap.plot || heatmap.map.areas.length !== 1) return null;
    const { left, top, width, height } = heatmap.plot.bbox, area = heatmap.map.areas[0];
    const column = heatmap.plot.ctx.getImageData(left + width - 2, top, 1, height).data, bright = [];
    for (let y = 0; y < height; y++) if (column[4 * y] + column[4 * y + 1] + column[4 * y + 2] > 550) bright.push(y);
    if (!bright.length) return null;
    const address = (y) => Number(area.start) + area.bytes * y / height;
    return [address(bright[0]), address(bright.at(-1) + 1)];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium that talks to nobody but the page."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    quiet = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
    quiet += ["disable-component-update", "disable-sync"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=[f"--{each}" for each in quiet])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Any]:
    """The page, opened; it must load nothing from elsewhere and report no error."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(LIMIT_S * 1000)
    errors, loaded = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: loaded.append(request.url))
    page.goto(f"{address}#hops")
    yield page
    page.close()
    assert errors == []
    assert [url for url in loaded if not url.startswith((address, "data:"))] == []


def wait_for_hot(page: Any, start: int, end: int) -> None:
    """Wait until the newest column is hot just between two addresses, give or take a row and what adaptation leaves."""
    slack = 6 * MIB
    near = f"Math.abs(hot[0] - {start}) < {slack} && Math.abs(hot[1] - {end}) < {slack}"
    page.wait_for_function(f"() => {{ const hot = ({HOT})(); return hot && {near}; }}")


def test_shows_what_is_hot_and_follows(opened: Any, service: Program) -> None:
    """The hot range is drawn where it is, again where it has moved to, and again once the service is back."""
    opened.check("#everything")
    wait_for_hot(opened, 192 * MIB, 224 * MIB)
    assert opened.inner_text("#name") == "hops"
    assert re.search(r"finds hot areas of\s+[\d.]+ [KM]iB in a minute", opened.inner_text("#figures"), re.IGNORECASE)
    service.end(kill=True)
    opened.wait_for_function("() => document.querySelector('#trouble').textContent.includes('no supervisor')")
    config = Path(service.arguments[service.arguments.index("--config") + 1])
    config.write_text(config.read_text().replace(', until = "7s"', "").replace('"192MiB"', '"64MiB"'))
    service.start()
    wait_for_hot(opened, 64 * MIB, 96 * MIB)
    opened.wait_for_selector("#trouble", state="hidden")


def test_switches(opened: Any) -> None:
    """Another context is shown on request; one that does not run says why."""
    opened.click("text=still")
    opened.wait_for_function("() => view?.context === 'still' && view.newest")
    assert "working set" in opened.inner_text("#figures")
    opened.click("text=later")
    opened.wait_for_function("() => document.querySelector('#state').textContent.includes('stopped')")
    assert "never started" in opened.inner_text("#why")


def test_sorts_regions(opened: Any) -> None:
    """The table of regions sorts by the column that is chosen, either way."""
    opened.click("text=still")
    opened.wait_for_function("() => view?.context === 'still' && view.newest && view.regions.length > 2")
    starts = "[...document.querySelectorAll('#regions tbody code')].map((each) => Number(each.textContent))"
    opened.click("#regions button[data-key=start]")
    opened.click("#pause")
    ascending = opened.evaluate(starts)
    assert ascending == sorted(ascending)
    opened.click("#regions button[data-key=start]")
    assert opened.evaluate(starts) == ascending[::-1]


def test_back_in_time(browser: Any, runtime_dir: Path, tmp_path: Path) -> None:
    """A span of the record is drawn on request, and the live picture is a click away."""
    writer = RecordWriter(tmp_path / "record")
    for snapshot, _ in zip(subscribe("still", runtime_dir=runtime_dir), range(20), strict=False):
        writer.add(snapshot)
    writer.close()
    program = page_of(runtime_dir, "--record", str(tmp_path / "record"))
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.goto(f"{program.start().split()[1]}#still")
    opened.click("#show")
    opened.wait_for_function("() => view?.newest?.past && heatmap.plot")
    assert opened.evaluate("view.newest.nr_windows") == 20
    assert opened.get_attribute("#live", "aria-pressed") == "false"
    opened.click("#live")
    opened.wait_for_function("() => view?.newest && !view.newest.past")
    opened.close()
    program.end()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow(browser: Any, address: str, scheme: str) -> None:
    """On a phone nothing is cut off at the side, in the light and in the dark."""
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.goto(f"{address}#still")
    page.wait_for_function("() => view?.newest && heatmap.plot")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(18, 19, 25)") is (scheme == "dark")
    page.close()
