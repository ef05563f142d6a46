"""What commands share that monitor by themselves: their options, and a context in a supervisor of their own."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from damond.cli import options
from damond.cli.interrupts import Interrupts
from damond.core import Attrs
from damond.core.context import check_name
from damond.errors import DamondError, UsageError
from damond.plugin import Registry
from damond.service.embedded import EmbeddedSupervisor
from damond.service.pace import DEFAULT_GOAL
from damond.service.spec import ContextSpec, TargetSpec
from damond.stream import wire
from damond.stream.subscriber import Subscriber
from damond.units import USEC_PER_SEC, Usec

_LONGEST_US: Final = USEC_PER_SEC
"""Aggregations are tuned to no longer than this, unless another length is asked for."""

POLL_S: Final = 0.2
"""How soon a Ctrl-C is seen."""

_LAST_MESSAGES_S: Final = 2.0


class Command(click.Command):
    """Everything behind ``--`` is a command line of its own, options included."""

    targets = "[PID... | -- COMMAND [ARG]...]"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put aside what is behind ``--``."""
        if "--" in args:
            at = args.index("--")
            args, ctx.meta["damond.command"] = args[:at], args[at + 1 :]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Say what there may be."""
        return ["[OPTIONS]", self.targets]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options ask for.

    Attributes:
        primitive: Name of the primitive, or ``auto``.
        options: Options of the primitive.
        attrs: Attributes that were given. Microseconds and counts.
        span_us: Stop after this long; None is never. Microseconds.
        autotune_us: The longest aggregation that tuning may come to; 0 is no tuning, None is for us to say.
        max_cpu: CPU time that it may use, of one CPU; None is no bound.
    """

    primitive: str
    options: dict[str, str]
    attrs: dict[str, int]
    span_us: int | None
    autotune_us: int | None = None
    max_cpu: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for that a running service has decided already."""
        tuned = self.autotune_us is not None or self.max_cpu is not None
        return self.primitive == "auto" and not self.options and not self.attrs and not tuned

    def spec(self, name: str, targets: Sequence[int]) -> ContextSpec:
        """Make the context."""
        return ContextSpec(
            name=name,
            primitive=self.primitive,
            options=self.options,
            attrs=self.attrs,
            targets=tuple(TargetSpec(each) for each in dict.fromkeys(targets)),
            intervals_goal=goal(self.autotune_us, self.attrs.get("sample_interval"), self.attrs.get("aggr_interval")),
            max_cpu=self.max_cpu,
            initial_nr_regions=self.attrs.get("max_nr_regions", Attrs().max_nr_regions) // 2,
            strict_min_nr_regions=True,
        )

    def check(self, registry: Registry, pids: Sequence[int], line: Sequence[str]) -> None:
        """Refuse what makes no sense together, before a command is started.

        Raises:
            UsageError: Both or neither of PID and COMMAND.
            UnknownNameError: There is no such primitive.
        """
        if pids and line:
            raise UsageError("both a PID and a COMMAND", hint="give one of them")
        needs_process = registry.watches_processes(self.primitive)
        if needs_process and not pids and not line:
            verb = click.get_current_context().info_name
            raise UsageError(f"nothing to {verb}", hint=f"damond {verb} PID, or damond {verb} -- COMMAND ARG...")
        if (line or pids) and not needs_process:
            raise UsageError(
                f"the primitive {self.primitive!r} does not monitor processes", hint="leave PID and COMMAND out"
            )


def asked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a monitoring; the function gets them as ``asked``."""

    @functools.wraps(function)
    def wrapper(
        *args: Any,
        primitive: str,
        given: tuple[tuple[str, str], ...],
        sample: int | None,
        aggr: int | None,
        update: int | None,
        regions: tuple[int, int] | None,
        autotune: int | None,
        max_cpu: float | None,
        span: int | None,
        **rest: Any,
    ) -> Any:
        if span == 0:
            raise UsageError("--for 0s: there would be nothing to see", hint="leave --for out to go on without limit")
        attrs = {"sample_interval": sample, "aggr_interval": aggr, "primitive_update_interval": update}
        attrs["min_nr_regions"], attrs["max_nr_regions"] = regions or (None, None)
        chosen = {name: value for name, value in attrs.items() if value is not None}
        asked = Asked(
            primitive=primitive,
            options=dict(given),
            attrs=chosen,
            span_us=span,
            autotune_us=autotune,
            max_cpu=max_cpu,
        )
        return function(*args, asked=asked, **rest)

    for option in (
        click.option("--for", "span", type=options.Interval(), help="Stop after this long, e.g. 20s."),
        click.option(
            "--max-cpu", type=options.Percent(), help="CPU time it may use, e.g. 2% of one CPU.  [default: no bound]"
        ),
        click.option(
            "--autotune",
            type=options.Autotune(),
            metavar="LONGEST|off",
            help="Tune the intervals, for a picture at least that often.  [default: 1s; off with --sample or --aggr]",
        ),
        click.option("--regions", type=options.RegionsRange(), help="Number of regions, e.g. 10:1000."),
        click.option("--update", type=options.Interval(), help="How often to look at the mappings, e.g. 1s."),
        click.option("--aggr", type=options.Interval(), help="Aggregation interval, e.g. 100ms."),
        click.option("--sample", type=options.Interval(), help="Sampling interval, e.g. 5ms."),
        click.option(
            "-O", "--option", "given", multiple=True, type=options.KeyValue(), help="An option of the primitive."
        ),
        click.option(
            "--primitive", default="auto", show_default=True, help="How to check accesses; see 'damond plugins'."
        ),
    ):
        wrapper = option(wrapper)
    return wrapper


def goal(longest_us: int | None, sample: int | None, aggr: int | None) -> dict[str, int] | None:
    """Say what the intervals are tuned to.

    A person waits for the picture: however little is accessed, it is renewed every second. (The service, which nobody
    waits for, goes on to intervals that cost next to nothing.) Intervals that were asked for are kept.

    Args:
        longest_us: The longest aggregation that is wanted; 0 is no tuning, None is a second. Microseconds.
        sample: Sampling interval that was asked for. Microseconds.
        aggr: Aggregation interval that was asked for. Microseconds.
    """
    if longest_us is None:
        longest_us = 0 if sample or aggr else _LONGEST_US
    if not longest_us:
        return None
    least = DEFAULT_GOAL.min_sample_us if sample is None else min(sample, DEFAULT_GOAL.min_sample_us)
    wanted = Attrs(sample_interval=Usec(sample or least), aggr_interval=Usec(max(aggr or 20 * (sample or least), 1)))
    most = max(longest_us // wanted.samples_per_aggr, sample or least)
    return asdict(replace(DEFAULT_GOAL, min_sample_us=least, max_sample_us=most))


def name_of(line: Sequence[str], otherwise: str) -> str:
    """Name a context as the command, if that can be a context's name."""
    try:
        return check_name(Path(line[0]).name) if line else otherwise
    except DamondError:
        return otherwise


def messages(
    supervisor: EmbeddedSupervisor, subscriber: Subscriber, name: str, span_us: int | None, interrupts: Interrupts
) -> Iterator[wire.Message | None]:
    """Yield messages, and None where none comes for a moment, until the context has ended; stop it when it is time to.

    Args:
        supervisor: Where the context runs.
        subscriber: To its events, and what else is wanted.
        name: Of the context.
        span_us: Stop it after this long; None is never. Microseconds.
        interrupts: Or when these come.
    """
    deadline_s = time.monotonic() + (span_us / USEC_PER_SEC if span_us else float("inf"))
    end_s: float | None = None
    while True:
        now_s = time.monotonic()
        if end_s is None and (interrupts.seen or now_s >= deadline_s):
            if supervisor.nr_running:
                supervisor.stop([name])
            end_s = now_s + _LAST_MESSAGES_S
        if end_s is not None and now_s >= end_s:
            return
        message = subscriber.receive(min(POLL_S, max(0.0, deadline_s - now_s)) if end_s is None else POLL_S)
        yield message
        if isinstance(message, wire.Event) and message.event in ("stopped", "failed"):
            return
