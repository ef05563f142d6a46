"""What all reports can be asked: which source, which context, which span, which form."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from damond.cli import options
from damond.cli.report.emit import Form
from damond.cli.report.opening import Asked

_PICTURE: Final = click.Path(path_type=Path, dir_okay=False)
_MOMENT_HELP: Final = "of the span: 02:00, 2026-11-24T02:00, or -2h (before the end)."


def source(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the source and the span; the function gets ``asked`` (:class:`Asked`) for them."""

    @click.argument("source_", metavar="FILE|live")
    @click.option("--context", help="Name of the context; NAME@HOST where two hosts have it.")
    @click.option("--from", "begin", metavar="TIME", help=f"Begin {_MOMENT_HELP}")
    @click.option("--to", "end", metavar="TIME", help=f"End {_MOMENT_HELP}")
    @options.runtime_dir
    @functools.wraps(function)
    def wrapped(
        source_: str, context: str | None, begin: str | None, end: str | None, runtime_dir: Path | None, **rest: Any
    ) -> Any:
        asked = Asked(source=source_, context=context, begin=begin, end=end, runtime_dir=runtime_dir)
        return function(asked=asked, **rest)

    return wrapped


def form(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the form that a report is given out in; the function gets ``form`` (:class:`Form`) for it."""

    @options.as_json
    @functools.wraps(function)
    def wrapped(*, as_json: bool, png: Path | None, svg: Path | None, **rest: Any) -> Any:
        asked = Form(as_json=as_json, png=png, svg=svg)
        asked.check()
        return function(form=asked, **rest)

    wrapped = click.option("--svg", type=_PICTURE, help="Draw it into this file.")(wrapped)
    return click.option("--png", type=_PICTURE, help="Draw it into this file.")(wrapped)
