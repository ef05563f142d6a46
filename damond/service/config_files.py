"""The files of a configuration: one that is named, and what lies in ``conf.d/*.toml`` beside it, as one table."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from damond.errors import ConfigError

Place = tuple[str | int, ...]
"""Where something is in the table: keys, and indexes into lists."""


@dataclass(slots=True)
class Files:
    """A configuration as its files have it.

    Attributes:
        main: The file that was named; without one, the table came from elsewhere.
        table: What all of them say.
        problems: What could not be read, or is said twice.
    """

    main: Path | None = None
    table: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _origin: dict[Place, Path] = field(default_factory=dict)

    def add(self, path: Path) -> None:
        """Add what a file says; a context or a key that is there already is a problem."""
        try:
            extra = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            self.problems.append(f"{path}: {error.strerror} (make it readable, or move it away)")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            self.problems.append(f"{path} is not TOML: {error} (see https://toml.io for the syntax)")
        else:
            self.problems += self._merge(self.table, extra, path, ())

    def _merge(self, into: dict[str, Any], extra: Mapping[str, Any], path: Path, where: Place) -> Iterator[str]:
        """Add one table to another; yield what both have, other than the tables of the first level."""
        for key, value in extra.items():
            place = (*where, key)
            if isinstance(value, dict) and not where and isinstance(into.setdefault(key, {}), dict):
                self._origin.setdefault(place, path)
                yield from self._merge(into[key], value, path, place)
            elif place in self._origin:
                yield f"{path}: {'.'.join(map(str, place))} is given twice ({self._origin[place]} has it too)"
            else:
                into[key], self._origin[place] = value, path

    def prefix(self, place: Place) -> str:
        """Name the file that something is in, unless it is the one that was named."""
        found = self._origin.get(place[:2]) or self._origin.get(place[:1])
        if found is None or self.main is None or found == self.main:
            return ""
        return f"{found.relative_to(self.main.parent)}: "


def read(path: Path) -> Files:
    """Read a configuration; files of conf.d come in the order of their names.

    Raises:
        ConfigError: There is no such file, or it can't be read at all.
    """
    if (problem := _unreadable(path)) is not None:
        raise ConfigError(f"{path}: {problem}", hint="name another with --config, or make it readable")
    files = Files(path)
    files.add(path)
    for extra in _extras(path.parent / "conf.d", files.problems):
        files.add(extra)
    return files


def _unreadable(path: Path) -> str | None:
    try:
        path.open("rb").close()
    except OSError as error:
        return error.strerror
    return None


def _extras(directory: Path, problems: list[str]) -> Sequence[Path]:
    """List the files of conf.d; a directory that is not for us must not look like an empty one."""
    try:
        return sorted(each for each in directory.iterdir() if each.suffix == ".toml")
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"{directory}: {error.strerror} (make it readable, or move it away)")
        return []
