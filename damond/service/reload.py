"""Going from one configuration to another while contexts run."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from damond.errors import DamondError
from damond.service.config import Config
from damond.service.life import RUNNING
from damond.service.spec import ContextSpec
from damond.service.supervisor import Supervisor

_log = logging.getLogger(__name__)


_TUNABLE: Final = ("intervals_goal", "max_cpu", "max_checks_per_s", "initial_nr_regions")
"""What, beside attributes, can change while a context runs, or says only how it begins."""


async def apply(supervisor: Supervisor, old: Config, new: Config) -> dict[str, Any]:
    """Stop what vanished, start what is new, tune what changed where that is possible and restart it where not.

    A context that was stopped by hand stays stopped, unless its table changed.

    Returns:
        Names by what was done: ``stopped``, ``started``, ``tuned``, ``restarted``, and ``failed`` with the reasons.
    """
    before, after = ({spec.name: spec for spec in each.specs()} for each in (old, new))
    done: dict[str, Any] = {"stopped": [], "started": [], "tuned": [], "restarted": [], "failed": {}}
    supervisor.contexts.known = after
    for name in before:
        if name not in after and _runs(supervisor, name):
            await supervisor.stop([name])
            done["stopped"].append(name)
    for name in _changed(before, after):
        if _runs(supervisor, name):
            await _change(supervisor, before.get(name), after[name], done)
    for spec in new.specs(autostart_only=True):
        if before.get(spec.name) != spec and not _runs(supervisor, spec.name):
            await _start(supervisor, spec, "started", done)
    words = [f"{how} {', '.join(names)}" for how, names in done.items() if names]
    _log.info("configuration read again: %s", "; ".join(words) or "no context has changed")
    return done


def _changed(before: dict[str, ContextSpec], after: dict[str, ContextSpec]) -> Iterable[str]:
    return [name for name, spec in after.items() if name in before and before[name] != spec]


def _runs(supervisor: Supervisor, name: str) -> bool:
    return any(row["name"] == name and row["state"] in RUNNING for row in supervisor.status()["contexts"])


async def _change(supervisor: Supervisor, old: ContextSpec | None, new: ContextSpec, done: dict[str, Any]) -> None:
    """Tune if only the pace differs, and attributes that are given in both; else restart."""
    tunable = {name: getattr(new, name) for name in _TUNABLE}
    if old is not None and replace(old, attrs=new.attrs, **tunable) == new and set(old.attrs) <= set(new.attrs):
        try:
            await supervisor.tune(new.name, dict(new.attrs), goal=new.intervals_goal)
            context = supervisor.contexts.get(new.name)
            # Targets that were found, added or started meanwhile stay. Its bounds are told with the next share.
            # Of attributes those stay that somebody has tuned and the configuration does not name.
            context.spec = replace(context.spec, **tunable, attrs={**context.spec.attrs, **new.attrs})
            done["tuned"].append(new.name)
        except DamondError as error:
            _log.info("%s: can't be tuned, is restarted: %s", new.name, error)
        else:
            return
    await supervisor.stop([new.name])
    await _start(supervisor, new, "restarted", done)


async def _start(supervisor: Supervisor, spec: ContextSpec, how: str, done: dict[str, Any]) -> None:
    try:
        await supervisor.start([spec])
        done[how].append(spec.name)
    except DamondError as error:
        _log.error("%s: not started: %s", spec.name, error)
        done["failed"][spec.name] = str(error)
