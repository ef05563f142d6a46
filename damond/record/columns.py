"""Snapshots as columns: what is packed, and what pictures over a long time are made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from damond.core import Origin, Snapshot, TargetSnapshot
from damond.core.regions import Addrs, Counts
from damond.record import budgets

NO_PID: Final = -1
"""The pid of a target that is no process, in columns."""

PER_SNAPSHOT: Final = tuple(
    name
    for name in Snapshot.__dataclass_fields__
    if name not in ("context", "primitive", "targets", "budget", "policy", "origin")
)
PER_ORIGIN: Final = tuple(name for name in Origin.__dataclass_fields__ if name not in ("host", "stale"))

_PER_PART: Final = ("part_target", "part_pid")
_PER_REGION: Final = ("start", "size", "nr_accesses", "age", "nr_samples")

Ints = NDArray[np.int64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Block:
    """Neighbouring snapshots of one context, primitive and policy at once, as columns.

    Three tables: one row per snapshot; one *part* per target of each snapshot, in order; one row per region, in the
    order of parts. Part ``p`` has the regions ``part_first[p]`` to ``part_first[p + 1]``.

    Attributes:
        primitive: Name of the primitive.
        policy: Name of the policy by which regions adapted; "" where that is not known.
        scalars: Per snapshot: name -> int64, every number of :class:`damond.core.Snapshot` and of its origin under
            its name there (``start_ns``, ``max_nr_accesses``, ``partial``, ``missed``, ...), and its budget
            (:mod:`damond.record.budgets`); see :meth:`column`.
        part_snapshot: Per part: row of its snapshot.
        part_target: Per part: id of its target.
        part_pid: Per part: pid of its target; ``NO_PID`` where it is no process.
        part_first: Per part, and one more: row of its first region.
        start: Per region: first address, uint64. Bytes.
        size: Per region, uint64. Bytes.
        nr_accesses: Per region, uint32.
        age: Per region, uint32. Aggregations.
        nr_samples: Per region, uint32: samples that stand behind it; zeros where that is not known.
    """

    primitive: str
    policy: str
    scalars: dict[str, Ints]
    part_snapshot: Rows
    part_target: Ints
    part_pid: Ints
    part_first: Rows
    start: Addrs
    size: Addrs
    nr_accesses: Counts
    age: Counts
    nr_samples: Counts

    @classmethod
    def of(cls, snapshots: Sequence[Snapshot]) -> Self:
        """Put snapshots of one context, primitive and policy into columns, in their order; at least one."""
        origins = [each.origin or Origin(host="", epoch=0, seq=number) for number, each in enumerate(snapshots)]
        parts = [part for each in snapshots for part in each.targets]
        scalars = {name: _ints(getattr(each, name) for each in snapshots) for name in PER_SNAPSHOT}
        scalars |= {name: _ints(getattr(each, name) for each in origins) for name in PER_ORIGIN}
        return cls(
            primitive=snapshots[0].primitive,
            policy=snapshots[0].policy,
            scalars=scalars | budgets.to_columns(snapshots),
            part_snapshot=np.repeat(np.arange(len(snapshots)), [len(each.targets) for each in snapshots]),
            part_target=_ints(part.id for part in parts),
            part_pid=_ints(NO_PID if part.pid is None else part.pid for part in parts),
            part_first=firsts(_ints(len(part.start) for part in parts)),
            start=_joined((part.start for part in parts), np.uint64),
            size=_joined((part.size for part in parts), np.uint64),
            nr_accesses=_joined((part.nr_accesses for part in parts), np.uint32),
            age=_joined((part.age for part in parts), np.uint32),
            nr_samples=_joined((part.nr_samples for part in parts), np.uint32),
        )

    @classmethod
    def join(cls, blocks: Sequence["Block"]) -> Self:
        """Make one of neighbouring blocks of one context, primitive and policy; at least one."""
        before = np.cumsum([0, *(each.nr_snapshots for each in blocks)])
        sizes = np.concatenate([np.diff(each.part_first) for each in blocks])
        rest = (*_PER_PART, *_PER_REGION)
        return cls(
            primitive=blocks[0].primitive,
            policy=blocks[0].policy,
            scalars={name: np.concatenate([each.scalars[name] for each in blocks]) for name in blocks[0].scalars},
            part_snapshot=np.concatenate(
                [each.part_snapshot + first for each, first in zip(blocks, before, strict=False)]
            ),
            part_first=firsts(sizes),
            **{name: np.concatenate([getattr(each, name) for each in blocks]) for name in rest},
        )

    @property
    def nr_snapshots(self) -> int:
        """Snapshots in it."""
        return len(self.scalars["start_ns"])

    def column(self, name: str) -> Ints:
        """Return a number of all snapshots: ``start_ns``, ``end_ns``, ``max_nr_accesses``, ``aggr_us``, ..."""
        return self.scalars[name]

    def region_part(self) -> Rows:
        """Return the part of each region."""
        return np.repeat(np.arange(len(self.part_target)), np.diff(self.part_first))

    def region_snapshot(self) -> Rows:
        """Return the snapshot of each region."""
        return self.part_snapshot[self.region_part()]

    def rows(self, first: int, behind: int) -> Self:
        """Leave the snapshots of a range of rows."""
        bounds = np.searchsorted(self.part_snapshot, [first, behind]).tolist()
        parts = slice(*bounds)
        part_first = self.part_first[bounds[0] : bounds[1] + 1]
        regions = slice(int(part_first[0]), int(part_first[-1]))
        return type(self)(
            primitive=self.primitive,
            policy=self.policy,
            scalars={name: column[first:behind] for name, column in self.scalars.items()},
            part_snapshot=self.part_snapshot[parts] - first,
            part_first=part_first - part_first[0],
            **{name: getattr(self, name)[parts] for name in _PER_PART},
            **{name: getattr(self, name)[regions] for name in _PER_REGION},
        )

    def where(self, wanted: NDArray[np.bool_]) -> Self:
        """Leave the snapshots that are wanted, a row of truth per snapshot."""
        if wanted.all():
            return self
        kept = wanted[self.part_snapshot]
        sizes = np.diff(self.part_first)
        regions = np.repeat(kept, sizes)
        return type(self)(
            primitive=self.primitive,
            policy=self.policy,
            scalars={name: column[wanted] for name, column in self.scalars.items()},
            part_snapshot=(np.cumsum(wanted) - 1)[self.part_snapshot[kept]],
            part_first=firsts(sizes[kept]),
            **{name: getattr(self, name)[kept] for name in _PER_PART},
            **{name: getattr(self, name)[regions] for name in _PER_REGION},
        )

    def of_target(self, target_id: int) -> Self:
        """Leave the regions of one target; all snapshots stay."""
        kept = self.part_target == target_id
        sizes = np.diff(self.part_first)
        regions = np.repeat(kept, sizes)
        return type(self)(
            primitive=self.primitive,
            policy=self.policy,
            scalars=self.scalars,
            part_first=firsts(sizes[kept]),
            **{name: getattr(self, name)[kept] for name in ("part_snapshot", *_PER_PART)},
            **{name: getattr(self, name)[regions] for name in _PER_REGION},
        )

    def snapshot(self, row: int, context: str, host: str) -> Snapshot:
        """Return one of the snapshots, as it came over the stream."""
        first, behind = np.searchsorted(self.part_snapshot, [row, row + 1]).tolist()
        numbers: dict[str, Any] = {name: int(self.scalars[name][row]) for name in PER_SNAPSHOT}
        origin: dict[str, Any] = {name: int(self.scalars[name][row]) for name in PER_ORIGIN}
        return Snapshot(
            context=context,
            primitive=self.primitive,
            policy=self.policy,
            budget=budgets.at(self.scalars, row),
            targets=tuple(map(self._target, range(first, behind))),
            origin=Origin(host=host, **{**origin, "restarted": bool(origin["restarted"])}),
            **{**numbers, "partial": bool(numbers["partial"])},
        )

    def _target(self, part: int) -> TargetSnapshot:
        regions = slice(int(self.part_first[part]), int(self.part_first[part + 1]))
        pid = int(self.part_pid[part])
        return TargetSnapshot(
            int(self.part_target[part]),
            None if pid == NO_PID else pid,
            self.start[regions],
            self.size[regions],
            self.nr_accesses[regions],
            self.age[regions],
            self.nr_samples[regions],
        )


def firsts(counts: Ints) -> Rows:
    """Return the row at which each group begins, and the one behind the last, of groups of these sizes."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)


def _joined(columns: Iterable[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *columns])
