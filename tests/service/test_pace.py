"""How fast contexts go by the configuration, and how the service's budget is shared."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Budget
from damond.errors import ConfigError
from damond.plugin import Registry
from damond.service import config
from damond.service.shares import share_out
from damond.service.spec import ContextSpec

REGISTRY = Registry()


def specs(tmp_path: Path, text: str) -> list[ContextSpec]:
    path = tmp_path / "damond.toml"
    path.write_text(text)
    return config.load(path, REGISTRY).specs()


def spec(tmp_path: Path, own: str = "", defaults: str = "") -> ContextSpec:
    return specs(tmp_path, f'[defaults]\n{defaults}\n[context.a]\nprimitive = "synthetic"\n{own}')[0]


RECOMMENDED = {
    "access_bp": 400,
    "aggrs": 3,
    "min_sample_us": 5_000,
    "max_sample_us": 10_000_000,
    "saturation_bp": 5_000,
}


def test_shipped_defaults(tmp_path: Path) -> None:
    """Without a word: tuned to 4 %, begun with half of the regions, and 1 % of a CPU for all."""
    shipped = config.load(Path(__file__).parents[2] / "etc" / "damond.toml", REGISTRY)
    for one in (shipped.specs()[0], spec(tmp_path)):
        assert one.intervals_goal == RECOMMENDED
        assert (one.initial_nr_regions, one.strict_min_nr_regions) == (500, True)
        assert one.budget() is None
    assert shipped.service.max_cpu == 0.01


@pytest.mark.parametrize(
    ("own", "defaults", "goal"),
    [
        pytest.param('sample_interval = "5ms"', "", None, id="who gives an interval gets it"),
        pytest.param('aggr_interval = "1s"', "", None, id="of either kind"),
        pytest.param("", 'sample_interval = "5ms"', None, id="by default, too"),
        pytest.param('intervals_goal = "off"', "", None, id="off"),
        pytest.param("", 'intervals_goal = "off"', None, id="off by default"),
        pytest.param("intervals_goal = {}", 'intervals_goal = "off"', RECOMMENDED, id="on again"),
        pytest.param('sample_interval = "5ms"', "intervals_goal = {}", None, id="given here, tuned by default"),
        pytest.param("intervals_goal = {}", 'sample_interval = "5ms"', RECOMMENDED, id="tuned here, given by default"),
        pytest.param("max_nr_regions = 50", "", RECOMMENDED, id="regions are no interval"),
        pytest.param(
            'sample_interval = "20ms"\nintervals_goal = {min_sample = "10ms", max_sample = "1s", saturation_bp = 0}',
            "",
            {**RECOMMENDED, "min_sample_us": 10_000, "max_sample_us": 1_000_000, "saturation_bp": 0},
            id="both: where tuning begins",
        ),
    ],
)
def test_goal(tmp_path: Path, own: str, defaults: str, goal: object) -> None:
    """The nearest word counts: a goal, or intervals, which are then kept; those of the context before the defaults."""
    assert spec(tmp_path, own, defaults).intervals_goal == goal


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ('intervals_goal = "on"', 'a table or "off" is needed'),
        ("intervals_goal = {acces_bp = 4}", "did you mean 'access_bp'"),
        ("intervals_goal = {aggrs = 0}", "aggrs = 0: must be at least 1"),
        ("intervals_goal = {aggrs = true}", "aggrs = True: must be a whole number"),
        ('intervals_goal = {min_sample = "1"}', "has no unit"),
        ('sample_interval = "1ms"\nintervals_goal = {}', "intervals_goal tunes from 5000 us"),
        ("max_cpu = 0.01", "max_cpu"),
        ('max_cpu = "1"', "percent sign"),
        ('max_cpu = "0%"', "must be above 0"),
        ("max_checks_per_s = 0", "max_checks_per_s"),
        ("initial_nr_regions = 0", "initial_nr_regions"),
    ],
)
def test_refused(tmp_path: Path, own: str, problem: str) -> None:
    """What can't be meant is told by the key, with what can."""
    with pytest.raises(ConfigError) as caught:
        spec(tmp_path, own)
    assert any(problem in each for each in caught.value.problems), caught.value.problems


def test_bounds(tmp_path: Path) -> None:
    """A context's own bounds; "off" lifts those of the defaults, and a share of the service's may be less."""
    one = spec(tmp_path, "max_checks_per_s = 1000", 'max_cpu = "0.5%"')
    assert one.budget() == Budget(max_cpu=0.005, max_checks_per_s=1000)
    assert one.bounds({"max_cpu": 0.001}) == {"max_cpu": 0.001, "max_checks_per_s": 1000}
    assert one.bounds({"max_cpu": 0.1}) == {"max_cpu": 0.005, "max_checks_per_s": 1000}
    assert spec(tmp_path, 'max_cpu = "off"', 'max_cpu = "0.5%"').budget() is None


def test_regions(tmp_path: Path) -> None:
    """How many to begin with follows from the greatest number, unless it is given."""
    assert spec(tmp_path, "max_nr_regions = 60").initial_nr_regions == 30
    assert spec(tmp_path, "initial_nr_regions = 10\nstrict_min_nr_regions = false").strict_min_nr_regions is False


@pytest.mark.parametrize(
    ("wants", "limits", "shares"),
    [
        pytest.param({"a": None}, {"a": None}, {"a": 12.0}, id="alone"),
        pytest.param({"a": None, "b": None, "c": None}, {}, {"a": 4, "b": 4, "c": 4}, id="all the same"),
        pytest.param({"a": 0.8, "b": 99, "c": 99}, {}, {"a": 1, "b": 5.5, "c": 5.5}, id="one needs little"),
        pytest.param({"a": 0, "b": 99, "c": 99}, {}, {"a": 1, "b": 5.5, "c": 5.5}, id="one needs nothing"),
        pytest.param({"a": None, "b": None}, {"a": 2.0}, {"a": 2, "b": 10}, id="a limit of its own"),
        pytest.param({"a": 1.6, "b": 1.6}, {}, {"a": 6, "b": 6}, id="what nobody needs goes to all"),
        pytest.param({}, {}, {}, id="nobody"),
    ],
)
def test_share_out(wants: dict[str, float | None], limits: dict[str, float], shares: dict[str, float]) -> None:
    """What one does not need is another's."""
    assert share_out(12.0, wants, {name: limits.get(name) for name in wants}) == pytest.approx(shares)


@given(
    contexts=st.lists(
        st.tuples(
            st.none() | st.floats(0, 10, allow_subnormal=False),
            st.none() | st.floats(0.001, 10, allow_subnormal=False),
        ),
        min_size=1,
        max_size=12,
    ),
    total=st.floats(0.001, 10),
)
def test_no_more_than_there_is(contexts: list[tuple[float | None, float | None]], total: float) -> None:
    """All together no more than the whole, none above its limit, none without anything, and nothing is withheld."""
    wants = {str(number): want for number, (want, _) in enumerate(contexts)}
    limits = {str(number): limit for number, (_, limit) in enumerate(contexts)}
    shares = share_out(total, wants, limits)
    assert sum(shares.values()) <= total * (1 + 1e-9)
    assert all(share > 0 for share in shares.values())
    assert all(limits[name] is None or share <= limits[name] * (1 + 1e-9) for name, share in shares.items())
    if sum(total if each is None else each for each in limits.values()) >= total:
        assert sum(shares.values()) == pytest.approx(total)
