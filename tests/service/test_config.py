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
    """Not the first problem: all of them, each with where it is and the nearest known word."""
    found = problems(
        tmp_path,
        """
        [service]
        runtime_dri = "/run/x"
        [context."a b"]
        primitive = "syntetic"
        [context.c]
        primitive = "synthetic"
        sample_intervall = "5ms"
        aggr_interval = "fast"
        [context.c.options]
        sise = "1GiB"
        """,
    )
    text = "\n".join(found)
    for expected in (
        "did you mean 'runtime_dir'",
        "'a b' is no context name",
        "unknown primitive 'syntetic'",
        "did you mean 'sample_interval'",
        "'fast' is not an interval",
        "unknown option 'sise'",
    ):
        assert expected in text
    assert len(found) == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[context", "is not TOML", id="not TOML"),
        pytest.param("[context.a]\nsample_interval='1s'\naggr_interval='1ms'", "aggr_interval", id="contradiction"),
        pytest.param("[context.a]\nmin_nr_regions=2", "min_nr_regions = 2", id="too few regions"),
        pytest.param("[context.a]\npid=0", "greater than 0", id="no pid"),
        pytest.param("context = 3", "context = 3", id="no table"),
        pytest.param("[context.a]\nprimitive = 3", "primitive = 3", id="no name"),
    ],
)
def test_refused(tmp_path: Path, text: str, words: str) -> None:
    """What can't be used says where and why."""
    with pytest.raises(ConfigError, match=words):
        load(tmp_path, text)


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
