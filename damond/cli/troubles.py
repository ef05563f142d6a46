"""What ``damond status`` says of losses and of what is in the way: a line each, and nothing where all is well."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.text import Text

from damond.cli.words import seconds
from damond.units import NSEC_PER_USEC, USEC_PER_SEC, format_size

_STOPPED: Final = ("stopped", "tracing stop")
_STYLE: Final = "yellow"
_MAX_READERS: Final = 5
"""Readers that are named."""


def troubles(status: Mapping[str, Any]) -> Iterator[Text]:
    """Yield a line for each thing that is not as it should be with the service as a whole."""
    launcher = status.get("processes", {}).get("launcher", {})
    if launcher.get("state") in _STOPPED:
        pid = status["launcher_pid"]
        yield _line(f"the launcher is stopped: nothing starts or is ended by force; kill -CONT {pid} lets it go on")
    yield from _losses(status)
    for door, where in (("stream", "stream"), ("remote_stream", "remote stream")):
        yield from _behind(status.get("readers", {}).get(door, {}), where)
    if cut := status.get("readers", {}).get("cut"):
        yield _line(f"{cut} connections of readers were cut: more than {status['readers']['limit']} at once")
    remote = status.get("remote", {})
    for name, reason in remote.get("unusable", {}).items():
        yield _line(f"authorised key {name} is left out: {reason}")
    if refused := remote.get("refused"):
        yield _line(f"{refused} connections over the network were refused: their keys are not on file")


def _line(words: str) -> Text:
    return Text(words, _STYLE)


def _losses(status: Mapping[str, Any]) -> Iterator[Text]:
    """Say what was lost, by class."""
    drops, control = status.get("drops", {}), status.get("control", {})
    for name, count in drops.get("missed", {}).items():
        if count:
            yield _line(f"lost: {count} messages of {name} between its worker and the stream")
    for stream, told in drops.get("readers", {}).items():
        for name, count in told["messages"].items():
            yield _line(f"lost: {count} messages of {name} by readers of the {stream} stream, as they say")
    rest = {
        "messages on the stream that are none of wire version 1": drops.get("malformed", 0),
        "lines of the log": drops.get("log", 0),
        "replies that nobody read": control.get("replies_lost", 0),
        "requests that were none": control.get("malformed", 0),
    }
    for words, count in rest.items():
        if count:
            yield _line(f"lost: {count} {words}")


def _behind(readers: Mapping[str, Any], where: str) -> Iterator[Text]:
    """Say who does not keep up, and for how long somebody did not."""
    rows = readers.get("behind", [])
    for row in rows[:_MAX_READERS]:
        who = f"process {row['pid']} ({row['user']})" if row["pid"] is not None else row["address"]
        waits = f"{format_size(row['queued_bytes'])} wait for it since {_interval(row['for_s'])}"
        yield _line(f"a reader of the {where} does not keep up, and loses what is more: {who}; {waits}")
    if len(rows) > _MAX_READERS:
        yield _line(f"... and {len(rows) - _MAX_READERS} more")
    if not rows and readers.get("behind_s"):
        yield _line(f"readers of the {where} did not keep up for {_interval(readers['behind_s'])} in all")


def _interval(span_s: float) -> str:
    return seconds(span_s * USEC_PER_SEC * NSEC_PER_USEC)
