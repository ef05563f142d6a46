"""``damond monitor``: watch a program, a process or the whole machine, live."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import click

from damond.cli import options, output
from damond.cli.live import can_draw
from damond.cli.monitoring import Monitoring
from damond.cli.program import Program
from damond.core import Attrs
from damond.core.context import check_name
from damond.errors import DamondError, UsageError
from damond.plugin import Registry
from damond.service.pace import DEFAULT_GOAL
from damond.service.spec import ContextSpec, TargetSpec
from damond.units import USEC_PER_SEC, Usec

_LONGEST_US: Final = USEC_PER_SEC
"""Aggregations are tuned to no longer than this, unless another length is asked for."""


class _MonitorCommand(click.Command):
    """Everything behind ``--`` is a command line of its own, options included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            args, ctx.meta["damond.command"] = args[:at], args[at + 1 :]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return ["[OPTIONS]", "[PID... | -- COMMAND [ARG]...]"]


@click.command("monitor", cls=_MonitorCommand)
@click.argument("pids", nargs=-1, type=click.IntRange(min=1, max=2**22), metavar="PID")
@click.option("--primitive", default="auto", show_default=True, help="How to check accesses; see 'damond plugins'.")
@click.option("-O", "--option", "given", multiple=True, type=options.KeyValue(), help="An option of the primitive.")
@click.option("--sample", type=options.Interval(), help="Sampling interval, e.g. 5ms.")
@click.option("--aggr", type=options.Interval(), help="Aggregation interval, e.g. 100ms.")
@click.option("--update", type=options.Interval(), help="How often to look at the mappings, e.g. 1s.")
@click.option("--regions", type=options.RegionsRange(), help="Number of regions, e.g. 10:1000.")
@click.option(
    "--autotune",
    type=options.Autotune(),
    metavar="LONGEST|off",
    help="Tune the intervals, for a picture at least that often.  [default: 1s; off with --sample or --aggr]",
)
@click.option("--max-cpu", type=options.Percent(), help="CPU time it may use, e.g. 2% of one CPU.  [default: no bound]")
@click.option("--for", "span", type=options.Interval(), help="Stop after this long, e.g. 20s.")
@click.option("--whole", is_flag=True, help="Draw all addresses in the heat map at the end, not just the hottest.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per snapshot, a line each.")
@click.pass_context
def command(
    ctx: click.Context,
    pids: tuple[int, ...],
    primitive: str,
    given: tuple[tuple[str, str], ...],
    sample: int | None,
    aggr: int | None,
    update: int | None,
    regions: tuple[int, int] | None,
    autotune: int | None,
    max_cpu: float | None,
    span: int | None,
    *,
    whole: bool,
    as_json: bool,
) -> int:
    """Watch which memory a program touches, until it ends, or Ctrl-C.

    Monitors processes by PID, a COMMAND that it starts, or (with a primitive that needs no process, such as physical)
    the machine. Ends with a heat map over time and address, and how much of the memory was touched.
    """
    line: list[str] = ctx.meta.get("damond.command", [])
    attrs = {"sample_interval": sample, "aggr_interval": aggr, "primitive_update_interval": update}
    attrs["min_nr_regions"], attrs["max_nr_regions"] = regions or (None, None)
    registry = Registry()
    if span == 0:
        raise UsageError("--for 0s: there would be nothing to see", hint="leave --for out to watch without limit")
    _check(registry, primitive, pids, line)
    hidden = not as_json and can_draw(output.console())
    with Program(line, hidden=hidden, to_stderr=as_json) as program:
        targets = (program.pid,) if program.pid is not None else pids
        spec = ContextSpec(
            name=_name(line),
            primitive=primitive,
            options=dict(given),
            attrs={name: value for name, value in attrs.items() if value is not None},
            targets=tuple(TargetSpec(each) for each in dict.fromkeys(targets)),
            intervals_goal=_goal(autotune, sample, aggr),
            max_cpu=max_cpu,
            initial_nr_regions=(attrs["max_nr_regions"] or Attrs().max_nr_regions) // 2,
            strict_min_nr_regions=True,
        )
        title = f"{' '.join(line)} (pid {program.pid})" if line else ""
        title = title or ", ".join(f"pid {pid}" for pid in pids) or primitive
        Monitoring(spec, title, as_json=as_json, span_us=span, whole=whole).run(registry)
    return program.status


def _goal(longest_us: int | None, sample: int | None, aggr: int | None) -> dict[str, int] | None:
    """Say what the intervals are tuned to.

    A person waits for the picture: however little is accessed, it is renewed every second. (The service, which nobody
    waits for, goes on to intervals that cost next to nothing.) Intervals that were asked for are kept.
    """
    if longest_us is None:
        longest_us = 0 if sample or aggr else _LONGEST_US
    if not longest_us:
        return None
    least = DEFAULT_GOAL.min_sample_us if sample is None else min(sample, DEFAULT_GOAL.min_sample_us)
    asked = Attrs(sample_interval=Usec(sample or least), aggr_interval=Usec(max(aggr or 20 * (sample or least), 1)))
    most = max(longest_us // asked.samples_per_aggr, sample or least)
    return asdict(replace(DEFAULT_GOAL, min_sample_us=least, max_sample_us=most))


def _name(line: Sequence[str]) -> str:
    """Name the context as the command, if that can be a context's name."""
    name = Path(line[0]).name if line else "monitor"
    try:
        return check_name(name)
    except DamondError:
        return "monitor"


def _check(registry: Registry, primitive: str, pids: Sequence[int], line: Sequence[str]) -> None:
    """Refuse what makes no sense together, before a command is started.

    Raises:
        UsageError: Both or neither of PID and COMMAND.
        UnknownNameError: There is no such primitive.
    """
    if pids and line:
        raise UsageError("both a PID and a COMMAND", hint="give one of them")
    needs_process = primitive == "auto" or registry.primitive(primitive).process_targets
    if needs_process and not pids and not line:
        raise UsageError("nothing to monitor", hint="damond monitor PID, or damond monitor -- COMMAND ARG...")
    if (line or pids) and not needs_process:
        raise UsageError(f"the primitive {primitive!r} does not monitor processes", hint="leave PID and COMMAND out")
