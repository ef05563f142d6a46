"""``damond bench``: how accurate and how dear damond is, measured."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click
from click.core import ParameterSource
from rich.console import Console
from rich.text import Text

from damond.bench.progress import Tell, untold
from damond.bench.result import Result
from damond.bench.setting import MAX_CHECKS_PER_S, Setting
from damond.cli import options, output, table
from damond.core import Budget
from damond.errors import UsageError
from damond.plugin import Registry
from damond.service.pace import DEFAULT_GOAL, DEFAULT_POLICY

_SETTABLE: Final = ("telescope", "shapes", "wss")
PARTS: Final = (*_SETTABLE, "fast", "confidence", "cost", "ablation")
_SETTINGS: Final = {
    "policy": "--policy",
    "given": "--option",
    "autotune": "--autotune/--fixed",
    "max_checks": "--max-checks",
    "max_cpu": "--max-cpu",
    "block": "--block",
}
"""Parameters that make a setting, and what they are called."""


@click.command("bench")
@click.argument("parts", nargs=-1, type=click.Choice(PARTS), metavar="[PART]...")
@click.option(
    "--policy", default=DEFAULT_POLICY, show_default=True, help="How regions adapt. kernel: all else as in Linux, too."
)
@click.option("-O", "--option", "given", multiple=True, type=options.KeyValue(), help="An option of the policy.")
@click.option("--autotune/--fixed", default=None, help="Tune intervals, or keep 5 ms / 100 ms.  [default: autotune]")
@click.option(
    "--max-checks", type=click.FloatRange(min=1), help=f"Pages per second.  [default: {MAX_CHECKS_PER_S:.0f}]"
)
@click.option("--max-cpu", type=options.Percent(), help="Instead: CPU time by estimate, e.g. 1% of one CPU.")
@click.option(
    "--block",
    type=click.Choice([str(2**n) for n in range(10)]),
    default="1",
    show_default=True,
    help="Pages that one check looks at.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Same seed, same numbers.")
@click.option("--quick", is_flag=True, help="Less of everything: seconds instead of minutes.")
@options.as_json
def command(
    parts: tuple[str, ...],
    policy: str,
    given: tuple[tuple[str, str], ...],
    autotune: bool | None,  # noqa: FBT001 - click's: neither is a third choice
    max_checks: float | None,
    max_cpu: float | None,
    block: str,
    seed: int,
    *,
    quick: bool,
    as_json: bool,
) -> None:
    """Measure how well hot memory is found, and at which cost.

    \b
    telescope   hot memory in 1 GB to 5 TB, where DAMON was shown to fail
    shapes      49 shapes of accesses, beside what was published of DAMON
    wss         the error of the working-set size
    fast        small memory whose heat moves, beside 5 ms / 100 ms
    confidence  whether the smallest hot area that is promised is found
    cost        CPU and memory of real workers on this machine
    ablation    what each mechanism is worth

    Without PART all are measured. The last four have their own settings and take none. All but cost run in virtual
    time: a simulated minute takes a second or two.
    """  # noqa: D301 - the backslash is meant: click takes the character for "leave these lines as they are"
    _refuse_in_vain(parts)
    Registry(policy=policy).make_policy(policy, dict(given))
    setting = _setting(policy, autotune, max_checks, max_cpu).but(policy_options=dict(given), block=int(block))
    results = _measured(parts or PARTS, setting, seed, quick=quick)
    if as_json:
        document = {"schema": 1, "seed": seed, "quick": quick, "setting": setting.document()}
        output.print_json({**document, "results": [each.document() for each in results]})
        return
    for each in results:
        _print(output.console(), each)


def _refuse_in_vain(parts: Sequence[str]) -> None:
    """Refuse a setting where no part that is asked for takes one.

    Raises:
        UsageError: It would do nothing.
    """
    source = click.get_current_context().get_parameter_source
    given = [words for name, words in _SETTINGS.items() if source(name) is ParameterSource.COMMANDLINE]
    if given and parts and not set(parts) & set(_SETTABLE):
        raise UsageError(
            f"{', '.join(given)} would do nothing: {' and '.join(parts)} would be measured with settings of their own",
            hint=f"parts that take a setting: {', '.join(_SETTABLE)}",
        )


def _setting(policy: str, autotune: bool | None, max_checks: float | None, max_cpu: float | None) -> Setting:  # noqa: FBT001
    """Take what was asked for; the rest is what is shipped, or with the kernel's policy the kernel's."""
    setting = Setting.kernel() if policy == "kernel" else Setting.shipped().but(policy=policy)
    if autotune is not None:
        setting = setting.but(goal=DEFAULT_GOAL if autotune else None)
    if max_checks is not None or max_cpu is not None:
        setting = setting.but(budget=Budget(max_cpu=max_cpu, max_checks_per_s=max_checks))
    return setting


def _measured(parts: Sequence[str], setting: Setting, seed: int, *, quick: bool) -> Iterator[Result]:
    """Measure one part after the other; meanwhile, a terminal at standard error shows what is under way."""
    for part in parts:
        measure = importlib.import_module(f"damond.bench.{part}").measure
        with _shown(part) as tell:
            results = list(measure(setting, seed, quick=quick, tell=tell))
        yield from results


@contextmanager
def _shown(part: str) -> Iterator[Tell]:
    console = output.console(stderr=True)
    if not console.is_terminal:
        yield untold
        return
    with console.status(part) as status:
        yield lambda words: status.update(f"{part} {words}")


def _print(console: Console, result: Result) -> None:
    columns = [table.Column(each.heading, right=bool(each.form), rank=rank) for rank, each in enumerate(result.columns)]
    rows = [[Text(each.text(row)) for each in result.columns] for row in result.rows]
    console.print(Text(result.title, "bold"))
    for line in table.lines(columns, rows, console.width if console.is_terminal else None):
        console.print(line, soft_wrap=not console.is_terminal)
    for name, value in result.figures.items():
        console.print(_figure(name, value))
    for remark in result.remarks:
        console.print(Text(remark, "dim"), soft_wrap=not console.is_terminal)
    console.print()


def _figure(name: str, value: Any) -> Text:
    return Text(f"{name.replace('_', ' ')}: {'-' if value is None else format(value, ',.3f')}")
