"""``damond status``: show what the running service monitors."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from damond.cli import options, output, table
from damond.cli.one_context import attrs_in_words, details, started_again
from damond.cli.picture import short_interval
from damond.cli.table import Column
from damond.cli.troubles import troubles
from damond.client import Client
from damond.errors import UnknownNameError
from damond.units import NSEC_PER_USEC, format_interval, format_percent, format_size, format_times

_HELD_BACK: Final = 2.0
"""A budget that makes samples so many times rarer is told."""

_WORTH_A_WORD: Final = 1000
"""Hot areas that may be missed are told where they could be more than a thousandth of the memory."""

_STATE_STYLES: Final = {
    "running": "green",
    "failed": "bold red",
    **dict.fromkeys(("starting", "stopping", "backoff", "paused"), "yellow"),
}

_COLUMNS: Final = (
    Column("context"),
    Column("state"),
    Column("for", right=True, rank=1),
    Column("primitive", rank=3),
    Column("regions", right=True, rank=4),
    Column("working set", right=True),
    Column("CPU", right=True),
    Column("finds >=", right=True, rank=6),
    Column("worker RSS", right=True, rank=2),
    Column("worker pid", right=True, rank=5),
)


@click.command("status")
@click.argument("name", required=False)
@options.as_json
@options.runtime_dir
def command(name: str | None, runtime_dir: Path | None, *, as_json: bool) -> None:
    """Show the supervisor, its contexts, their workers and what they cost.

    With NAME all that is known of one context: its last events and what its worker wrote to standard error, too.
    """
    with Client(runtime_dir) as client:
        status = client.status()
    if name is not None:
        names = [each["name"] for each in status["contexts"]]
        if name not in names:
            raise UnknownNameError("context", name, names)
        status["contexts"] = [each for each in status["contexts"] if each["name"] == name]
    if as_json:
        output.print_json(status["contexts"][0] if name is not None else status)
    elif name is not None:
        print_context(output.console(), status["contexts"][0])
    else:
        print_status(output.console(), status)


def print_context(console: Console, context: Mapping[str, Any]) -> None:
    """Print what is known of one context."""
    wraps = not console.is_terminal
    _print_table(console, [context])
    for line in (*_remarks(context), *details(context)):
        console.print(line, soft_wrap=wraps)


def print_status(console: Console, status: Mapping[str, Any]) -> None:
    """Print a table of the contexts, of each that does not run why, and what is lost or in the way."""
    contexts = status["contexts"]
    wraps = not console.is_terminal
    console.print(
        f"damond {status['version']} on {status['host']} (pid {status['pid']}): {status['nr_running']} of "
        f"{len(contexts)} contexts run; stream {status['stream']}",
        soft_wrap=wraps,
    )
    budget = status["budget"]
    if budget["max_cpu"] is not None:
        own = format_percent(budget["own_cpu"])
        words = f"budget {format_percent(budget['max_cpu'])} of one CPU for all; {_helpers(status)} use {own}"
        console.print(words, soft_wrap=wraps, style="dim")
    for role, process in status["processes"].items():
        if process:
            console.print(f"{role} runs as {_identity(process)}", soft_wrap=wraps, style="dim")
    if contexts:
        _print_table(console, contexts)
    for each in contexts:
        for line in _remarks(each):
            console.print(line, soft_wrap=wraps)
    if status.get("record"):
        console.print(_record_line(status["record"]), soft_wrap=wraps)
    for line in troubles(status):
        console.print(line, soft_wrap=wraps)


def _print_table(console: Console, contexts: Sequence[Mapping[str, Any]]) -> None:
    rows = [[_styled(name, words) for name, words in _row(each).items()] for each in contexts]
    for line in table.lines(_COLUMNS, rows, console.width if console.is_terminal else None):
        console.print(line, soft_wrap=True)


def _record_line(record: Mapping[str, Any]) -> Text:
    """Say what the service keeps, and why it does not, if so."""
    words = f"recording into {record['path']}"
    if record["state"] == "running":
        words += f" (pid {record['pid']}): {record['nr_snapshots']} snapshots, {format_size(record['sz_bytes'])}"
        return Text(f"{words}; {record['trouble']}" if record["trouble"] else words, "red" if record["trouble"] else "")
    error = record["error"] or {"message": record["exit"], "hint": ""}
    why = f": {error['message']}{' (' + error['hint'] + ')' if error['hint'] else ''}" if error["message"] else ""
    return Text(f"{words}: {record['state']}{why}", "yellow")


def _helpers(status: Mapping[str, Any]) -> str:
    return "supervisor, launcher and recorder" if status.get("record") else "supervisor and launcher"


def _identity(process: Mapping[str, Any]) -> str:
    """Put user and capabilities of a process into words; those of workers are in the JSON."""
    held = process["capabilities"]
    words = "all capabilities" if held == ["all"] else ", ".join(held) or "no capabilities"
    return f"{process['user']} ({words})"


def _row(each: Mapping[str, Any]) -> dict[str, str]:
    """Put one context into words; what is not known is empty."""
    row = dict.fromkeys((column.name for column in _COLUMNS), "") | {
        name: str(each[name]) for name in ("state", "primitive")
    }
    row["context"] = each["name"]
    if each["state"] == "running" and each.get("paused"):
        row["state"] = "paused"
    if "since_ns" in each:
        row["for"] = short_interval((time.time_ns() - each["since_ns"]) / NSEC_PER_USEC)
    newest, process = each.get("newest"), each.get("process")
    if row["state"] == "running" and newest:
        row["regions"] = str(newest["nr_regions"])
        row["working set"] = (
            f"{format_size(newest['accessed_bytes'])} of {format_size(newest['total_bytes'])} monitored"
        )
        row["CPU"] = format_percent(newest["cpu_fraction"])
        if newest["smallest_found_bytes"] is not None:
            row["finds >="] = format_size(newest["smallest_found_bytes"])
    if process:
        row["worker RSS"], row["worker pid"] = format_size(process["rss_bytes"]), str(each["pid"])
    return row


def _styled(column: str, words: str) -> Text:
    return Text(words, _STATE_STYLES.get(words, "") if column == "state" else "")


def _remarks(each: Mapping[str, Any]) -> list[Text]:
    """Say why a context does not run, or what is to be known of one that does, and what would help."""
    name = each["name"]
    if each.get("error"):
        lines = [Text(f"{name}: {each['error']['message']}", "red")]
        return [*lines, Text(f"  hint: {each['hint']}")] if each["hint"] else lines
    if each["state"] == "stopped":
        return [Text(f"{name}: stopped ({each['reason']})" + (f"; {each['hint']}" if each["hint"] else ""))]
    return [Text(f"{name}: {words}", style) for words, style in _of_running(each)] if each["state"] == "running" else []


def _of_running(each: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Say what is to be known of a context that runs: words and their style."""
    if each.get("restarts"):
        yield started_again(each), "yellow"
    if each.get("waits") and not each["targets"]:
        yield "no process matches now; it waits for one", ""
    elif not each.get("healthy", True):
        yield "no snapshot in time", "yellow"
    elif each.get("newest"):
        yield from ((words, "") for words in ([] if each.get("paused") else _doubts(each["newest"])))
    elif each.get("attrs"):
        yield f"no result yet: {attrs_in_words(each['attrs'])}", ""


def _doubts(newest: Mapping[str, Any]) -> Iterator[str]:
    """Say how far a budget holds a context back, and which hot areas it would miss that are worth a word."""
    used, advice, found = newest["budget"], newest["advice"], newest["smallest_found_bytes"]
    if used and used["stretched"] >= _HELD_BACK:
        bounds = [] if used["max_cpu"] is None else [f"{format_percent(used['max_cpu'])} of a CPU"]
        bounds += [] if used["max_checks_per_s"] is None else [f"{used['max_checks_per_s']:,.0f} checks/s"]
        yield f"its budget of {' and '.join(bounds)} makes samples {format_times(used['stretched'])} times rarer"
    if advice and (found is None or found * _WORTH_A_WORD > newest["total_bytes"]):
        cost = "for the same cost" if advice["cost"] <= 1 else f"for {advice['cost']:.2g} times the cost"
        missed = "hot areas may be missed" if found is None else f"hot areas below {format_size(found)} may be missed"
        yield (
            f"{missed}; sampling every {format_interval(advice['sample_us'])} with up to {advice['max_nr_regions']} "
            f"regions would find {format_size(advice['found_bytes'])}, {cost}"
        )
