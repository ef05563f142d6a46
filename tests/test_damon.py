"""The API of damon.h under its kernel names."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from damond import damon
from damond.core import Snapshot
from damond.errors import BusyError, DamondError, InvalidAttrsError, InvalidRegionError, NotRunningError, UsageError
from damond.stream.wire import Event

LIMIT_S = 60.0

HEADER = (
    "damon_new_region",
    "damon_insert_region",
    "damon_add_region",
    "damon_destroy_region",
    "damon_new_target",
    "damon_add_target",
    "damon_free_target",
    "damon_destroy_target",
    "damon_nr_regions",
    "damon_new_ctx",
    "damon_destroy_ctx",
    "damon_set_targets",
    "damon_set_attrs",
    "damon_nr_running_ctxs",
    "damon_start",
    "damon_stop",
    "damon_next_region",
    "damon_prev_region",
    "damon_for_each_region",
    "damon_for_each_region_safe",
    "damon_for_each_target",
    "damon_for_each_target_safe",
    "damon_va_init",
    "damon_va_update",
    "damon_va_prepare_access_checks",
    "damon_va_check_accesses",
    "damon_va_target_valid",
    "damon_va_cleanup",
    "damon_va_set_primitives",
    "damon_addr_range",
    "damon_region",
    "damon_target",
    "damon_ctx",
    "damon_primitive",
    "damon_callback",
)


@pytest.mark.parametrize("name", HEADER)
def test_header_is_complete(name: str) -> None:
    """Every name of the header is there and documented."""
    assert getattr(damon, name).__doc__


def test_target() -> None:
    """damon_test_target (core-test.h): a target comes and goes."""
    ctx = damon.damon_new_ctx()
    target = damon.damon_new_target(42)
    assert target.id == 42
    assert list(damon.damon_for_each_target(ctx)) == []
    damon.damon_add_target(ctx, target)
    assert list(damon.damon_for_each_target(ctx)) == [target]
    damon.damon_destroy_target(target, ctx)
    assert list(damon.damon_for_each_target_safe(ctx)) == []


def test_regions() -> None:
    """damon_test_regions (core-test.h): a region comes and goes."""
    region = damon.damon_new_region(1, 2)
    assert (region.start, region.end, region.nr_accesses) == (1, 2, 0)
    target = damon.damon_new_target(42)
    assert damon.damon_nr_regions(target) == 0
    damon.damon_add_region(region, target)
    assert damon.damon_nr_regions(target) == 1
    damon.damon_destroy_region(region, target)
    assert damon.damon_nr_regions(target) == 0


def test_neighbours() -> None:
    """Regions are inserted between neighbours and walked in both directions."""
    target = damon.damon_new_target(1)
    left, middle, right = (damon.damon_new_region(start, start + 10) for start in (0, 10, 20))
    damon.damon_add_region(left, target)
    damon.damon_add_region(right, target)
    damon.damon_insert_region(middle, left, right, target)
    starts = [region.start for region in damon.damon_for_each_region(target)]
    assert starts == [0, 10, 20]
    assert [r.start for r in damon.damon_for_each_region_safe(target)] == starts
    following = damon.damon_next_region(left, target)
    assert following is not None
    assert following.start == 10
    assert damon.damon_prev_region(left, target) is None
    assert damon.damon_next_region(right, target) is None


@pytest.mark.parametrize("bounds", [(2, 2), (3, 2)], ids=["empty", "negative"])
def test_bad_region(bounds: tuple[int, int]) -> None:
    """An empty or negative region is EINVAL."""
    with pytest.raises(InvalidRegionError) as caught:
        damon.damon_new_region(*bounds)
    assert caught.value.errno == errno.EINVAL


def test_unsorted_regions() -> None:
    """A region that is not behind the last one is refused, and the target stays as it was."""
    target = damon.damon_new_target(1)
    damon.damon_add_region(damon.damon_new_region(10, 20), target)
    with pytest.raises(InvalidRegionError):
        damon.damon_add_region(damon.damon_new_region(5, 12), target)
    assert damon.damon_nr_regions(target) == 1


@pytest.mark.parametrize(
    ("args", "field"),
    [
        pytest.param((5000, 100_000, 0, 2, 10), "min_nr_regions", id="min below three"),
        pytest.param((5000, 100_000, 0, 10, 9), "max_nr_regions", id="max below min"),
        pytest.param((5000, 4999, 0, 10, 1000), "aggr_interval", id="aggregation below sample"),
        pytest.param((0, 4999, 0, 10, 1000), "sample_interval", id="no sample"),
    ],
)
def test_set_attrs(args: tuple[int, int, int, int, int], field: str) -> None:
    """EINVAL names the field, and the old attributes stay."""
    ctx = damon.damon_new_ctx()
    with pytest.raises(InvalidAttrsError) as caught:
        damon.damon_set_attrs(ctx, *args)
    assert (caught.value.errno, caught.value.field) == (errno.EINVAL, field)
    assert (ctx.sample_interval, ctx.aggr_interval, ctx.primitive_update_interval) == (5000, 100_000, 60_000_000)
    assert (ctx.min_nr_regions, ctx.max_nr_regions) == (10, 1000)


def test_set_targets() -> None:
    """New targets replace the old ones, in order; the same id twice is refused."""
    ctx = damon.damon_new_ctx()
    damon.damon_set_targets(ctx, [3, 1, 2], 2)
    assert [t.id for t in damon.damon_for_each_target(ctx)] == [3, 1]
    with pytest.raises(UsageError):
        damon.damon_set_targets(ctx, [1, 1])
    assert [t.id for t in damon.damon_for_each_target(ctx)] == [3, 1]


@pytest.fixture
def contexts() -> Iterator[list[damon.damon_ctx]]:
    """Two contexts on synthetic memory; destroyed, hence stopped, at the end."""
    made = [damon.damon_new_ctx() for _ in range(2)]
    for ctx in made:
        ctx.primitive = "synthetic"
    yield made
    for ctx in made:
        damon.damon_destroy_ctx(ctx)
    assert damon.damon_nr_running_ctxs() == 0


def test_start_and_stop(contexts: list[damon.damon_ctx]) -> None:
    """A group runs until it is stopped; meanwhile nothing else starts (EBUSY); what is stopped can't be (EPERM)."""
    with damon.damon_subscribe(contexts[0]) as subscriber:
        damon.damon_start(contexts, 2)
        assert damon.damon_nr_running_ctxs() == 2
        assert contexts[0].kdamond != contexts[1].kdamond
        with pytest.raises(BusyError) as busy:
            damon.damon_start([damon.damon_new_ctx()])
        assert busy.value.errno == errno.EBUSY
        snapshot = subscriber.receive(LIMIT_S)
    assert isinstance(snapshot, Snapshot)
    assert snapshot.context == contexts[0].name
    damon.damon_stop(contexts)
    assert contexts[0].kdamond is None
    with pytest.raises(NotRunningError) as stopped:
        damon.damon_stop(contexts)
    assert stopped.value.errno == errno.EPERM


def test_no_rollback(contexts: list[damon.damon_ctx]) -> None:
    """As in 5.15, what was started before a failure keeps running, and stop ends at the first that does not run."""
    contexts[1].primitive = None
    with pytest.raises(UsageError):
        damon.damon_start(contexts)
    assert damon.damon_nr_running_ctxs() == 1
    with pytest.raises(NotRunningError):
        damon.damon_stop(contexts[::-1])
    assert damon.damon_nr_running_ctxs() == 1


def keep_going(ctx: object) -> bool:
    """A callback of a module that the worker can import."""
    return False


def test_callbacks_must_be_importable(contexts: list[damon.damon_ctx]) -> None:
    """What the worker can't import is refused before it starts."""
    contexts[0].callback.after_sampling = lambda _: None
    with pytest.raises(UsageError, match="can't be imported"):
        damon.damon_start(contexts)


CALLBACKS = """
def before_start(ctx):
    ctx.callback.private.append(["before_start", ctx.nr_regions])

def after_aggregation(ctx):
    ctx.callback.private.append(["after_aggregation", ctx.nr_regions])
    return True

def before_terminate(ctx):
    ctx.callback.private.append(["before_terminate", ctx.nr_regions])
    with open(FILE, "w") as file:
        print(ctx.callback.private, file=file)
"""


def test_callbacks_run_in_the_worker(
    contexts: list[damon.damon_ctx], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callbacks are called in order with the context and its regions, and a true return ends the monitoring."""
    result = tmp_path / "result"
    (tmp_path / "callbacks_of_a_test.py").write_text(f"FILE = {str(result)!r}\n{CALLBACKS}")
    line = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from damond import damon
ctx = damon.damon_new_ctx()
ctx.primitive = "synthetic"
import callbacks_of_a_test as c
ctx.callback = damon.damon_callback([], c.before_start, None, c.after_aggregation, c.before_terminate)
with damon.damon_subscribe(ctx, kinds=("event",)) as subscriber:
    damon.damon_start([ctx])
    for event in subscriber:
        if event.event == "stopped":
            print(event.reason)
            break
"""
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "callback\n"
    calls = eval(result.read_text())  # noqa: S307 - written by this test
    assert [name for name, _ in calls] == ["before_start", "after_aggregation", "before_terminate"]
    assert all(count >= 10 for _, count in calls)


def test_vaddr_functions_on_this_process() -> None:
    """The damon_va functions work by hand, as a kernel module would call them."""
    ctx = damon.damon_new_ctx()
    damon.damon_va_set_primitives(ctx)
    ctx.options = {"source": "referenced"}
    damon.damon_set_targets(ctx, [os.getpid()])
    damon.damon_va_init(ctx)
    try:
        (target,) = damon.damon_for_each_target(ctx)
        assert damon.damon_va_target_valid(target, ctx)
        assert damon.damon_nr_regions(target) >= 3
        damon.damon_va_prepare_access_checks(ctx)
        assert damon.damon_va_check_accesses(ctx) in (0, 1)
        damon.damon_va_update(ctx)
        assert damon.damon_nr_regions(target) >= 3
    finally:
        damon.damon_va_cleanup(ctx)


def test_target_that_ends() -> None:
    """The context of a process that ends is over by itself, and says why."""
    ctx = damon.damon_new_ctx()
    damon.damon_va_set_primitives(ctx)
    ctx.options = {"source": "referenced"}
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process,
        damon.damon_subscribe(ctx, kinds=("event",)) as subscriber,
    ):
        assert process.stdin is not None
        damon.damon_set_targets(ctx, [process.pid])
        damon.damon_start([ctx])
        assert ctx.kdamond is not None
        process.stdin.write(b"\n")
        process.stdin.close()
        events = []
        while not events or events[-1].event != "stopped":
            event = subscriber.receive(LIMIT_S)
            assert isinstance(event, Event)
            events.append(event)
    assert [each.event for each in events][-3:] == ["target_gone", "stopping", "stopped"]
    assert events[-1].reason == "target_gone"
    deadline = time.monotonic() + LIMIT_S
    while damon.damon_nr_running_ctxs():
        assert time.monotonic() < deadline


def _wrong_types() -> list[object]:
    ctx, target, region = damon.damon_new_ctx(), damon.damon_new_target(1), damon.damon_new_region(0, 1)
    calls = {
        "text as an address": lambda: damon.damon_new_region("0", 4096),
        "fraction as an address": lambda: damon.damon_new_region(0, 4096.0),
        "nothing as an address": lambda: damon.damon_new_region(None, 4096),
        "truth as an id": lambda: damon.damon_new_target(True),
        "pair as a region": lambda: damon.damon_add_region((0, 4096), target),
        "id as a target": lambda: damon.damon_add_region(region, 1),
        "nothing as a region": lambda: damon.damon_destroy_region(None, target),
        "text as a neighbour": lambda: damon.damon_insert_region(region, "", None, target),
        "context as a target": lambda: damon.damon_nr_regions(ctx),
        "target and context swapped": lambda: damon.damon_add_target(target, ctx),
        "target of another context": lambda: damon.damon_destroy_target(target, ctx),
        "one id for a list": lambda: damon.damon_set_targets(ctx, 1),
        "texts as ids": lambda: damon.damon_set_targets(ctx, ["1"]),
        "text for a list": lambda: damon.damon_set_targets(ctx, "12"),
        "more ids than there are": lambda: damon.damon_set_targets(ctx, [1], 2),
        "fewer than none": lambda: damon.damon_set_targets(ctx, [1], -1),
        "text as an interval": lambda: damon.damon_set_attrs(ctx, "5ms", 100_000, 0, 10, 1000),
        "name as a context": lambda: damon.damon_set_attrs("ctx", 5_000, 100_000, 0, 10, 1000),
        "one context for a list": lambda: damon.damon_start(ctx),
        "names as contexts": lambda: damon.damon_stop(["ctx"]),
        "name as a context to subscribe to": lambda: damon.damon_subscribe("ctx"),
        "nothing as a context": lambda: damon.damon_destroy_ctx(None),
        "pid as a context": lambda: damon.damon_va_init(1),
        "no init before the first check": lambda: damon.damon_va_prepare_access_checks(ctx),
    }
    return [pytest.param(call, id=name) for name, call in calls.items()]


@pytest.mark.parametrize("call", _wrong_types())
def test_wrong_types(call: Callable[[], object]) -> None:
    """What C's compiler would refuse is EINVAL with words on what to do; no TypeError or AttributeError gets out."""
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.errno == errno.EINVAL
    assert caught.value.hint


@pytest.mark.parametrize("bounds", [(0, 2**64), (2**70, 2**71), (-1, 1)], ids=["end", "both", "below zero"])
def test_addresses_beyond_all(bounds: tuple[int, int]) -> None:
    """What no column can hold is no region: EINVAL, not an overflow later."""
    with pytest.raises(InvalidRegionError, match="is no address range"):
        damon.damon_new_region(*bounds)


def test_whole_numbers_of_numpy() -> None:
    """Numbers that come out of columns are taken as what they are, and lists may be anything that is iterated."""
    ctx = damon.damon_new_ctx()
    damon.damon_set_targets(ctx, np.array([3, 1], np.uint64))
    assert [(type(t.id), t.id) for t in damon.damon_for_each_target(ctx)] == [(int, 3), (int, 1)]
    region = damon.damon_new_region(np.uint64(4096), np.uint64(8192))
    assert (type(region.start), region) == (int, damon.damon_new_region(4096, 8192))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"primitive": 3}, id="number as a primitive"),
        pytest.param({"primitive": "vaddr"}, id="no target for vaddr"),
        pytest.param({"primitive": "synthetic", "options": {"sise": 1}}, id="unknown option"),
        pytest.param({"primitive": "synthetic", "callback": damon.damon_callback(None, 3)}, id="number as a callback"),
    ],
)
def test_contexts_that_cannot_start(changes: dict[str, object]) -> None:
    """What a context was set to is checked when it starts: EINVAL with a hint, and nothing runs."""
    ctx = damon.damon_new_ctx()
    for name, value in changes.items():
        setattr(ctx, name, value)
    with pytest.raises(DamondError) as caught:
        damon.damon_start([ctx])
    assert caught.value.errno == errno.EINVAL
    assert caught.value.hint
    assert damon.damon_nr_running_ctxs() == 0
