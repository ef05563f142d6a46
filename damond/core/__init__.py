"""What DAMON is, without a machine: attributes, regions, targets, adaptation and the monitoring loop.

This package knows numpy and nothing else: no clock, process, socket or file. Time, randomness, the
request to stop and whoever takes the results come in as arguments.
"""

from damond.core.attrs import Attrs
from damond.core.budget import Budget, BudgetUse
from damond.core.confidence import Advice
from damond.core.context import Callback, Context
from damond.core.kdamond import Kdamond
from damond.core.policy import Policy
from damond.core.primitive import NoOptions, Primitive, Probe, SourceProbe, Window
from damond.core.regions import MIN_REGION_SZ, AddrRange, Region, Regions
from damond.core.snapshot import Mapping, Origin, ProcessMemory, Snapshot, Summary, TargetSnapshot, idle_us, summarize
from damond.core.surroundings import Clock, Sink, StopSource
from damond.core.target import Target
from damond.core.tuning import IntervalsGoal

__all__ = [
    "MIN_REGION_SZ",
    "AddrRange",
    "Advice",
    "Attrs",
    "Budget",
    "BudgetUse",
    "Callback",
    "Clock",
    "Context",
    "IntervalsGoal",
    "Kdamond",
    "Mapping",
    "NoOptions",
    "Origin",
    "Policy",
    "Primitive",
    "Probe",
    "ProcessMemory",
    "Region",
    "Regions",
    "Sink",
    "Snapshot",
    "SourceProbe",
    "StopSource",
    "Summary",
    "Target",
    "TargetSnapshot",
    "Window",
    "idle_us",
    "summarize",
]
