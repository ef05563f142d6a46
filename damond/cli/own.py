"""What commands share that monitor by themselves: their options, and a context in a supervisor of their own."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from damond.cli import options
from damond.cli.interrupts import Interrupts
from damond.core.context import check_name
from damond.errors import DamondError, UsageError
from damond.plugin import Registry
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec, TargetSpec
from damond.stream import wire
from damond.stream.subscriber import Subscriber
from damond.units import USEC_PER_SEC

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
    """

    primitive: str
    options: dict[str, str]
    attrs: dict[str, int]
    span_us: int | None

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for that a running service has decided already."""
        return self.primitive == "auto" and not self.options and not self.attrs

    def spec(self, name: str, targets: Sequence[int]) -> ContextSpec:
        """Make the context."""
        return ContextSpec(
            name=name,
            primitive=self.primitive,
            options=self.options,
            attrs=self.attrs,
            targets=tuple(TargetSpec(each) for each in dict.fromkeys(targets)),
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
        span: int | None,
        **rest: Any,
    ) -> Any:
        if span == 0:
            raise UsageError("--for 0s: there would be nothing to see", hint="leave --for out to go on without limit")
        attrs = {"sample_interval": sample, "aggr_interval": aggr, "primitive_update_interval": update}
        attrs["min_nr_regions"], attrs["max_nr_regions"] = regions or (None, None)
        chosen = {name: value for name, value in attrs.items() if value is not None}
        return function(
            *args, asked=Asked(primitive=primitive, options=dict(given), attrs=chosen, span_us=span), **rest
        )

    for option in (
        click.option("--for", "span", type=options.Interval(), help="Stop after this long, e.g. 20s."),
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
