"""The contexts that a supervisor has started, by name, and which more may be beside them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from damond.errors import BusyError, ContextExistsError, NotRunningError, UnknownNameError
from damond.service.managed import ManagedContext
from damond.service.spec import ContextSpec

_MAX_ENDED: Final = 100
"""Contexts that have ended and are still shown in status."""


class Contexts:
    """Contexts by name.

    Args:
        known: Contexts that can be started by name, from the configuration.
        on_forget: Called with the name of each that is forgotten.

    Attributes:
        known: As given.
    """

    def __init__(self, known: Iterable[ContextSpec], on_forget: Callable[[str], None]) -> None:
        self.known = {spec.name: spec for spec in known}
        self._on_forget = on_forget
        self._by_name: dict[str, ManagedContext] = {}

    def __iter__(self) -> Iterator[ManagedContext]:
        return iter(list(self._by_name.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def running(self) -> list[ManagedContext]:
        """List those that run."""
        return [each for each in self._by_name.values() if each.life.runs]

    def names(self) -> set[str]:
        """Return all names, of the configuration too."""
        return {*self._by_name, *self.known}

    def get(self, name: str) -> ManagedContext:
        """Look up a context that has been started.

        Raises:
            UnknownNameError: There is no such context.
            NotRunningError: It is known, and was never started.
        """
        if name in self._by_name:
            return self._by_name[name]
        if name in self.known:
            raise NotRunningError(f"{name} was never started", hint=f"damond start {name}")
        raise UnknownNameError("context", name, self.names())

    def add(self, context: ManagedContext) -> None:
        """Let a context that begins take its name."""
        self._by_name[context.spec.name] = context
        context.enter()
        self._forget_old()

    def _forget_old(self) -> None:
        """Forget the oldest of the contexts that have ended and are in no configuration: names may be new for ever."""
        ended = [name for name, each in self._by_name.items() if not each.life.runs and name not in self.known]
        for name in ended[:-_MAX_ENDED]:
            del self._by_name[name]
            self._on_forget(name)

    def refuse(self, specs: Sequence[ContextSpec], *, exclusive: bool) -> None:
        """Refuse what may not run beside what runs.

        Raises:
            ContextExistsError: One runs already, or is named twice.
            BusyError: Something runs that excludes others.
        """
        running = self.running()
        names = [each.spec.name for each in running]
        for spec in specs:
            if spec.name in names:
                raise ContextExistsError(
                    f"context {spec.name!r} runs already", hint="stop it first, or choose another name"
                )
            names.append(spec.name)
        if running and (exclusive or any(each.exclusive for each in running)):
            raise BusyError(
                f"{len(running)} contexts run, and {'this group' if exclusive else 'one of them'} wants to be alone",
                hint="stop them first, or start without exclusive",
            )
