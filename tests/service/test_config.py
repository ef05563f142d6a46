"""The configuration: parsed as a whole, every problem listed."""

import re
import tomllib
from pathlib import Path

import pytest

from damond.errors import ConfigError
from damond.plugin import Registry
from damond.service import config

REGISTRY = Registry()


def load(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "damond.toml"
    path.write_text(text)
    return config.load(path, REGISTRY)


def problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.exit_code == 78
    return caught.value.problems


def test_shipped_file() -> None:
    """The file that is shipped can be used as it is."""
    shipped = config.load(Path(__file__).parents[2] / "etc" / "damond.toml", REGISTRY)
    assert shipped.specs()


def test_defaults_and_overrides(tmp_path: Path) -> None:
    """A context has the defaults where it does not say otherwise; intervals have units."""
    loaded = load(
        tmp_path,
        """
        [defaults]
        sample_interval = "10ms"
        max_nr_regions = 50
        [context.a]
        primitive = "synthetic"
        sample_interval = "5ms"
        [context.b]
        primitive = "vaddr"
        pid = 12
        pids = [13, 12]
        autostart = false
        """,
    )
    a, b = loaded.specs()
    assert a.attrs == {"sample_interval": 5000, "max_nr_regions": 50}
    assert [target.id for target in b.targets] == [12, 13]
    assert [spec.name for spec in loaded.specs(autostart_only=True)] == ["a"]


def test_every_problem_is_listed(tmp_path: Path) -> None:
    """Not the first problem, and not those of one kind: all of them in one round, each with where it is."""
    found = problems(
        tmp_path,
        """
        [service]
        runtime_dri = "/run/x"
        group = "staff"
        plugins = ["synthetic", "vadr"]
        [remote]
        stream = "tcp://0.0.0.0:5557"
        [context."a b"]
        primitive = "syntetic"
        [context.c]
        primitive = "synthetic"
        sample_intervall = "5ms"
        aggr_interval = "fast"
        min_nr_regions = 2
        max_nr_regions = 1
        [context.c.options]
        sise = "1GiB"
        size = "1"
        [context.d]
        autostart = "yes"
        select = { nmae = "x", cmdline = "(" }
        sample_interval = "2s"
        aggr_interval = "1s"
        [context.e]
        pid = 3
        options = { sorce = "x", source = "page-idle" }
        """,
    )
    expected = (
        "did you mean 'runtime_dir'",
        "service: group needs user",
        "unknown plugin 'vadr' (did you mean 'vaddr'?)",
        "remote: nothing goes over the network without keys",
        "context.a b: 'a b' is no context name",
        "context.a b: unknown primitive 'syntetic' (did you mean 'synthetic'?",
        "did you mean 'sample_interval'",
        "context.c.aggr_interval = 'fast': 'fast' is not an interval",
        "context.c: min_nr_regions = 2: must be at least 3",
        "context.c: max_nr_regions = 1: must not be below min_nr_regions, 2",
        "context.c: unknown option 'sise' (did you mean 'size'?",
        "context.c: synthetic: size = '1': must be a multiple of the page size",
        "context.d.autostart = 'yes': must be true or false",
        "context.d.select.nmae: unknown key 'nmae' (did you mean 'name'?)",
        "context.d.select.cmdline = '(': no regular expression",
        "context.d: aggr_interval = 1 s: must not be shorter than sample_interval, 2 s",
        "context.e: unknown option 'sorce' (did you mean 'source'?",
        "context.e: unknown source 'page-idle' (did you mean 'page_idle'?",
    )
    for words in expected:
        assert sum(words in each for each in found) == 1, (words, found)
    assert len(found) == len(expected)


def test_lists_of_what_is_no_name(tmp_path: Path) -> None:
    """A list in a list is told where it is, as any other mistake."""
    found = problems(
        tmp_path,
        """
        [service]
        plugins = [["a"]]
        [record]
        contexts = [["a"]]
        [context.a]
        primitive = "synthetic"
        sample_interval = "1ms.5"
        """,
    )
    assert len(found) == 3
    assert any("plugins" in each for each in found)
    assert any("contexts" in each for each in found)


def test_a_fault_in_the_defaults_is_told_once(tmp_path: Path) -> None:
    """What is wrong with [defaults] is not repeated by every context; what a context makes of it is."""
    found = problems(
        tmp_path,
        """
        [defaults]
        sample_interval = "1s"
        aggr_interval = "1ms"
        primitive_update_interval = 5
        [context.a]
        primitive = "synthetic"
        [context.b]
        primitive = "synthetic"
        [context.c]
        primitive = "synthetic"
        aggr_interval = "3ms"
        """,
    )
    assert [each.partition(":")[0] for each in found] == [
        "defaults.primitive_update_interval = 5",
        "defaults",
        "context.c",
    ]
    assert "aggr_interval = 3 ms" in found[2]


def test_attributes_are_checked_as_a_context_has_them(tmp_path: Path) -> None:
    """A context may contradict the defaults only; one attribute alone contradicts nothing: the rest is made to fit."""
    (problem,) = problems(
        tmp_path,
        """
        [defaults]
        sample_interval = "1s"
        [context.a]
        primitive = "synthetic"
        [context.b]
        primitive = "synthetic"
        aggr_interval = "500ms"
        """,
    )
    assert problem.startswith("context.b: aggr_interval = 500 ms: must not be shorter than sample_interval, 1 s")


def test_problems_name_their_file(tmp_path: Path) -> None:
    """Files of conf.d are checked in the same round, and what is wrong in one of them names it."""
    more = tmp_path / "conf.d"
    more.mkdir()
    (more / "1.toml").write_text("[context.one]\nprimitive = 'synthetic'\nsede = 1\n")
    (more / "2.toml").write_text("[context.two\n")
    (more / "3.toml").write_text("[context.main]\n[context.three]\nprimitive = 'vaddr'\n")
    (more / "4.toml").write_text("[defaults]\nmin_nr_regions = 1\n")
    (more / "5.toml").mkdir()
    found = problems(tmp_path, "[context.main]\nprimitive = 'syntetic'\n")
    for words in (
        "conf.d/1.toml: context.one.sede: unknown key 'sede' (did you mean 'seed'?)",
        f"{more}/2.toml is not TOML",
        f"{more}/3.toml: context.main is given twice ({tmp_path}/damond.toml has it too)",
        "conf.d/3.toml: context.three: nothing to monitor",
        "conf.d/4.toml: defaults: min_nr_regions = 1: must be at least 3",
        f"{more}/5.toml: Is a directory",
        "context.main: unknown primitive 'syntetic'",
    ):
        assert sum(each.startswith(words) for each in found) == 1, (words, found)
    assert len(found) == 7


def test_conf_d_that_is_none(tmp_path: Path) -> None:
    """A conf.d that can't be listed does not look like an empty one."""
    (tmp_path / "conf.d").write_text("")
    (problem,) = problems(tmp_path, "")
    assert problem.startswith(f"{tmp_path}/conf.d: Not a directory")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param("{ source = 'page_idle' }", "", id="of one candidate"),
        pytest.param("{ source = 'tracepoint' }", "", id="of the other"),
        pytest.param("{ allow_kdamond = true }", "", id="known to one only"),
        pytest.param("{ size = '4KiB' }", "unknown option 'size'", id="of a primitive that auto never takes"),
        pytest.param("{ allow_kdamond = 3 }", "no primitive takes it: vaddr: allow_kdamond = 3", id="a bad value"),
        pytest.param(
            "{ allow_kdamond = true, ops = 'vaddr' }", "takes these options together: kdamond: unk", id="a bad pair"
        ),
    ],
)
def test_options_of_auto(tmp_path: Path, options: str, words: str) -> None:
    """Beside auto an option must be one that a primitive takes which auto may choose; a bad one is told as such."""
    text = f"[context.a]\npid = 1\noptions = {options}\n"
    if not words:
        assert load(tmp_path, text).specs()
        return
    (problem,) = problems(tmp_path, text)
    assert words in problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "nothing to monitor: primitive 'auto'", id="auto"),
        pytest.param("primitive = 'vaddr'\nchildren = true", "nothing to monitor: primitive 'vaddr'", id="children"),
        pytest.param("primitive = 'kdamond'\npids = []", "nothing to monitor: primitive 'kdamond'", id="none"),
        pytest.param("primitive = 'physical'\npid = 1", "watches no processes, but pid", id="a pid for nothing"),
        pytest.param(
            "primitive = 'kdamond'\nselect = {name = 'x'}",
            "can't change its targets while it runs",
            id="not to be kept",
        ),
        pytest.param("primitive = 'kdamond'\npid = 1\nchildren = true", "as children does", id="nor children"),
        pytest.param(
            "primitive = 'synthetic'\ncommand = ['true']", "watches no processes, but command", id="nor a command"
        ),
    ],
)
def test_targets_fit_the_primitive(tmp_path: Path, text: str, words: str) -> None:
    """A primitive for processes is given some, and one for something else none: said before anything starts."""
    (problem,) = problems(tmp_path, f"[context.a]\n{text}\n")
    assert words in problem


@pytest.mark.parametrize("key", ["sample_interval", "aggr_interval", "primitive_update_interval"])
def test_an_interval_has_a_unit(tmp_path: Path, key: str) -> None:
    """A bare number hides its unit: it is refused, and the hint shows how an interval is written."""
    (problem,) = problems(tmp_path, f"[context.a]\npid = 1\n{key} = 5000\n")
    assert problem.startswith(f"context.a.{key} = 5000: 5000 has no unit")
    assert '"5ms"' in problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[context", "is not TOML", id="not TOML"),
        pytest.param("[context.a]\nsample_interval='1s'\naggr_interval='1ms'", "aggr_interval", id="contradiction"),
        pytest.param("[context.a]\nmin_nr_regions=2", "min_nr_regions = 2", id="too few regions"),
        pytest.param("[context.a]\npid=0", "greater than 0", id="no pid"),
        pytest.param("[context.a]\npid=true", "pid = True: must be a whole number", id="a truth for a pid"),
        pytest.param("[context.a]\npid='7'", "pid = '7': must be a whole number", id="a text for a pid"),
        pytest.param("context.a = 3", "context.a = 3: must be a table", id="no context"),
        pytest.param("context = 3", "context = 3", id="no table"),
        pytest.param("[context.a]\nprimitive = 3", "primitive = 3", id="no name"),
    ],
)
def test_refused(tmp_path: Path, text: str, words: str) -> None:
    """What can't be used says where and why."""
    with pytest.raises(ConfigError, match=words) as caught:
        load(tmp_path, text)
    assert "nothing has been changed" in caught.value.hint


def test_missing(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        config.load(tmp_path / "nowhere.toml", REGISTRY)


def test_shipped_examples() -> None:
    """What is commented out in the shipped file can be used once it is not."""
    text = (Path(__file__).parents[2] / "etc" / "damond.toml").read_text()
    lines = [re.sub(r"^# (\[[a-z.-]+\]|[a-z_]+ = .*)$", r"\1", line) for line in text.splitlines()]
    loaded = config.parse(tomllib.loads("\n".join(lines)), REGISTRY, "examples")
    assert {"example", "web", "databases", "job", "host-ram"} <= {spec.name for spec in loaded.specs()}
    assert loaded.defaults.given() == {
        "sample_interval": 5_000,
        "aggr_interval": 100_000,
        "primitive_update_interval": 1_000_000,
        "min_nr_regions": 10,
        "max_nr_regions": 1000,
    }
    assert loaded.remote.stream


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", ("budget", {}), id="by default"),
        pytest.param('policy = "kernel"', ("kernel", {}), id="the context's own"),
        pytest.param("policy_options = { watch = 0.5 }", ("budget", {"watch": 0.5}), id="options of the default"),
    ],
)
def test_policy(tmp_path: Path, text: str, expected: tuple[str, dict[str, float]]) -> None:
    """A context says how its regions adapt; what it leaves out is the service's choice."""
    (spec,) = load(tmp_path, f'[context.a]\nprimitive = "synthetic"\n{text}').specs()
    assert (spec.policy, dict(spec.policy_options)) == expected


def test_another_policy_does_not_inherit_options(tmp_path: Path) -> None:
    """Options of the defaults are those of the defaults' policy."""
    table = '[defaults]\npolicy_options = { watch = 0.5 }\n[context.a]\nprimitive = "synthetic"\n'
    assert [spec.policy_options for spec in load(tmp_path, table).specs()] == [{"watch": 0.5}]
    assert [spec.policy_options for spec in load(tmp_path, table + 'policy = "kernel"').specs()] == [{}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param('policy = "kernle"', "did you mean 'kernel'?", id="unknown"),
        pytest.param("policy_options = { wach = 0.5 }", "did you mean 'watch'?", id="unknown option"),
        pytest.param("policy_options = { watch = 2.0 }", "must be from 0 to 1", id="impossible option"),
        pytest.param('policy = "fraction"\npolicy_options = { watch = 0.5 }', "unknown option", id="of another policy"),
    ],
)
def test_policy_problems(tmp_path: Path, text: str, problem: str) -> None:
    """What can't be used is listed with the rest, before anything starts."""
    (found,) = problems(tmp_path, f'[context.a]\nprimitive = "synthetic"\n{text}')
    assert problem in found
