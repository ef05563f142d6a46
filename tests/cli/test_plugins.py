import json
import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from damond.cli import main, plugins
from damond.plugin import Registry


@pytest.fixture
def one_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offer one plugin for another API version and one that can't be imported, beside those installed."""
    old = ModuleType("old_plugin")
    old.damond_api_version = 99  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "old_plugin", old)
    found = [EntryPoint("old", "old_plugin", "damond"), EntryPoint("gone", "no_such_module_here", "damond")]
    monkeypatch.setattr(plugins, "Registry", lambda: Registry(found))


def test_installed_plugins_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The table names each plugin, who brings it and its primitives."""
    assert main(["plugins"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["plugin", "distribution", "primitives", "policies", "state"]
    (row,) = (line.split() for line in lines if line.startswith("vaddr"))
    assert (row[1], row[-3:]) == ("damond", ["vaddr", "-", "ok"])
    (own,) = (" ".join(line.split()) for line in lines if line.startswith("damond"))
    assert "- kernel, fraction" in own


@pytest.mark.usefixtures("one_broken")
def test_broken_plugins_are_shown_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """Why a plugin can't be used is in the table, and the table was printed: success."""
    assert main(["plugins"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "ModuleNotFoundError" in text
    assert "version 99" in text


@pytest.mark.usefixtures("one_broken")
def test_json_is_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get the same as a document."""
    assert main(["plugins", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert [each["name"] for each in document["plugins"]] == ["damond", "gone", "old"]
    own, *broken = document["plugins"]
    assert "kernel" in own["policies"]
    assert all(each["error"] and each["primitives"] == each["policies"] == [] for each in broken)


def test_no_plugin_at_all_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty table would leave the reader guessing."""
    monkeypatch.setattr(plugins, "Registry", lambda: Registry([]))
    assert main(["plugins"]) == 0
    assert "no plugin is installed" in capsys.readouterr().out
