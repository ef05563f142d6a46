import json
import os
import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import ClassVar

import pytest

from damond.cli import doctor, main
from damond.core import Context, Primitive, Probe, SourceProbe
from damond.plugin import Registry, hookimpl

WORKING = Probe(
    works=True,
    granularity=0,
    reason="with source coarse: sees whole mappings",
    sources=(
        SourceProbe("fine", works=False, granularity=4096, reason="fine: no such file " + "x" * 90, hint="build it in"),
        SourceProbe("coarse", works=True, granularity=0, reason="sees whole mappings"),
    ),
    warnings=("something else looks at the same pages and this is why it matters to everybody who reads results",),
)
FAILING = Probe(works=False, reason="not on this kernel", hint="boot another one")


class _Checks(Primitive):
    """A primitive of which only the probe is asked."""

    answer: ClassVar[Probe]

    @classmethod
    def probe(cls) -> Probe:
        return cls.answer

    def check_accesses(self, ctx: Context) -> int:
        raise NotImplementedError


def _install(monkeypatch: pytest.MonkeyPatch, *primitives: type[Primitive]) -> None:
    module = ModuleType("doctors_plugin")

    def damond_primitives() -> list[type[Primitive]]:
        return list(primitives)

    module.damond_api_version = 1  # type: ignore[attr-defined]
    module.damond_primitives = hookimpl(damond_primitives)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "doctors_plugin", module)
    found = [EntryPoint("mine", "doctors_plugin", "damond"), EntryPoint("broken", "no_such_module_here", "damond")]
    monkeypatch.setattr(doctor, "Registry", lambda: Registry(found))


def _primitive(name: str, probe: Probe, rank: int | None, *, processes: bool) -> type[Primitive]:
    members = {"name": name, "answer": probe, "auto_rank": rank, "process_targets": processes}
    return type(name, (_Checks,), members)


@pytest.mark.parametrize(
    ("probe", "processes", "status"),
    [
        (WORKING, True, os.EX_OK),
        (FAILING, True, os.EX_UNAVAILABLE),
        (WORKING, False, os.EX_UNAVAILABLE),
    ],
    ids=["a process primitive works", "it does not", "only one without processes works"],
)
def test_exit_status(monkeypatch: pytest.MonkeyPatch, probe: Probe, processes: bool, status: int) -> None:
    """Success is that processes can be monitored in one way at least."""
    _install(monkeypatch, _primitive("mine", probe, 1, processes=processes))
    assert main(["doctor"]) == status
    assert main(["doctor", "--json"]) == status


def test_it_says_what_works_why_not_and_what_would_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every primitive and source has its state; reasons, hints, warnings and broken plugins are all there."""
    _install(
        monkeypatch, _primitive("mine", WORKING, 1, processes=True), _primitive("other", FAILING, None, processes=False)
    )
    main(["doctor"])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    text = " ".join(out.split())
    for words in (
        "works mine",
        "no fine: one check sees a 4 KiB page why: no such file",
        "help: build it in",
        "works coarse: one check sees a whole mapping note: sees whole mappings",
        "warning: something else looks at the same pages",
        "no other",
        "why: not on this kernel help: boot another one",
        "no plugin broken (no_such_module_here) error: ModuleNotFoundError",
        'primitive = "auto" tries: mine for a process it chooses: mine (source coarse, whole mapping)',
    ):
        assert words in text


def test_what_auto_would_choose_is_the_first_that_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The order is by rank; what does not work or monitors no processes is passed over."""
    _install(
        monkeypatch,
        _primitive("third", WORKING, 3, processes=True),
        _primitive("first", FAILING, 1, processes=True),
        _primitive("second", WORKING, 2, processes=False),
        _primitive("never", WORKING, None, processes=True),
    )
    main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["auto"] == {"order": ["first", "second", "third"], "choice": "third"}
    assert [each["name"] for each in document["primitives"]] == ["first", "second", "third", "never"]
    assert document["primitives"][2]["sources"][1] == {
        "name": "coarse",
        "works": True,
        "granularity": 0,
        "reason": "sees whole mappings",
        "hint": "",
    }


def test_a_probe_that_fails_hides_no_other(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A plugin with a bug is reported with it; the others are asked all the same."""

    class Buggy(_Checks):
        name = "buggy"

        @classmethod
        def probe(cls) -> Probe:
            raise ZeroDivisionError("oh")

    _install(monkeypatch, Buggy, _primitive("mine", WORKING, 1, processes=True))
    assert main(["doctor"]) == os.EX_OK
    assert "its probe failed: ZeroDivisionError: oh" in " ".join(capsys.readouterr().out.split())


def test_this_machine_gets_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """With the plugins that are installed: a status that fits the document, which names the kernel."""
    status = main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    works = any(each["works"] and each["process_targets"] for each in document["primitives"])
    assert status == (os.EX_OK if works else os.EX_UNAVAILABLE)
    assert document["kernel"] == os.uname().release
    assert {"vaddr", "physical", "synthetic"} <= {each["name"] for each in document["primitives"]}
