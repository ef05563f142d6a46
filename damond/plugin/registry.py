"""Finds plugins by entry point, and primitives by name. There is no other way in."""

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

import pluggy

from damond.core import Primitive
from damond.errors import DamondError, PluginError, SourceUnavailableError, UnknownNameError
from damond.plugin import hookspecs
from damond.plugin.auto import auto_problems, takers
from damond.plugin.options import option_problems, parse_options

_Offer = Callable[[], Iterable[type[Primitive]]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PluginReport:
    """One plugin as it was found.

    Attributes:
        name: Name of the entry point.
        distribution: The installed distribution that brings it, with its version.
        primitives: Names of the primitives that it offers and that were accepted.
        error: Why it was skipped, or why some of its primitives were refused; empty if all is well.
    """

    name: str
    distribution: str
    primitives: tuple[str, ...]
    error: str = ""


class Registry:
    """The primitives that can be selected, by name, and the plugins that brought them.

    A plugin that can't be used is reported in :attr:`reports` and skipped; selecting a primitive that it would
    have brought is the error.
    """

    def __init__(
        self,
        found: Iterable[EntryPoint] | None = None,
        *,
        offering: str | None = None,
        allowed: Collection[str] | None = None,
    ) -> None:
        """Load the plugins of the entry-point group ``damond``.

        Args:
            found: The entry points to load instead of the installed ones.
            offering: Load plugins only until one offers a primitive of this name, the entry point that is called
                like it first: what a worker needs, and no more.
            allowed: Names of the entry points that may be loaded; others are not even imported. None allows all.
        """
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._primitives: dict[str, type[Primitive]] = {}
        self._owners: dict[str, str] = {}
        self.reports: list[PluginReport] = []
        candidates = entry_points(group=hookspecs.PROJECT) if found is None else found
        for entry_point in sorted(candidates, key=lambda each: (each.name != offering, each.name, each.value)):
            if allowed is not None and entry_point.name not in allowed:
                self.reports.append(PluginReport(entry_point.name, _owner(entry_point), (), "not allowed here"))
                continue
            self._load(entry_point)
            if offering in self._primitives:
                break

    def _load(self, entry_point: EntryPoint) -> None:
        owner = _owner(entry_point)
        accepted: list[str] = []
        problems: list[str] = []
        try:
            for primitive in self._offered(entry_point):
                problem = self._refusal(primitive, owner)
                if problem:
                    problems.append(problem)
                    continue
                self._primitives[primitive.name] = primitive
                self._owners[primitive.name] = owner
                accepted.append(primitive.name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge of plugin loading: others must not suffer
            problems.append(f"{type(error).__name__}: {error}")
        if problems:
            _log.warning("plugin %s (%s): %s", entry_point.name, owner, "; ".join(problems))
        self.reports.append(PluginReport(entry_point.name, owner, tuple(accepted), "; ".join(problems)))

    def _offered(self, entry_point: EntryPoint) -> Iterable[type[Primitive]]:
        plugin = entry_point.load()
        version = getattr(plugin, "damond_api_version", None)
        if version != hookspecs.API_VERSION:
            raise PluginError(
                f"plugin {entry_point.name!r} was written for version {version} of the plugin API, "
                f"this damond has version {hookspecs.API_VERSION}",
                hint="install a matching version of the plugin",
            )
        if self._manager.register(plugin, name=entry_point.name) is None:
            raise PluginError(
                f"plugin {entry_point.name!r} is the same module as another one", hint="uninstall one of the two"
            )
        hooks = self._manager.hook.damond_primitives.get_hookimpls()
        # One plugin at a time: one that raises must not hide the others.
        offers = [cast("_Offer", impl.function) for impl in hooks if impl.plugin is plugin]
        return [primitive for offer in offers for primitive in offer()]

    def _refusal(self, primitive: Any, owner: str) -> str:
        if not (isinstance(primitive, type) and issubclass(primitive, Primitive)):
            return f"{primitive!r} is no subclass of damond.core.Primitive"
        name = getattr(primitive, "name", None)
        if not isinstance(name, str) or not name or name == "auto":
            return f"{primitive.__qualname__}: {name!r} is no name for a primitive"
        missing = getattr(primitive, "__abstractmethods__", ())
        if missing:
            return f"primitive {name!r} lacks {', '.join(sorted(missing))}"
        if not dataclasses.is_dataclass(primitive.Options):
            return f"primitive {name!r}: its Options is no dataclass"
        if name in self._owners:
            return f"the primitive name {name!r} is taken by {self._owners[name]}; {owner} can't have it too"
        return ""

    @property
    def primitives(self) -> Mapping[str, type[Primitive]]:
        """Primitives by name."""
        return self._primitives

    def owner(self, name: str) -> str:
        """Name the distribution that brought a primitive."""
        return self._owners[name]

    def primitive(self, name: str) -> type[Primitive]:
        """Look a primitive up by name.

        Raises:
            UnknownNameError: No plugin offers it; the hint says what is near, and which plugins were skipped.
        """
        try:
            return self._primitives[name]
        except KeyError:
            skipped = "; ".join(f"plugin {each.name!r}: {each.error}" for each in self.reports if each.error)
            raise UnknownNameError("primitive", name, self._primitives, hint=skipped) from None

    def make(self, name: str, options: Mapping[str, Any]) -> Primitive:
        """Make a primitive with validated options.

        Raises:
            UnknownNameError: The primitive or one of the options is unknown.
            InvalidOptionError: The value of an option is refused.
        """
        cls = self.primitive(name)
        return cls(parse_options(name, cls.Options, options))

    def option_problems(self, name: str, options: Mapping[str, Any]) -> list[DamondError]:
        """List all that is wrong with a primitive's name and options; with ``auto``: what none that it tries takes."""
        if name == "auto":
            return auto_problems(self.auto(), options)
        try:
            return option_problems(name, self.primitive(name).Options, options)
        except UnknownNameError as error:
            return [error]

    def auto(self) -> list[type[Primitive]]:
        """List the primitives that ``primitive = "auto"`` may choose, in that order."""
        ranked = [each for each in self._primitives.values() if each.auto_rank is not None]
        return sorted(ranked, key=lambda each: (each.auto_rank, each.name))

    def watches_processes(self, name: str) -> bool:
        """Say whether a primitive monitors processes, as ``auto`` does.

        Raises:
            UnknownNameError: No plugin offers it.
        """
        return name == "auto" or self.primitive(name).process_targets

    def choose(self, options: Mapping[str, Any]) -> type[Primitive]:
        """Choose for ``primitive = "auto"``: the first of :meth:`auto` that takes the options and works here.

        Raises:
            DamondError: None takes them: the first of :meth:`option_problems`.
            SourceUnavailableError: None works; each is named with its reason.
        """
        for problem in self.option_problems("auto", options):
            raise problem
        reasons = []
        for cls in takers(self.auto(), options):
            probe = cls.probe()
            if probe.works:
                return cls
            reasons.append(f"{cls.name}: {probe.reason}")
        raise SourceUnavailableError(
            "auto", "; ".join(reasons) or "no plugin offers a primitive for processes", hint="see 'damond doctor'"
        )


def _owner(entry_point: EntryPoint) -> str:
    """Name the distribution that brings a plugin."""
    dist = entry_point.dist
    return f"{dist.name} {dist.version}" if dist is not None else entry_point.value
