"""The packaged service under a real systemd: what proof.py did in the booted system, judged."""

import re
from typing import Any

import pytest

from tests.systemd.tree import BOOT_LIMIT_S, BUILD_LIMIT_S

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(2 * BUILD_LIMIT_S + BOOT_LIMIT_S + 60)]

Facts = dict[str, Any]

CAPABILITIES = {0: "CHOWN", 1: "DAC_OVERRIDE", 6: "SETGID", 7: "SETUID", 19: "SYS_PTRACE", 21: "SYS_ADMIN"}
"""What the unit leaves (include/uapi/linux/capability.h)."""
WARNING, ERROR = "4", "3"


def lines(facts: Facts, pattern: str) -> list[str]:
    """List the priorities of the journal's lines that match as a whole."""
    return [priority for priority, text in facts["journal"] if re.fullmatch(pattern, text)]


def test_nothing_broke_off(facts: Facts) -> None:
    """Every step of the proof was made."""
    assert facts.get("broken off", "") == ""


def test_becomes_active(facts: Facts) -> None:
    """The unit comes up as notify-reload with its watchdog, and says how many contexts run."""
    assert facts["start"]["rc"] == 0
    unit = facts["unit"]
    assert (unit["ActiveState"], unit["Type"], unit["WatchdogUSec"]) == ("active", "notify-reload", "30s")
    assert unit["StatusText"] == "1 contexts run"


def test_is_well_formed(facts: Facts) -> None:
    """Nothing is to be said against the unit as it was installed, and its exposure is at most 3.5."""
    assert facts["verify"] == {"rc": 0, "out": "", "err": ""}
    found = re.search(r"exposure level for damond.service: ([\d.]+)", facts["exposure"])
    assert found is not None
    assert float(found[1]) <= 3.5


def test_supervisor_has_no_privileges(facts: Facts) -> None:
    """The main process is damond, without groups of root's and without any capability."""
    main = next(each for each in facts["processes"] if each["pid"] == int(facts["unit"]["MainPID"]))
    assert main["uids"] == [str(facts["ids"]["damond"])] * 4
    assert main["gids"] == [str(facts["ids"]["group"])] * 4
    assert main["groups"] == []
    assert [main[each] for each in ("CapPrm", "CapEff", "CapInh", "CapAmb")] == [0, 0, 0, 0]


def test_workers_have_what_they_need(facts: Facts) -> None:
    """Launcher and workers have the capabilities that the unit explains, and no other."""
    others = [each for each in facts["processes"] if each["pid"] != int(facts["unit"]["MainPID"])]
    assert {each["name"] for each in others} == {"python3", "damond:hot"}
    assert {each["CapEff"] for each in others} == {sum(1 << number for number in CAPABILITIES)}


def test_directories_and_sockets(facts: Facts) -> None:
    """The group may enter and connect for reading; steering and the workers' socket are the service's own."""
    assert facts["directories"] == {"/run/damond": "0o750", "/var/lib/damond": "0o750"}
    assert facts["sockets"] == {
        "control": "0o600",
        "lock": "0o600",
        "query": "0o660",
        "stream": "0o660",
        "workers": "0o600",
    }


def test_page_idle_for_another_user(facts: Facts) -> None:
    """What another user's process reads is told from the rest of its 64 MiB, page-weighted, under the hardening."""
    start, end = facts["mapping"]
    hot_end = start + (end - start) // 4
    found = right = 0
    for snapshot in facts["page_idle"][-4:]:
        assert snapshot["granularity"] == 4096
        (target,) = snapshot["targets"]
        for first, size, nr_accesses in zip(target["start"], target["size"], target["nr_accesses"], strict=True):
            if nr_accesses * 4 >= snapshot["max_nr_accesses"]:
                found += size
                right += max(0, min(first + size, hot_end) - max(first, start))
    possible = 4 * (hot_end - start)
    assert right >= 0.8 * possible
    assert right >= 0.8 * found


@pytest.mark.parametrize("name", ["maps", "whole", "kernel", "script"])
def test_primitives(facts: Facts, name: str) -> None:
    """Every other way of checking accesses works under the hardening, too."""
    expected = {"maps": "vaddr", "whole": "physical", "kernel": "kdamond", "script": "synthetic"}
    found = facts["primitives"][name]
    assert found["primitive"] == expected[name]
    assert found["checks"] > 0
    assert found["size"] >= 64 << 20


def test_finds_by_executable(facts: Facts) -> None:
    """The supervisor, which may not see what other users run, finds a process by it; what happens is told."""
    pid, row = facts["found"]
    assert row["targets"] == [pid], row
    told = [each["event"] for each in row["events"] if each["event"] != "attrs_changed"]  # by the budget
    assert told == ["starting", "started", "paused", "resumed"]
    for change in ("paused", "resumed"):
        assert len(lines(facts, rf"INFO found: {change} \(requested\)")) == 1


def test_leaves_the_kernel_alone(facts: Facts) -> None:
    """After a context by the kernel's own DAMON its tree in sysfs is as it was."""
    assert facts["kdamonds left"] == "0"


def test_member_reads_and_does_not_steer(facts: Facts) -> None:
    """A member of the group asks and subscribes (the snapshots above are hers), but stops nothing."""
    assert facts["member asks"]["rc"] == 0
    assert "hot     running" in facts["member asks"]["out"]
    assert facts["member stops"]["rc"] != 0
    assert "control: permission denied" in facts["member stops"]["err"]


@pytest.mark.parametrize("what", ["stranger asks", "stranger subscribes"])
def test_stranger_is_refused(facts: Facts, what: str) -> None:
    """Who is not in the group gets nothing, and is told why."""
    assert facts[what]["rc"] != 0
    assert facts[what]["out"] == ""
    assert "permission denied" in facts[what]["err"]


def test_workers_are_restarted(facts: Facts) -> None:
    """A worker that is killed and one that hangs are replaced; each has a line that says so, as a warning."""
    assert len(set(facts["workers"])) == 3
    assert lines(facts, r"WARNING hot: the worker ended without a word: killed by SIGKILL; try 1 in .* s") == [WARNING]
    assert lines(facts, r"ERROR hot: no snapshot for .* s; ending the worker") == [ERROR]
    assert lines(facts, r"WARNING hot: the worker hung, and was ended: killed by SIGKILL; try \d in .* s") == [WARNING]


def test_reload(facts: Facts) -> None:
    """'systemctl reload' starts what is new, and leaves alone what has not changed."""
    assert facts["reload"]["rc"] == 0
    assert facts["after reload"]["later"][0] == "running"
    assert facts["after reload"]["hot"] == ["running", facts["workers"][-1]]
    assert len(lines(facts, r"INFO configuration read again: started later")) == 1


def test_faulty_reload(facts: Facts) -> None:
    """A faulty configuration changes nothing, and the journal says what is wrong with it."""
    assert facts["after faulty reload"] == facts["after reload"]
    assert facts["unit after faulty reload"] == {"ActiveState": "active", "MainPID": facts["unit"]["MainPID"]}
    assert lines(facts, r"ERROR configuration not read again, .*") == [ERROR]
    assert len(lines(facts, r" +- context\.later: unknown primitive 'syntetic'.*")) == 1


@pytest.mark.parametrize("what", ["after launcher", "after watchdog"])
def test_systemd_starts_it_again(facts: Facts, what: str) -> None:
    """When the launcher is killed, or the supervisor itself hangs, systemd starts the service once more."""
    before, now, unit = facts[what]
    assert now != int(before["MainPID"])
    assert unit == {"ActiveState": "active", "NRestarts": "1"}


def test_network_is_opened_on_purpose(facts: Facts) -> None:
    """Over TCP the service answers only with remote.conf in place, and only those whose key is on file."""
    remote = facts["remote"]
    assert remote["without"]["rc"] != 0
    assert len(lines(facts, r"damond: error: \[remote\] tcp://\S+: this process may not use the network: .*")) == 1
    assert remote["with"]["rc"] == 0
    assert remote["friend"]["out"] == "1\nhot\n", remote["friend"]["err"]
    assert remote["foe"]["out"] == ""
    assert remote["status"]["keys"] == 1
    assert list(remote["status"]["unusable"]) == ["broken.key"]
    assert lines(facts, r"WARNING /etc/damond/authorized/broken.key is left out of the authorised keys: .*")
    assert "NotPermittedError" in remote["foe"]["err"]


def test_records_by_itself(facts: Facts) -> None:
    """With ``[record]`` the service keeps a record in its state directory, for its group to read and nobody else."""
    found = facts["record"]
    assert found["owner"] == [facts["ids"]["damond"], facts["ids"]["group"]]
    assert found["mode"] == "0o640"
    assert found["status"]["state"] == "running"
    assert found["status"]["trouble"] in (None, "")
    coverage = found["report"]["coverage"]
    assert (coverage["context"], coverage["primitive"]) == ("hot", "vaddr")
    assert coverage["nr_windows"] > 0
    assert found["stranger"]["rc"] != 0
    assert "ermission" in found["stranger"]["err"]


def test_stops(facts: Facts) -> None:
    """'systemctl stop' is a success that leaves neither a process nor a socket."""
    assert facts["stop"]["rc"] == 0
    assert facts["unit at the end"]["ActiveState"] == "inactive"
    assert facts["unit at the end"]["Result"] == "success"
    assert facts["left"] == []
    assert facts["runtime dir at the end"] is False


def test_faulty_start_is_not_tried_again(facts: Facts) -> None:
    """A configuration that is no TOML fails the start with EX_CONFIG, once."""
    assert facts["unit after faulty start"] == {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}
    assert len(lines(facts, r"damond: error: /etc/damond/damond.toml: 1 problem")) == 1
    told = [text for _, text in facts["journal"] if "is not TOML" in text]
    assert len(told) == 1, told


def test_journal_has_one_line_per_change(facts: Facts) -> None:
    """Of a context that starts and stops once, the journal tells each change once, with its name."""
    for change in ("starting", "running", r"stopping \(requested\)", r"stopped \(requested\)"):
        assert len(lines(facts, f"INFO script: {change}")) == 1, change
