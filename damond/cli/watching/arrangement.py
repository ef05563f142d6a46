"""Which panels there is room for, and how much each gets."""

from dataclasses import dataclass
from typing import Final

from damond.cli.watching.view import Shape

NARROW: Final = 64
"""Columns below which there is no list beside the other panels: n and p still go through the contexts."""

_WIDE: Final = 100
_VERY_WIDE: Final = 150
_LIST_WIDTHS: Final = (26, 38, 56)

_FACTS: Final = 3
_WORKING_SET: Final = 2
_LEAST_HEAT: Final = 8
_LEAST_REGIONS: Final = 5
_LEAST_IDLE_WIDTH: Final = 34
_LEAST_REGIONS_WIDTH: Final = 36
_IDLE_ROWS: Final = 13
_TALL: Final = 32


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Room for each panel; 0 is none. What is as wide or high as the rest of the room is told by -1.

    Attributes:
        contexts: Columns of the list.
        facts: Lines.
        heat: Whether the heat map is there.
        working_set: Lines.
        bottom: Lines of the panels below.
        regions: Whether the table of regions is there.
        idle: Columns of the idle times.
    """

    contexts: int = 0
    facts: int = 0
    heat: bool = False
    working_set: int = 0
    bottom: int = 0
    regions: bool = False
    idle: int = 0


def arrange(width: int, height: int, shape: Shape) -> Arrangement:
    """Share out a screen, without its first and last line.

    In the overview panels go in this order as there is less room: idle times, regions, working set, facts; the list
    where it is narrow. Each is there alone for a key.
    """
    if shape is Shape.CONTEXTS:
        return Arrangement(contexts=-1)
    contexts = 0 if width < NARROW else _LIST_WIDTHS[(width >= _WIDE) + (width >= _VERY_WIDE)]
    right = width - contexts - (1 if contexts else 0)
    facts = _FACTS if height >= _LEAST_HEAT + _FACTS else 0
    if shape is Shape.REGIONS:
        return Arrangement(contexts, facts, bottom=-1, regions=True)
    if shape is Shape.IDLE:
        third = (height - facts) // 3
        return Arrangement(contexts, facts, working_set=third if third >= _WORKING_SET else 0, bottom=-1, idle=-1)
    working_set = _WORKING_SET + (height >= _TALL) if height >= _LEAST_HEAT + _FACTS + _WORKING_SET else 0
    if shape is Shape.HEAT:
        return Arrangement(contexts, facts, heat=True, working_set=working_set)
    room = height - facts - working_set - _LEAST_HEAT
    if room < _LEAST_REGIONS:
        return Arrangement(contexts, facts, heat=True, working_set=working_set)
    both = right >= _LEAST_REGIONS_WIDTH + _LEAST_IDLE_WIDTH + 1
    bottom = min(max(_LEAST_REGIONS, (room + _LEAST_HEAT) * 2 // 5), _IDLE_ROWS)
    idle = max(_LEAST_IDLE_WIDTH, right * 2 // 5) if both else 0
    return Arrangement(contexts, facts, heat=True, working_set=working_set, bottom=bottom, regions=True, idle=idle)
