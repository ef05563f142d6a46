"""Hot memory in ever more memory: what is shipped finds, and what the kernel's DAMON does."""

import pytest

from damond.bench import telescope
from damond.bench.setting import MAX_CHECKS_PER_S, Setting

LEAST, _, _, GREATEST = telescope.FOOTPRINTS


@pytest.mark.parametrize("footprint", [LEAST, GREATEST], ids=["1 GB", "5 TB"])
@pytest.mark.parametrize("accesses_per_ms", telescope.RATES)
def test_what_is_shipped_finds_it_in_any_size(footprint: telescope.Footprint, accesses_per_ms: int) -> None:
    """Precision and recall are .95 or better at every load, for no more pages than are allowed."""
    row = telescope.judge(footprint, accesses_per_ms, Setting.shipped(), seed=3)
    assert row["precision"] >= 0.95
    assert row["recall"] >= 0.95
    assert row["pages_per_s"] <= MAX_CHECKS_PER_S * 1.01


def test_the_kernels_defaults_lose_it() -> None:
    """At 5 ms / 200 ms and 10 to 1000 regions the hot range is found in 1 GB and lost in 5 TB, as was published."""
    published = telescope.as_published(Setting.kernel())
    assert published.attrs.aggr_interval == 200_000
    recall = [telescope.judge(each, telescope.RATES[0], published, seed=3)["recall"] for each in (LEAST, GREATEST)]
    assert recall[0] >= 0.9
    assert recall[1] <= 0.1


def test_other_settings_keep_their_aggregations() -> None:
    """Only the kernel's own defaults are aggregated as was published."""
    tuned = Setting.shipped()
    assert telescope.as_published(tuned) == tuned
