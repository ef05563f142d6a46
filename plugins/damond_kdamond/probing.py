"""What works on this machine, found out without writing anything."""

import os

from damond.core import MIN_REGION_SZ, Probe, SourceProbe
from damond_accessbits import Root
from damond_kdamond.owner import NR_KDAMONDS, survey
from damond_kdamond.trace import AGGREGATED, INSTANCES, TRACING

_NOTE = "the kernel samples and adapts the regions; one kdamond per machine"


def probe_access(root: Root) -> tuple[str, str]:
    """Say why this process can make no kdamond at all, and what would help; two empty texts if it can."""
    if not root.path(NR_KDAMONDS).exists():
        return (
            f"/{NR_KDAMONDS} does not exist: this kernel has no DAMON with a sysfs interface",
            "needs Linux 5.18 with CONFIG_DAMON_SYSFS, and CONFIG_DAMON_VADDR or CONFIG_DAMON_PADDR",
        )
    if not os.access(root.path(NR_KDAMONDS), os.W_OK):
        return f"/{NR_KDAMONDS} is not writable", "run as root, with /sys mounted read-write"
    return "", ""


def probe_admin(root: Root) -> tuple[str, str]:
    """Say why there can be no kdamond of ours now."""
    problem, hint = probe_access(root)
    found = survey(root).findings
    if found:  # says more than a lack of privilege does
        return (
            f"the kernel's DAMON has another user already: {', '.join(each.owner for each in found)}",
            "; or ".join(dict.fromkeys(each.remedy for each in found)),
        )
    return problem, hint


def probe_tracepoint(root: Root) -> SourceProbe:
    """See whether the tracepoint can be read."""
    reason, hint = _tracepoint_problem(root)
    note = reason or f"/{AGGREGATED}, in a trace instance of its own"
    return SourceProbe("tracepoint", works=not reason, granularity=MIN_REGION_SZ, reason=note, hint=hint)


def _tracepoint_problem(root: Root) -> tuple[str, str]:
    if os.access(root.path(f"{AGGREGATED}/format"), os.R_OK) and os.access(root.path(INSTANCES), os.W_OK):
        return "", ""
    if _is_missing(root, f"{TRACING}/events"):
        return f"no tracefs at /{TRACING}", f"as root: mount -t tracefs tracefs /{TRACING}"
    if _is_missing(root, AGGREGATED):
        return f"/{AGGREGATED} does not exist", "needs CONFIG_EVENT_TRACING and CONFIG_DAMON"
    return f"/{TRACING} is not for this user", "run as root, with CONFIG_TRACING's instances writable"


def _is_missing(root: Root, relative: str) -> bool:
    """Say whether there is no such file; one that this user may not look for may be there (tracefs is root's alone)."""
    try:
        root.path(relative).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except PermissionError:
        return False
    return False


def probe_tried(problem: str, hint: str) -> SourceProbe:
    """Say what is known of tried_regions without a kdamond to look at."""
    note = (
        problem or "one target only, a stop may wait for an aggregation; needs Linux 6.2, which only a start can tell"
    )
    return SourceProbe("tried_regions", works=not problem, granularity=MIN_REGION_SZ, reason=note, hint=hint)


def probe(root: Root) -> Probe:
    """Say whether the kernel's DAMON can work for us."""
    problem, hint = probe_admin(root)
    sources = (probe_tracepoint(root), probe_tried(problem, hint))
    if problem:
        return Probe(works=False, reason=problem, hint=hint, sources=sources)
    chosen = next(each for each in sources if each.works)
    leftover = survey(root).leftover
    left = f"; what process {leftover.pid} of damond left behind is removed at the next start" if leftover else ""
    return Probe(
        works=True,
        reason=f"with source {chosen.name}: {_NOTE}{left}",
        hint="" if chosen is sources[0] else sources[0].hint,
        sources=sources,
    )
