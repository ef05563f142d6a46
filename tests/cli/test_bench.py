"""``damond bench`` as a user runs it: tables, JSON and what is refused."""

import json
import os
from typing import Any

import pytest

from damond.bench import telescope
from damond.cli import main
from damond.cli.bench import PARTS


def document(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    """Run the command; return what it prints as JSON."""
    assert main(["bench", *args, "--json"]) == os.EX_OK
    out, err = capsys.readouterr()
    assert not err
    return json.loads(out)


def test_the_same_seed_gives_the_same_document(capsys: pytest.CaptureFixture[str]) -> None:
    """In virtual time nothing depends on the machine; another seed has other numbers."""
    first, again, other = (document(capsys, "telescope", "--quick", "--seed", seed) for seed in ("7", "7", "8"))
    assert first == again
    assert first["results"] != other["results"]


def test_the_document_says_how_it_came_about(capsys: pytest.CaptureFixture[str]) -> None:
    """Seed and setting are in it, and every part has its rows in full."""
    found = document(capsys, "telescope", "--quick", "--seed", "7", "--block", "8", "--max-cpu", "2%")
    assert set(found) == {"schema", "seed", "quick", "setting", "results"}
    assert (found["schema"], found["seed"], found["quick"]) == (1, 7, True)
    assert found["setting"]["policy"] == "budget"
    assert found["setting"]["block"] == 8
    assert found["setting"]["budget"] == {"max_cpu": 0.02, "max_checks_per_s": None}
    (part,) = found["results"]
    assert set(part) == {"part", "title", "rows", "figures", "remarks"}
    assert set(part["figures"]) == {"least_precision", "least_recall", "most_pages_per_s"}
    assert [row["footprint"] for row in part["rows"]] == ["1 GB", "10 GB", "100 GB", "5 TB"]
    for row in part["rows"]:
        assert {each.key for each in telescope.COLUMNS} <= set(row)


def test_the_kernels_policy_is_the_kernels_in_all(capsys: pytest.CaptureFixture[str]) -> None:
    """--policy kernel tunes nothing and has no bound, unless it is asked for."""
    setting = document(capsys, "wss", "--quick", "--policy", "kernel", "--max-checks", "500")["setting"]
    assert setting["goal"] is None
    assert setting["budget"] == {"max_cpu": None, "max_checks_per_s": 500.0}
    assert not setting["strict_min_nr_regions"]


@pytest.mark.parametrize("setting", [("--block", "4"), ("--fixed",), ("--policy", "budget"), ("-O", "a=1")])
def test_a_setting_that_no_part_takes(capsys: pytest.CaptureFixture[str], setting: tuple[str, ...]) -> None:
    """It is refused, even where it is the default: nobody is to take the figures for those of that setting."""
    assert main(["bench", "cost", "fast", *setting]) == os.EX_USAGE
    out, err = capsys.readouterr()
    assert not out
    assert "would do nothing" in err
    assert "parts that take a setting: telescope, shapes, wss" in err


@pytest.mark.parametrize("part", ["telescope", "shapes", "wss"])
def test_a_setting_that_finds_nothing(capsys: pytest.CaptureFixture[str], part: str) -> None:
    """Where a budget is so small that no aggregation ends in time, that is said: there are no figures."""
    assert main(["bench", part, "--quick", "--fixed", "--max-checks", "1"]) == os.EX_USAGE
    out, err = capsys.readouterr()
    assert not out
    assert "no aggregation ends within" in err


def test_the_table_has_its_units(capsys: pytest.CaptureFixture[str]) -> None:
    """Every number can be read without the manual; published figures stand beside ours."""
    assert main(["bench", "telescope", "--quick"]) == os.EX_OK
    title, heads, *rows = capsys.readouterr().out.splitlines()
    assert title == "Hot memory found in ever more memory"
    assert heads.split("  ")[0].split() == [
        *("footprint", "accesses/ms", "precision", "recall", "pages/s", "checks/s", "regions"),
        *("CPU", "%", "sample", "us", "published"),
    ]
    assert [row.split(" B ")[0][:6].rstrip() for row in rows[:4]] == ["1 GB", "10 GB", "100 GB", "5 TB"]
    assert rows[3].split()[2] == "5,000"
    assert any(row.startswith("least precision: ") for row in rows)


def test_help_has_a_line_for_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    """What each one measures stands behind its name."""
    assert main(["bench", "--help"]) == os.EX_OK
    lines = capsys.readouterr().out.splitlines()
    for part in PARTS:
        assert [line for line in lines if line.startswith(f"  {part} ")], part


WRONG = {
    "a part that there is not": (["telescop"], "'telescop' is not one of", "damond bench --help"),
    "a policy that there is not": (["--policy", "budgit"], "unknown policy 'budgit'", "did you mean 'budget'?"),
    "an option that there is not": (["-O", "wach=1"], "unknown option 'wach'", "did you mean 'watch'?"),
    "an option out of range": (["-O", "watch=2"], "must be from 0 to 1", "change one of these options"),
    "a block of three pages": (["--block", "3"], "'3' is not one of '1', '2', '4'", "damond bench --help"),
    "a share without its sign": (["--max-cpu", "1"], "'1' is not a share", "damond bench --help"),
    "no checks at all": (["--max-checks", "0"], "0 is not in the range", "damond bench --help"),
    "a negative seed": (["--seed", "-1"], "-1 is not in the range", "damond bench --help"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_before_anything_is_measured(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 64, what is wrong, and what to do."""
    args, message, hint = WRONG[case]
    assert main(["bench", *args]) == os.EX_USAGE
    out, err = capsys.readouterr()
    assert not out
    assert message in err
    assert f"hint: {hint}" in err or f"hint: see '{hint}'" in err
