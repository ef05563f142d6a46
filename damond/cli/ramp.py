"""Heat as colour or as a character, so that it can be read with and without colours."""

import itertools
import math
from collections.abc import Sequence
from typing import Final

from rich.color import Color, blend_rgb
from rich.color_triplet import ColorTriplet
from rich.console import Console
from rich.style import Style
from rich.text import Text

CHARACTERS: Final = " .:-=+*#%@"
"""From nothing to all; ASCII, so that any terminal and any file holds them."""

NOT_MONITORED: Final = "~"

NO_DATA: Final = "/"
"""Nothing is known of this time: hatched, and no degree of heat."""

UNSEEN: Final = "?"
"""No access was found, but too little was looked at to call it cold."""

UNSEEN_HEAT: Final = -2.0
"""What stands for that among degrees of heat; no data is above it."""

# From a dark that still differs from a black background to a light that still differs from a white one; brightness
# rises steadily, so that the order survives in grey and for the colour-blind.
_ANCHORS: Final = (
    (0, (24, 26, 52)),
    (0.25, (90, 36, 130)),
    (0.5, (196, 56, 92)),
    (0.75, (244, 136, 44)),
    (1, (255, 240, 150)),
)

_BRIGHT: Final = 3 * 110
"""Sum of red, green and blue from which black can be read better than white."""

_WIDE: Final = 46

_STANDS_OUT: Final = 0.45

_STEPS: Final = 32
"""Colours told apart: more can't be seen, and neighbours of the same colour are one escape sequence."""


def has_colours(console: Console) -> bool:
    """Say whether the console shows enough colours for a scale: 16 of them are no scale."""
    return not console.no_color and console.color_system in ("256", "truecolor")


def step(heat: float, steps: int) -> int:
    """Sort heat into steps; only 0 is in the lowest, only what is nearly 1 in the highest."""
    if heat <= 0:
        return 0
    return max(1, min(steps - 1, round(heat * (steps - 1))))


def character(heat: float) -> str:
    """Return the character for heat; NaN is not monitored, below 0 is no data or unseen."""
    if heat < 0:
        return UNSEEN if heat <= UNSEEN_HEAT else NO_DATA
    return NOT_MONITORED if math.isnan(heat) else CHARACTERS[step(heat, len(CHARACTERS))]


def _blend(heat: float) -> ColorTriplet:
    upper = next(i for i, (at, _) in enumerate(_ANCHORS) if at >= heat)
    lower = max(upper - 1, 0)
    (low, low_rgb), (high, high_rgb) = _ANCHORS[lower], _ANCHORS[upper]
    share = (heat - low) / (high - low) if high > low else 0.0
    return blend_rgb(ColorTriplet(*low_rgb), ColorTriplet(*high_rgb), share)


def cell(heat: float) -> Style:
    """Return the colours of a cell; its character stands out just enough to be read."""
    if math.isnan(heat) or heat < 0:
        return Style(dim=True)
    return _STYLES[step(heat, _STEPS)]


def _style(background: ColorTriplet) -> Style:
    towards = ColorTriplet(255, 255, 255) if sum(background) < _BRIGHT else ColorTriplet(0, 0, 0)
    foreground = blend_rgb(background, towards, _STANDS_OUT)
    return Style(color=Color.from_triplet(foreground), bgcolor=Color.from_triplet(background))


_STYLES: Final = tuple(_style(_blend(index / (_STEPS - 1))) for index in range(_STEPS))


def row(heats: Sequence[float], *, colours: bool) -> Text:
    """Draw one line of cells: characters, so that a copy without its colours still says everything, and colours."""
    text = Text()
    for style, cells in itertools.groupby(heats, key=cell):
        text.append("".join(map(character, cells)), style if colours else "")
    return text


def legend(width: int, *, colours: bool) -> Text:
    """Explain the scale in a line of this width; 40 are enough."""
    words = "accessed in % of samples" if width >= _WIDE else "accessed, %"
    text = Text(f"{words}: 0 [").append_text(scale(colours=colours))
    return text.append("] 100")


def scale(*, colours: bool) -> Text:
    """Show all steps, from nothing to all."""
    return row([index / (len(CHARACTERS) - 1) for index in range(len(CHARACTERS))], colours=colours)
