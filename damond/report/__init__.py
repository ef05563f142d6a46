"""What a run of snapshots looked like: where the accesses were, and how much of the memory they touched."""

from damond.core.mappings import Mappings, MapsByTarget
from damond.report.accumulator import Accumulator
from damond.report.areas import Fold
from damond.report.heatmap import Area, Heatmap
from damond.report.touched import Touched

__all__ = ["Accumulator", "Area", "Fold", "Heatmap", "Mappings", "MapsByTarget", "Touched"]
