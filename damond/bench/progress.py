"""Saying how far a part of the benchmark is, to whom it may concern."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Tell = Callable[[str], None]
"""Takes what is under way now, as a few words."""

T = TypeVar("T")


def untold(words: str) -> None:
    """Keep it to oneself."""


def counted(things: Sequence[T], tell: Tell, name: Callable[[T], str]) -> Iterator[T]:
    """Yield one thing after the other, and tell which and how many there are: ``3 of 16: shipped``."""
    for number, each in enumerate(things, 1):
        tell(f"{number} of {len(things)}: {name(each)}")
        yield each
