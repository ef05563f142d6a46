"""Plugins of strangers: real modules, in a directory of their own on the path."""

import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

_numbers = itertools.count()

HEADER = """
from damond.core import Primitive
from damond.plugin import hookimpl

damond_api_version = {version}

class Mine(Primitive):
    name = "{primitive}"

    def check_accesses(self, ctx):
        return 0

"""

OFFER = """
@hookimpl
def damond_primitives():
    return [Mine]
"""


@pytest.fixture
def write_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., EntryPoint]]:
    """Write a module and give the entry point that names it; by default a good plugin with one primitive."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(
        name: str = "stranger", body: str = OFFER, *, primitive: str = "mine", version: object = 1, header: str = HEADER
    ) -> EntryPoint:
        module = f"stranger_{next(_numbers)}"
        source = header.format(version=version, primitive=primitive) + textwrap.dedent(body)
        (tmp_path / f"{module}.py").write_text(source)
        written.append(module)
        return EntryPoint(name, module, "damond")

    yield write
    for module in written:
        sys.modules.pop(module, None)


@pytest.fixture
def install_plugin(write_plugin: Callable[..., EntryPoint], tmp_path: Path) -> Callable[..., EntryPoint]:
    """Write a plugin and the metadata that an installed distribution has."""

    def install(distribution: str, version: str, **plugin: object) -> EntryPoint:
        entry_point = write_plugin(**plugin)
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[damond]\n{entry_point.name} = {entry_point.value}\n")
        return entry_point

    return install
