"""Finds plugins by entry point, and primitives and policies by name. There is no other way in."""

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Final, Generic, TypeVar, cast

import pluggy

from damond import __version__
from damond.core import Policy, Primitive, Probe
from damond.errors import DamondError, PluginError, SourceUnavailableError, UnknownNameError
from damond.plugin import builtin, hookspecs
from damond.plugin.auto import auto_problems, takers
from damond.plugin.options import option_problems, parse_options

Offered = TypeVar("Offered", Primitive, Policy)

_Offer = Callable[[], Iterable[Any]]

_log = logging.getLogger(__name__)


_BUILTIN: Final = EntryPoint("damond", builtin.__name__, hookspecs.PROJECT)


@dataclass(frozen=True, slots=True)
class PluginReport:
    """One plugin as it was found.

    Attributes:
        name: Name of the entry point.
        distribution: The installed distribution that brings it, with its version.
        primitives: Names of the primitives that it offers and that were accepted.
        error: Why it was skipped, or why some of what it offers was refused; empty if all is well.
        policies: Names of the policies that it offers and that were accepted.
    """

    name: str
    distribution: str
    primitives: tuple[str, ...]
    error: str = ""
    policies: tuple[str, ...] = ()


class _Kind(Generic[Offered]):
    """What plugins may offer of one kind, by name.

    Args:
        base: What each must be a subclass of.
        word: What people call it.
        hook: The hook that offers it.
        reserved: Names that stand for something else.
    """

    def __init__(self, base: type[Offered], word: str, hook: str, reserved: Collection[str] = ()) -> None:
        self.accepted: dict[str, type[Offered]] = {}
        self.owners: dict[str, str] = {}
        self.hook = hook
        self._base: type[Primitive | Policy] = base
        self._word = word
        self._reserved = reserved

    def take(self, offered: Iterable[Any], owner: str, problems: list[str]) -> tuple[str, ...]:
        """Accept what can be used; return its names. The rest is a problem each."""
        names = []
        for each in offered:
            problem = self._refusal(each, owner)
            if problem:
                problems.append(problem)
                continue
            self.accepted[each.name], self.owners[each.name] = each, owner
            names.append(each.name)
        return tuple(names)

    def _refusal(self, offered: Any, owner: str) -> str:
        word, name = self._word, getattr(offered, "name", None)
        if not isinstance(offered, type) or not issubclass(offered, self._base):
            return f"{offered!r} is no subclass of damond.core.{self._base.__name__}"
        if not isinstance(name, str) or not name or name in self._reserved:
            return f"{offered.__qualname__}: {name!r} is no name for a {word}"
        missing = getattr(offered, "__abstractmethods__", ())
        if missing:
            return f"{word} {name!r} lacks {', '.join(sorted(missing))}"
        if not dataclasses.is_dataclass(getattr(offered, "Options", None)):
            return f"{word} {name!r}: its Options is no dataclass"
        if name in self.owners:
            return f"the {word} name {name!r} is taken by {self.owners[name]}; {owner} can't have it too"
        return ""


class Registry:
    """The primitives and policies that can be selected, by name, and the plugins that brought them.

    A plugin that can't be used is reported in :attr:`reports` and skipped; selecting what it would have brought is
    the error.

    Attributes:
        reports: The plugins as they were found; damond's own policies are not among them.
    """

    def __init__(
        self,
        found: Iterable[EntryPoint] | None = None,
        *,
        offering: str | None = None,
        policy: str | None = None,
        allowed: Collection[str] | None = None,
    ) -> None:
        """Load the plugins of the entry-point group ``damond``.

        Args:
            found: The entry points to load instead of the installed ones.
            offering: Load plugins only until one offers a primitive of this name, the entry point that is called
                like it first: what a worker needs, and no more.
            policy: The same for a policy; of both, until both are there.
            allowed: Names of the entry points that may be loaded; others are not even imported. None allows all.
        """
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._primitives = _Kind(Primitive, "primitive", "damond_primitives", ("auto",))  # type: ignore[type-abstract]
        self._policies = _Kind(Policy, "policy", "damond_policies")  # type: ignore[type-abstract]
        self.reports: list[PluginReport] = []
        self.builtin = self._load(_BUILTIN, f"damond {__version__}")
        candidates = entry_points(group=hookspecs.PROJECT) if found is None else found
        for entry_point in sorted(candidates, key=lambda each: (each.name != offering, each.name, each.value)):
            if self._has(offering, policy):
                break
            if allowed is not None and entry_point.name not in allowed:
                self.reports.append(PluginReport(entry_point.name, _owner(entry_point), (), "not allowed here"))
                continue
            self.reports.append(self._load(entry_point, _owner(entry_point)))

    def _has(self, primitive: str | None, policy: str | None) -> bool:
        """Say whether something particular is wanted, and all of it is there."""
        wanted = ((primitive, self.primitives), (policy, self.policies))
        return any(name for name, _ in wanted) and all(name is None or name in there for name, there in wanted)

    def _load(self, entry_point: EntryPoint, owner: str) -> PluginReport:
        primitives: tuple[str, ...] = ()
        policies: tuple[str, ...] = ()
        problems: list[str] = []
        try:
            plugin = self._registered(entry_point)
            primitives = self._primitives.take(self._offered(plugin, self._primitives.hook), owner, problems)
            policies = self._policies.take(self._offered(plugin, self._policies.hook), owner, problems)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge of plugin loading: others must not suffer
            problems.append(f"{type(error).__name__}: {error}")
        if problems:
            _log.warning("plugin %s (%s): %s", entry_point.name, owner, "; ".join(problems))
        return PluginReport(entry_point.name, owner, primitives, "; ".join(problems), policies)

    def _registered(self, entry_point: EntryPoint) -> ModuleType | object:
        plugin = entry_point.load()
        version = getattr(plugin, "damond_api_version", None)
        if version is None:
            raise PluginError(
                f"plugin {entry_point.name!r} does not say for which version of the plugin API it was written",
                hint=f"write damond_api_version = {hookspecs.API_VERSION} into the module of its entry point",
            )
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
        return cast("object", plugin)

    def _offered(self, plugin: object, hook: str) -> Iterable[Any]:
        hooks = getattr(self._manager.hook, hook).get_hookimpls()
        # One plugin at a time: one that raises must not hide the others.
        offers = [cast("_Offer", impl.function) for impl in hooks if impl.plugin is plugin]
        return [each for offer in offers for each in offer()]

    @property
    def primitives(self) -> Mapping[str, type[Primitive]]:
        """Primitives by name."""
        return self._primitives.accepted

    @property
    def policies(self) -> Mapping[str, type[Policy]]:
        """Policies by name."""
        return self._policies.accepted

    def owner(self, name: str) -> str:
        """Name the distribution that brought a primitive."""
        return self._primitives.owners[name]

    def primitive(self, name: str) -> type[Primitive]:
        """Look a primitive up by name.

        Raises:
            UnknownNameError: No plugin offers it; the hint says what is near, and which plugins were skipped.
        """
        try:
            return self.primitives[name]
        except KeyError:
            raise UnknownNameError("primitive", name, self.primitives, hint=self._skipped()) from None

    def policy(self, name: str) -> type[Policy]:
        """Look a policy up by name.

        Raises:
            UnknownNameError: As for a primitive.
        """
        try:
            return self.policies[name]
        except KeyError:
            raise UnknownNameError("policy", name, self.policies, hint=self._skipped()) from None

    def _skipped(self) -> str:
        return "; ".join(f"plugin {each.name!r}: {each.error}" for each in self.reports if each.error)

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

    def policy_problems(self, name: str, options: Mapping[str, Any]) -> list[DamondError]:
        """List all that is wrong with a policy's name and options."""
        try:
            return option_problems(name, self.policy(name).Options, options)
        except UnknownNameError as error:
            return [error]

    def make_policy(self, name: str, options: Mapping[str, Any]) -> Policy:
        """Make a policy with validated options.

        Raises:
            UnknownNameError: The policy or one of the options is unknown.
            InvalidOptionError: The value of an option is refused.
        """
        cls = self.policy(name)
        return cls(parse_options(name, cls.Options, options))

    def auto(self) -> list[type[Primitive]]:
        """List the primitives that ``primitive = "auto"`` may choose, in that order."""
        ranked = [each for each in self.primitives.values() if each.auto_rank is not None]
        return sorted(ranked, key=lambda each: (each.auto_rank, each.name))

    def watches_processes(self, name: str) -> bool:
        """Say whether a primitive monitors processes, as ``auto`` does.

        Raises:
            UnknownNameError: No plugin offers it.
        """
        return name == "auto" or self.primitive(name).process_targets

    def choose(self, options: Mapping[str, Any], *, follows: bool = False) -> type[Primitive]:
        """Choose for ``primitive = "auto"``: the first of :meth:`auto` that takes the options and works here.

        Args:
            options: What is given.
            follows: Whether the targets of the context change while it runs: not every primitive takes that.

        Raises:
            DamondError: None takes them: the first of :meth:`option_problems`.
            SourceUnavailableError: None works; each is named with its reason.
        """
        for problem in self.option_problems("auto", options):
            raise problem
        reasons = []
        for cls in takers(self.auto(), options):
            if follows and cls.retarget is Primitive.retarget:
                reasons.append(f"{cls.name}: its targets can't change while it runs")
                continue
            probe = probed(cls)
            if probe.works:
                return cls
            reasons.append(f"{cls.name}: {probe.reason}")
        raise SourceUnavailableError(
            "auto", "; ".join(reasons) or "no plugin offers a primitive for processes", hint="see 'damond doctor'"
        )


def probed(primitive: type[Primitive]) -> Probe:
    """Ask a primitive whether it works here; one whose probe fails does not."""
    try:
        return primitive.probe()
    except Exception as error:  # noqa: BLE001 - the edge to a plugin: the others are still to be asked
        return Probe(works=False, reason=f"its probe failed: {type(error).__name__}: {error}")


def _owner(entry_point: EntryPoint) -> str:
    """Name the distribution that brings a plugin."""
    dist = entry_point.dist
    return f"{dist.name} {dist.version}" if dist is not None else entry_point.value
