"""Adaptation policies in workers."""

from collections.abc import Mapping

import pytest

from damond.core import Snapshot
from damond.errors import UnknownNameError
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec
from damond.stream.subscriber import Subscriber

LIMIT_S = 30.0


def first_with(policy: str, options: Mapping[str, float]) -> Snapshot:
    """Give the third snapshot of idle memory: by then it has been merged and split twice."""
    spec = ContextSpec(
        name="one",
        primitive="synthetic",
        options={"size": "1GiB", "tracks": [{"probability": 0.0}]},
        attrs={"sample_interval": 1_000, "aggr_interval": 5_000, "min_nr_regions": 10, "max_nr_regions": 200},
        policy=policy,
        policy_options=options,
        seed=1,
    )
    with EmbeddedSupervisor() as supervisor, Subscriber(supervisor.endpoints.stream, ["one"], ("snapshot",)) as reader:
        assert reader.wait_connected(LIMIT_S)
        supervisor.start([spec])
        for _ in range(3):
            snapshot = reader.receive(LIMIT_S)
        assert isinstance(snapshot, Snapshot)
        assert snapshot.origin is not None
        assert snapshot.origin.seq == 2
        return snapshot


@pytest.mark.parametrize(
    ("policy", "options", "regions"),
    [
        pytest.param("kernel", {}, range(18, 25), id="cuts each in two"),
        pytest.param("budget", {"watch": 0.5}, range(95, 115), id="watches with half of the regions"),
        pytest.param("budget", {"watch": 0.1}, range(18, 32), id="watches with a tenth"),
    ],
)
def test_a_context_adapts_by_its_policy(policy: str, options: dict[str, float], regions: range) -> None:
    """The worker uses the policy and its options, and every snapshot names it."""
    snapshot = first_with(policy, options)
    assert snapshot.policy == policy
    assert snapshot.checks // snapshot.max_nr_accesses in regions


def test_unknown_policy_starts_nothing() -> None:
    """It is refused before there is a worker."""
    with EmbeddedSupervisor() as supervisor:
        with pytest.raises(UnknownNameError, match="unknown policy 'bugdet'"):
            supervisor.start([ContextSpec(name="one", primitive="synthetic", policy="bugdet")])
        assert supervisor.nr_running == 0
