"""The package as others get it: installed into empty environments, with plugins of other people."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = [pytest.mark.install, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]


class Environment:
    """A virtual environment of its own, used from a directory that is not the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "env", with_pip=True)
        self.bin = folder / "env" / "bin"

    def run(self, *line: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL", "COV"))}
        done = subprocess.run(
            [str(self.bin / line[0]), *line[1:]],
            cwd=self.folder,
            env=clean,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(line)}: {done.stdout}{done.stderr}"
        return done

    def install(self, *what: str | Path) -> None:
        self.run("pip", "install", "--quiet", "--disable-pip-version-check", *map(str, what))

    def first_snapshot(self, *args: str) -> dict[str, object]:
        done = self.run("damond", "monitor", "--json", "--for", "3s", *args)
        row: dict[str, object] = json.loads(done.stdout.splitlines()[0])
        return row


@pytest.fixture(scope="module")
def from_checkout(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Install by ``pip install .``."""
    environment = Environment(tmp_path_factory.mktemp("checkout"))
    environment.install(CHECKOUT)
    return environment


@pytest.fixture(scope="module")
def from_wheel(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel that is published."""
    folder = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT)]
    subprocess.run([*line, "--disable-pip-version-check"], check=True, timeout=300)
    (wheel,) = folder.glob("damond-*.whl")
    environment = Environment(folder)
    environment.install(wheel)
    return environment


@pytest.mark.parametrize("how", ["from_checkout", "from_wheel"])
def test_installed(how: str, request: pytest.FixtureRequest) -> None:
    """An installed damond finds its plugins by entry point and monitors."""
    environment: Environment = request.getfixturevalue(how)
    found = json.loads(environment.run("damond", "plugins", "--json").stdout)["plugins"]
    assert {"physical", "synthetic", "vaddr"} <= {name for plugin in found for name in plugin["primitives"]}
    assert environment.first_snapshot("--primitive", "synthetic")["primitive"] == "synthetic"
    environment.run(
        "python", "-c", "import damond, pathlib; assert (pathlib.Path(damond.__file__).parent / 'py.typed').exists()"
    )


def test_import_is_quick(from_wheel: Environment) -> None:
    """``import damond`` takes less than 100 ms: the least of five, as machines are shared."""
    code = "import time; t = time.perf_counter(); import damond; print(time.perf_counter() - t)"
    assert min(float(from_wheel.run("python", "-c", code).stdout) for _ in range(5)) < 0.1


def test_workers_stay_small(from_wheel: Environment) -> None:
    """The modules of launcher and worker bring in neither click, rich nor pydantic."""
    code = "import damond.service.launcher, sys; print({'click', 'rich', 'pydantic'} & set(sys.modules))"
    assert from_wheel.run("python", "-c", code).stdout == "set()\n"


def test_plugin_of_a_stranger(from_wheel: Environment) -> None:
    """A primitive from another distribution is selected by its name."""
    from_wheel.install("--no-deps", HERE / "residency")
    file = from_wheel.folder / "data"
    file.write_bytes(b"x" * (1 << 20))
    row = from_wheel.first_snapshot("--primitive", "residency", "-O", f"path={file}")
    assert row["primitive"] == "residency"
    refused = from_wheel.run("damond", "monitor", "--primitive", "residency", "--for", "1s", check=False)
    assert refused.returncode == os.EX_USAGE
    assert "path must be given" in refused.stderr


def test_bad_plugins(from_checkout: Environment) -> None:
    """One that is broken, of another version or takes a used name is reported and skipped; the others work."""
    from_checkout.install("--no-deps", HERE / "broken", HERE / "wrong_version", HERE / "taken_name")
    found = json.loads(from_checkout.run("damond", "plugins", "--json").stdout)["plugins"]
    errors = {plugin["name"]: plugin["error"] for plugin in found if plugin["error"]}
    assert set(errors) == {"broken", "wrong_version", "taken_name"}
    assert "broken on purpose" in errors["broken"]
    assert "version 99" in errors["wrong_version"]
    assert "'synthetic' is taken by damond" in errors["taken_name"]
    assert from_checkout.first_snapshot("--primitive", "synthetic")["primitive"] == "synthetic"
    selected = from_checkout.run("damond", "monitor", "--primitive", "broken", check=False)
    assert selected.returncode == os.EX_USAGE
    assert "broken on purpose" in selected.stderr
