"""Selectors choose processes by what they are."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from damond.service.processes import scan
from damond.service.selector import Selector, find

PROCESSES: list[dict[str, Any]] = [
    {
        "pid": 10,
        "ppid": 1,
        "name": "nginx",
        "exe": "/usr/sbin/nginx",
        "cmdline": ["nginx", "-g", "x"],
        "user": "root",
    },
    {"pid": 11, "ppid": 10, "name": "nginx", "exe": None, "cmdline": ["/usr/sbin/nginx", "worker"], "user": "www"},
    {"pid": 12, "ppid": 11, "name": "sh", "exe": "/bin/dash", "cmdline": ["sh"], "user": "www"},
    {
        "pid": 20,
        "ppid": 1,
        "name": "postgres",
        "exe": "/usr/bin/postgres",
        "cmdline": ["postgres", "-D", "/a"],
        "user": "pg",
    },
]


@pytest.mark.parametrize(
    ("table", "pids"),
    [
        pytest.param({"pid": 12}, [12], id="pid"),
        pytest.param({"any": [{"pid": 10}, {"user": "pg"}]}, [10, 20], id="a pid, or others"),
        pytest.param({"name": "nginx"}, [10, 11], id="name"),
        pytest.param({"name": "ng*"}, [10, 11], id="glob"),
        pytest.param({"exe": "*/nginx"}, [10, 11], id="executable, by the command line where it can't be read"),
        pytest.param({"cmdline": r"-D /a$"}, [20], id="command line"),
        pytest.param({"user": "www"}, [11, 12], id="user"),
        pytest.param({"name": "nginx", "user": "www"}, [11], id="both hold"),
        pytest.param({"any": [{"user": "pg"}, {"name": "sh"}]}, [12, 20], id="or"),
        pytest.param({"all": [{"user": "www"}, {"name": "sh"}]}, [12], id="and"),
        pytest.param({"user": "www", "not": {"name": "sh"}}, [11], id="not"),
        pytest.param({"name": "nothing"}, [], id="nothing"),
    ],
)
def test_conditions(table: dict[str, Any], pids: list[int]) -> None:
    """All conditions of a selector must hold; any, all and not combine others."""
    assert find(PROCESSES, Selector.model_validate(table)) == pids


def test_children() -> None:
    """Descendants come along when they are asked for, those of roots too."""
    selector = Selector(name="nginx", user="root")
    assert find(PROCESSES, selector, children=True) == [10, 11, 12]
    assert find(PROCESSES, None, roots=[11, 99], children=True) == [11, 12]


def test_never_ourselves() -> None:
    """Damond's own processes are never chosen."""
    assert find(PROCESSES, Selector(name="nginx"), ours=[10]) == [11]


@pytest.mark.parametrize(
    "table",
    [
        pytest.param({}, id="empty"),
        pytest.param({"nmae": "x"}, id="unknown key"),
        pytest.param({"pid": 0}, id="no pid"),
        pytest.param({"cmdline": "("}, id="no regular expression"),
        pytest.param({"not": {}}, id="empty inside"),
    ],
)
def test_refused(table: dict[str, Any]) -> None:
    """What selects everything, or nothing that is known, is refused."""
    with pytest.raises(ValidationError):
        Selector.model_validate(table)


def test_real_processes(tmp_path: Path) -> None:
    """The scan finds real processes with their facts; a pid file and a cgroup are read when asked for."""
    pid_file = tmp_path / "pid"
    pid_file.write_text(f"{os.getppid()}\n")
    rows = scan()
    assert os.getpid() not in {each["pid"] for each in rows}
    assert find(rows, Selector(pid_file=str(pid_file))) == [os.getppid()]
    assert os.getppid() in find(rows, Selector(cgroup="/"))
    assert find(rows, Selector(unit="no-such.service")) == []
