"""``damond doctor``: what works on this machine, and what would help."""

import dataclasses
import os
import textwrap
from dataclasses import dataclass
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from damond.cli.output import console, print_json
from damond.cli.words import granularity_words
from damond.core import Probe, SourceProbe
from damond.plugin import PluginReport, Registry
from damond.plugin.registry import probed
from damond.units import PAGE_SIZE, format_size

_INDENT: Final = 6
_MIN_WIDTH: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """What one primitive says about this machine.

    Attributes:
        name: The primitive.
        owner: The distribution that brings it.
        process_targets: Whether it monitors processes.
        probe: What it said.
    """

    name: str
    owner: str
    process_targets: bool
    probe: Probe


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What all of them say, and what ``auto`` makes of it.

    Attributes:
        findings: Per primitive: those that ``auto`` tries come first, in its order.
        auto_order: The primitives that ``auto`` tries, in order.
        auto_choice: What it would choose for a process; empty if nothing works.
        broken: Plugins that can't be used, at least in part.
    """

    findings: tuple[Finding, ...]
    auto_order: tuple[str, ...]
    auto_choice: str
    broken: tuple[PluginReport, ...]


def diagnose(registry: Registry) -> Diagnosis:
    """Ask every primitive."""
    auto = tuple(primitive.name for primitive in registry.auto())
    names = [*auto, *sorted(set(registry.primitives) - set(auto))]
    findings = tuple(
        Finding(name, registry.owner(name), cls.process_targets, probed(cls))
        for name, cls in ((name, registry.primitive(name)) for name in names)
    )
    for_a_process = [each.name for each in findings if each.process_targets and each.probe.works]
    choice = next((name for name in for_a_process if name in auto), "")
    broken = tuple(report for report in registry.reports if report.error)
    return Diagnosis(findings, auto, choice, broken)


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Say what works on this machine, and what would help.

    The exit status is 0 if processes can be monitored in one way at least, else 69.
    """
    diagnosis = diagnose(Registry())
    if as_json:
        print_json(_document(diagnosis))
    else:
        _print(console(), diagnosis)
    works = any(each.probe.works and each.process_targets for each in diagnosis.findings)
    ctx.exit(os.EX_OK if works else os.EX_UNAVAILABLE)


def _document(diagnosis: Diagnosis) -> dict[str, Any]:
    kernel = os.uname()
    return {
        "schema": 1,
        "kernel": kernel.release,
        "machine": kernel.machine,
        "page_size": PAGE_SIZE,
        "euid": os.geteuid(),
        "primitives": [
            {
                "name": each.name,
                "distribution": each.owner,
                "process_targets": each.process_targets,
                **dataclasses.asdict(each.probe),
            }
            for each in diagnosis.findings
        ],
        "auto": {"order": list(diagnosis.auto_order), "choice": diagnosis.auto_choice or None},
        "broken_plugins": [dataclasses.asdict(each) for each in diagnosis.broken],
    }


def _print(out: Console, diagnosis: Diagnosis) -> None:
    kernel = os.uname()
    user = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    out.print(f"Linux {kernel.release} {kernel.machine}, pages of {format_size(PAGE_SIZE)}, run by {user}")
    for finding in diagnosis.findings:
        out.print()
        _print_finding(out, finding)
    for report in diagnosis.broken:
        out.print()
        works = bool(report.primitives)
        _print_state(out, works, Text(f"plugin {report.name}", "bold").append(f" ({report.distribution})", "default"))
        _print_labelled(out, "error", report.error, _INDENT)
    out.print()
    _print_auto(out, diagnosis)


def _print_finding(out: Console, finding: Finding) -> None:
    probe = finding.probe
    what = "monitors processes" if finding.process_targets else "monitors no processes"
    _print_state(out, probe.works, Text(finding.name, "bold").append(f" ({finding.owner}): {what}", "default"))
    # Where a source says why, the primitive that passes it on says nothing new.
    if not any(source.reason and source.reason in probe.reason for source in probe.sources):
        _print_remarks(out, probe.works, probe.reason, probe.hint)
    for source in probe.sources:
        _print_source(out, source)
    for warning in probe.warnings:
        _print_labelled(out, "warning", warning, _INDENT)


def _print_source(out: Console, source: SourceProbe) -> None:
    words = f"{source.name}: one check sees a {granularity_words(source.granularity)}"
    _print_state(out, source.works, Text(words), 2)
    _print_remarks(out, source.works, source.reason.removeprefix(f"{source.name}: "), source.hint, 2)


def _print_state(out: Console, works: bool, words: Text, indent: int = 0) -> None:  # noqa: FBT001 - a state, no switch
    state = Text(f"{'works' if works else 'no':<{_INDENT}}", "green" if works else "red")
    out.print(Text(" " * indent).append_text(state).append_text(words))


def _print_remarks(out: Console, works: bool, reason: str, hint: str, indent: int = 0) -> None:  # noqa: FBT001 - a state
    if reason:
        _print_labelled(out, "note" if works else "why", reason, _INDENT + indent)
    # A hint that sends the reader here helps elsewhere.
    if hint and "damond doctor" not in hint:
        _print_labelled(out, "help", hint, _INDENT + indent)


def _print_labelled(out: Console, label: str, text: str, indent: int) -> None:
    """Print a text behind its label, wrapped under itself."""
    width = max(out.width - indent - len(label) - 2, _MIN_WIDTH)
    for index, line in enumerate(textwrap.wrap(text, width, break_on_hyphens=False)):
        head = f"{label}: " if index == 0 else " " * (len(label) + 2)
        out.print(Text(" " * indent).append(head, "dim").append(line), soft_wrap=True)


def _print_auto(out: Console, diagnosis: Diagnosis) -> None:
    order = ", ".join(diagnosis.auto_order) or "nothing"
    out.print(f'primitive = "auto" tries: {order}')
    if diagnosis.auto_choice:
        probe = next(each.probe for each in diagnosis.findings if each.name == diagnosis.auto_choice)
        source = next((each.name for each in probe.sources if each.works), "")
        words = f"source {source}, " if source else ""
        out.print(f"for a process it chooses: {diagnosis.auto_choice} ({words}{granularity_words(probe.granularity)})")
    else:
        out.print("for a process it finds nothing that works here", style="red")
