"""Where the sockets of a supervisor are: its runtime directory, and the names in it."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from damond.errors import RuntimeDirError

_SERVICE: Final = "/run/damond"
"""Where the machine's own service is."""

_SUN_PATH_MAX: Final = 107
"""Bytes of a socket's path that Linux takes (unix(7)), the closing NUL left out."""


def default_runtime_dir() -> Path:
    """Choose the runtime directory: systemd's, ``/run/damond`` for root, else one of the user's own."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path(_SERVICE)
    xdg = os.environ.get("XDG_RUNTIME_DIR")
    return Path(xdg) / "damond" if xdg else Path(tempfile.gettempdir()) / f"damond-{os.geteuid()}"


def serving_runtime_dir() -> Path:
    """Find the runtime directory to ask: the default one if a supervisor is there, else the machine's own service."""
    own = default_runtime_dir()
    candidates = (own, Path(_SERVICE))
    return next((each for each in candidates if os.access(each / "query", os.F_OK)), own)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The sockets in one runtime directory.

    Attributes:
        directory: The runtime directory.
    """

    directory: Path

    def __post_init__(self) -> None:
        longest = os.fsencode(self.path("control"))
        if len(longest) > _SUN_PATH_MAX:
            raise RuntimeDirError(
                f"{self.directory}: the path is too long for a socket in it",
                hint=f"choose a runtime directory that is {len(longest) - _SUN_PATH_MAX} bytes shorter",
            )

    def path(self, name: str) -> Path:
        """File of a socket."""
        return self.directory / name

    @property
    def control(self) -> str:
        """Requests that change something: start, stop, tune."""
        return f"ipc://{self.path('control')}"

    @property
    def query(self) -> str:
        """Requests that only read."""
        return f"ipc://{self.path('query')}"

    @property
    def stream(self) -> str:
        """What subscribers connect to."""
        return f"ipc://{self.path('stream')}"

    @property
    def workers(self) -> str:
        """What workers publish to."""
        return f"ipc://{self.path('workers')}"
