"""Plugins as they are found: good ones, and everything that strangers get wrong."""

import logging
from typing import Any

import pytest

from damond.errors import InvalidOptionError, SourceUnavailableError, UnknownNameError
from damond.plugin import Registry

BROKEN = [
    pytest.param({"body": "raise RuntimeError('no luck')"}, "RuntimeError: no luck", id="raises when imported"),
    pytest.param({"body": "import no_such_module_anywhere"}, "ModuleNotFoundError", id="imports what is not there"),
    pytest.param({"body": "def broken(:"}, "SyntaxError", id="no Python"),
    pytest.param({"version": 2}, "written for version 2 of the plugin API, this damond has version 1", id="newer"),
    pytest.param({"version": None}, "does not say for which version", id="no version"),
    pytest.param({"version": "'1'"}, "written for version 1", id="version as text"),
    pytest.param(
        {"body": "@hookimpl\ndef damond_primitives():\n    raise KeyError('inside')"}, "KeyError", id="hook raises"
    ),
    pytest.param({"body": "@hookimpl\ndef damond_primitives():\n    return None"}, "TypeError", id="hook returns None"),
    pytest.param(
        {"body": "@hookimpl\ndef damond_primitives():\n    return [object]"}, "is no subclass", id="no primitive"
    ),
    pytest.param(
        {"body": "@hookimpl\ndef damond_primitives():\n    return [Mine(None)]"}, "is no subclass", id="an instance"
    ),
    pytest.param(
        {"body": "@hookimpl\ndef damond_primitives():\n    return [Primitive]"}, "is no name", id="without a name"
    ),
    pytest.param({"primitive": ""}, "'' is no name for a primitive", id="empty name"),
    pytest.param({"primitive": "auto"}, "'auto' is no name for a primitive", id="reserved name"),
    pytest.param(
        {
            "body": """
            class Half(Primitive):
                name = "half"

            @hookimpl
            def damond_primitives():
                return [Half]
            """
        },
        "primitive 'half' lacks check_accesses",
        id="abstract primitive",
    ),
]


def test_good_plugin(write_plugin: Any) -> None:
    """A module with a version and a hook: its primitive can be selected by name."""
    registry = Registry([write_plugin("stranger")])
    assert registry.primitive("mine").name == "mine"
    (report,) = registry.reports
    assert (report.name, report.primitives, report.error) == ("stranger", ("mine",), "")


def test_installed_plugin(install_plugin: Any) -> None:
    """An installed distribution is found by its entry points, beside damond's own, and named with its version."""
    install_plugin("damond-stranger", "1.2.3")
    registry = Registry()
    assert registry.owner("mine") == "damond-stranger 1.2.3"
    assert "synthetic" in registry.primitives
    (report,) = [each for each in registry.reports if each.name == "stranger"]
    assert (report.distribution, report.error) == ("damond-stranger 1.2.3", "")


def test_plugin_without_primitives(write_plugin: Any) -> None:
    """A plugin that implements no hook is no error."""
    (report,) = Registry([write_plugin(body="")]).reports
    assert (report.primitives, report.error) == ((), "")


@pytest.mark.parametrize(("plugin", "error"), BROKEN)
def test_broken_plugin(write_plugin: Any, caplog: pytest.LogCaptureFixture, plugin: dict[str, Any], error: str) -> None:
    """A broken plugin is reported and skipped, with a warning; the others work."""
    with caplog.at_level(logging.WARNING):
        registry = Registry([write_plugin("broken", **plugin), write_plugin("good", primitive="fine")])
    assert set(registry.primitives) == {"fine"}
    bad, good = registry.reports
    assert error in bad.error
    assert (bad.primitives, good.primitives, good.error) == ((), ("fine",), "")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "broken" in caplog.text


def test_entry_point_to_nowhere(write_plugin: Any) -> None:
    """An entry point whose attribute is not there is a broken plugin."""
    good = write_plugin("stranger")
    (report,) = Registry([type(good)("stranger", f"{good.value}:nothing", "damond")]).reports
    assert "AttributeError" in report.error


def test_object_as_a_plugin(write_plugin: Any) -> None:
    """An entry point may name an object instead of a module."""
    body = """
    class Plugin:
        damond_api_version = 1

        @hookimpl
        def damond_primitives(self):
            return [Mine]

    plugin = Plugin()
    """
    found = write_plugin(body=body)
    registry = Registry([type(found)("stranger", f"{found.value}:plugin", "damond")])
    assert set(registry.primitives) == {"mine"}


def test_name_that_is_taken(install_plugin: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The second owner of a name is refused, with both named; the first keeps it, and what else he offers."""
    both = """
    class Other(Mine):
        name = "other"

    @hookimpl
    def damond_primitives():
        return [Mine, Other]
    """
    install_plugin("first", "1.0", name="a")
    install_plugin("second", "2.0", name="b", body=both)
    registry = Registry()
    assert (registry.owner("mine"), registry.owner("other")) == ("first 1.0", "second 2.0")
    (report,) = [each for each in registry.reports if each.name == "b"]
    assert report.primitives == ("other",)
    assert "'mine' is taken by first 1.0" in report.error
    assert "second 2.0" in report.error
    assert "is taken by" in caplog.text


def test_one_entry_point_twice(write_plugin: Any) -> None:
    """The same module under two names is a plugin once."""
    found = write_plugin("a")
    first, second = Registry([found, type(found)("b", found.value, "damond")]).reports
    assert (first.primitives, first.error) == (("mine",), "")
    assert second.primitives == ()
    assert second.error


def test_order_is_by_name(write_plugin: Any) -> None:
    """Which of two wins does not depend on the order in which they are found."""
    plugins = [write_plugin("z"), write_plugin("a")]
    owners = {Registry(order).owner("mine") for order in (plugins, plugins[::-1])}
    assert owners == {plugins[1].value}


def test_unknown_primitive(write_plugin: Any) -> None:
    """The nearest name is suggested, and plugins that were skipped are named: the primitive may be theirs."""
    registry = Registry([write_plugin("good", primitive="physical"), write_plugin("bad", version=7)])
    with pytest.raises(UnknownNameError, match="unknown primitive 'fysical'") as caught:
        registry.primitive("fysical")
    assert "did you mean 'physical'?" in caught.value.hint
    assert "plugin 'bad'" in caught.value.hint
    assert caught.value.code == "unknown_primitive"


def test_make_validates_options(write_plugin: Any) -> None:
    """Options are checked before a primitive is made."""
    body = """
    from dataclasses import dataclass
    from damond.plugin import option

    @dataclass(frozen=True)
    class Options:
        speed: int = option(3)

    class Fast(Mine):
        name = "fast"
        Options = Options

    @hookimpl
    def damond_primitives():
        return [Fast]
    """
    registry = Registry([write_plugin(body=body)])
    assert registry.make("fast", {}).options.speed == 3
    assert registry.make("fast", {"speed": "7"}).options.speed == 7
    with pytest.raises(UnknownNameError, match="did you mean 'speed'"):
        registry.make("fast", {"sped": 1})
    with pytest.raises(InvalidOptionError, match="fast: speed = 'x': must be of type int"):
        registry.make("fast", {"speed": "x"})


RANKED = """
from damond.core import Probe

class {first}(Mine):
    name = "{first}"
    auto_rank = {rank}

    @classmethod
    def probe(cls):
        return Probe(works={works}, reason="too dark")

@hookimpl
def damond_primitives():
    return [Mine, {first}]
"""


FOLLOWING = """
class Following(Mine):
    def retarget(self, ctx):
        pass
"""


def ranked(write_plugin: Any, *plugins: tuple[str, int, bool]) -> Registry:
    return Registry(
        [
            write_plugin(name, RANKED.format(first=name, rank=rank, works=works), primitive=f"other_{name}")
            for name, rank, works in plugins
        ]
    )


def test_auto_is_ordered_by_rank(write_plugin: Any) -> None:
    """'auto' tries those with a rank, lowest first, then by name; others never."""
    registry = ranked(write_plugin, ("slow", 9, True), ("best", 1, True), ("alike", 9, True))
    assert [each.name for each in registry.auto()] == ["best", "alike", "slow"]


def test_auto_chooses_what_works(write_plugin: Any) -> None:
    """The first that works here is chosen; where none does, each is named with its reason."""
    assert ranked(write_plugin, ("slow", 9, True), ("best", 1, False)).choose({}).name == "slow"
    with pytest.raises(SourceUnavailableError, match="best: too dark; slow: too dark"):
        ranked(write_plugin, ("slow", 9, False), ("best", 1, False)).choose({})


def test_auto_passes_over_a_probe_that_fails(write_plugin: Any) -> None:
    """It says nothing of the others, and is named with its failure where none of them works."""
    broken = RANKED.format(first="best", rank=1, works=True).replace("return P", "raise PermissionError(13, 'no') or P")
    best = write_plugin("best", broken, primitive="other_best")
    slow = write_plugin("slow", RANKED.format(first="slow", rank=9, works=True), primitive="other_slow")
    assert Registry([best, slow]).choose({}).name == "slow"
    with pytest.raises(SourceUnavailableError, match="best: its probe failed: PermissionError"):
        Registry([best]).choose({})


def test_auto_for_targets_that_come_and_go(write_plugin: Any) -> None:
    """A primitive whose targets can't change is no choice for a context that follows processes, and is named so."""
    following = FOLLOWING + RANKED.format(first="slow", rank=9, works=True).replace("(Mine)", "(Following)")
    fixed = write_plugin("best", RANKED.format(first="best", rank=1, works=True), primitive="other_best")
    registry = Registry([fixed, write_plugin("slow", following, primitive="other_slow")])
    assert registry.choose({}).name == "best"
    assert registry.choose({}, follows=True).name == "slow"
    with pytest.raises(SourceUnavailableError, match="best: its targets can't change while it runs"):
        Registry([fixed]).choose({}, follows=True)


CHOOSY = """
from dataclasses import dataclass
from damond.plugin import option

@dataclass(frozen=True)
class Options:
    source: str = option("auto", choices=("auto", "{source}"))
    {own}: int = option(1)

class {name}(Mine):
    name = "{name}"
    auto_rank = {rank}
    Options = Options

@hookimpl
def damond_primitives():
    return [{name}]
"""


@pytest.fixture
def choosy(write_plugin: Any) -> Registry:
    """Two primitives for auto, whose options differ."""
    kinds = ({"name": "best", "rank": 1, "source": "deep", "own": "depth"},)
    kinds += ({"name": "slow", "rank": 9, "source": "flat", "own": "width"},)
    return Registry([write_plugin(kind["name"], CHOOSY.format(**kind)) for kind in kinds])


@pytest.mark.parametrize(
    ("options", "name"),
    [
        pytest.param({}, "best", id="none"),
        pytest.param({"source": "deep"}, "best", id="a value of the first"),
        pytest.param({"source": "flat"}, "slow", id="a value of the second"),
        pytest.param({"width": 3}, "slow", id="a name of the second"),
    ],
)
def test_options_choose_too(choosy: Registry, options: dict[str, Any], name: str) -> None:
    """Under auto a primitive that does not take the options is passed over."""
    assert choosy.choose(options).name == name
    assert choosy.option_problems("auto", options) == []


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        pytest.param({"widht": 3}, "unknown_option", "did you mean 'width'?; auto tries best, slow", id="unknown"),
        pytest.param({"source": "flad"}, "unknown_source", "did you mean 'flat'?", id="an unknown choice"),
        pytest.param({"width": "x"}, "invalid_option", "slow: width = 'x': must be of type int", id="a bad value"),
        pytest.param(
            {"width": 3, "depth": 3}, "invalid_option", "best: unknown option 'width'; slow: unkn", id="no single one"
        ),
    ],
)
def test_options_that_no_candidate_takes(choosy: Registry, options: dict[str, Any], code: str, words: str) -> None:
    """What none of those that auto may choose takes is an error with the nearest known word, before any is tried."""
    (problem,) = choosy.option_problems("auto", options)
    assert problem.code == code
    assert words in str(problem)
    with pytest.raises(type(problem)):
        choosy.choose(options)


def test_every_option_problem_is_listed(choosy: Registry) -> None:
    """All that is wrong with the options of a primitive is told at once, and an unknown primitive is one problem."""
    found = choosy.option_problems("best", {"dept": 1, "source": "flat", "depth": "x"})
    assert [each.code for each in found] == ["unknown_option", "unknown_source", "invalid_option"]
    assert all(each.hint for each in found)
    assert [each.code for each in choosy.option_problems("bets", {})] == ["unknown_primitive"]


def test_offering_loads_no_more_than_needed(write_plugin: Any) -> None:
    """A worker loads the plugin of its primitive, and others only until one offers it."""
    plugins = [write_plugin("a", primitive="first"), write_plugin("b", primitive="b"), write_plugin("c")]
    assert [each.name for each in Registry(plugins, offering="b").reports] == ["b"]
    assert [each.name for each in Registry(plugins, offering="mine").reports] == ["a", "b", "c"]
    assert [each.name for each in Registry(plugins, offering="first").reports] == ["a"]


POLICY = """
from damond.core import Policy

class {cls}(Policy):
    name = "{policy}"

    def merge(self, ctx, max_nr_accesses, sz_limit):
        pass

    def split(self, ctx):
        pass

@hookimpl
def damond_primitives():
    return [Mine]

@hookimpl
def damond_policies():
    return [{cls}]
"""


def test_policies_are_offered_beside_primitives(write_plugin: Any) -> None:
    """A plugin may bring both kinds; damond's own policies are there without any plugin."""
    registry = Registry([write_plugin(body=POLICY.format(cls="Still", policy="still"))])
    (report,) = registry.reports
    assert (report.primitives, report.policies, report.error) == (("mine",), ("still",), "")
    assert registry.make_policy("still", {}).name == "still"
    assert {"kernel", "fraction", "still"} <= set(registry.policies)
    assert set(Registry([]).policies) == set(registry.policies) - {"still"}


def test_a_name_of_damonds_own_policies_is_taken(write_plugin: Any) -> None:
    """Nobody can replace the policy that is called the kernel's; what else the plugin offers is accepted."""
    registry = Registry([write_plugin(body=POLICY.format(cls="Other", policy="kernel"))])
    (report,) = registry.reports
    assert report.primitives == ("mine",)
    assert "the policy name 'kernel' is taken by damond" in report.error


def test_broken_policy(write_plugin: Any) -> None:
    """What is no policy is refused, and said to be none."""
    body = POLICY.format(cls="Half", policy="half").replace("def split", "def splits")
    (report,) = Registry([write_plugin(body=body)]).reports
    assert (report.policies, report.error) == ((), "policy 'half' lacks split")


def test_unknown_policy_and_option() -> None:
    """The nearest names are suggested, of policies and of their options."""
    registry = Registry([])
    with pytest.raises(UnknownNameError, match="unknown policy 'kernle'") as caught:
        registry.policy("kernle")
    assert (caught.value.code, "did you mean 'kernel'?" in caught.value.hint) == ("unknown_policy", True)
    with pytest.raises(UnknownNameError, match="unknown option 'speed'"):
        registry.make_policy("kernel", {"speed": 1})


def test_offering_goes_on_until_the_policy_is_there(write_plugin: Any) -> None:
    """A worker that needs a stranger's policy loads further plugins for it; damond's own need none."""
    plugins = [write_plugin("a", primitive="first"), write_plugin("b", POLICY.format(cls="Still", policy="still"))]
    names = [each.name for each in Registry(plugins, offering="first", policy="still").reports]
    assert names == ["a", "b"]
    assert [each.name for each in Registry(plugins, offering="first", policy="fraction").reports] == ["a"]
