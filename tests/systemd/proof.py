"""Runs in the booted guest, as root, by the installed damond's Python: does what an operator does.

It writes down what happened, and test_boot.py judges that.
"""

import json
import mmap
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from damond.client import Client, subscribe
from damond.service.remote import make_keys

LIMIT_S = 120
CONFIG = Path("/etc/damond/damond.toml")
RUNTIME = "/run/damond"
RECORD = "/var/lib/damond/record.damond"
MIB = 1 << 20
HOT, ALL = 16 * MIB, 64 * MIB

FOUND = f'select = {{ exe = "{os.path.realpath(sys.executable)}", user = "bob" }}'
"""What bob runs: the supervisor itself may not see that."""

Facts = dict[str, Any]


def touch() -> None:
    """The process that is monitored: all of its 64 MiB are there, and 16 MiB of them are read over and over."""
    memory = mmap.mmap(-1, ALL)
    for offset in range(0, ALL, 4096):
        memory[offset] = 1
    print("ready", flush=True)
    while True:
        for offset in range(0, HOT, 4096):
            memory[offset]


def sh(*line: str, user: str = "root") -> Facts:
    """Run a command as a user."""
    as_user = [] if user == "root" else ["runuser", "-u", user, "--"]
    done = subprocess.run([*as_user, *line], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return {"rc": done.returncode, "out": done.stdout, "err": done.stderr}


def damond(*line: str, user: str = "root") -> Facts:
    command, *rest = line
    return sh("damond", command, "--runtime-dir", RUNTIME, *rest, user=user)


def status() -> dict[str, Facts]:
    with Client(RUNTIME) as client:
        return {row["name"]: row for row in client.status()["contexts"]}


def wait(what: str, condition: Callable[[], Any], show: Callable[[], Any] = lambda: "") -> Any:
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: {show()} {damond('status', '--json')}")
        time.sleep(0.2)
    return found


def unit(*names: str) -> dict[str, str]:
    shown = sh("systemctl", "show", "damond", *(f"--property={name}" for name in names))["out"]
    return dict(line.split("=", 1) for line in shown.splitlines())


def processes() -> list[Facts]:
    found = []
    for pid in Path("/sys/fs/cgroup/system.slice/damond.service/cgroup.procs").read_text().split():
        fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        caps = {each: int(fields[each], 16) for each in ("CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd")}
        row = {"pid": int(pid), "name": fields["Name"], "uids": fields["Uid"].split(), **caps}
        found.append({**row, "gids": fields["Gid"].split(), "groups": fields["Groups"].split()})
    return found


def snapshots(name: str, number: int, user: str = "root") -> list[Facts]:
    """Subscribe, and take some snapshots."""
    line = ["damond", "watch", "--runtime-dir", RUNTIME, "--json", name]
    line = line if user == "root" else ["runuser", "-u", user, "--", *line]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        rows = [json.loads(process.stdout.readline()) for _ in range(number)]
        process.terminate()
    return rows


def restarted(name: str, old: int) -> int:
    """Wait until a context has a worker other than this one, that samples."""

    def other() -> int:
        row = status()[name]
        return int(row["pid"]) if row["state"] == "running" and row["pid"] != old else 0

    return int(wait(f"{name} has another worker", other))


def configure(pid: int, *more: str) -> None:
    contexts = {
        "hot": ("vaddr", f"pid = {pid}", 'options.source = "page_idle"'),
        "maps": ("vaddr", f"pid = {pid}", 'options.source = "referenced"', "autostart = false"),
        "whole": ("physical", "autostart = false"),
        "kernel": ("kdamond", f"pid = {pid}", "autostart = false"),
        "found": ("vaddr", FOUND, 'options.source = "referenced"', "autostart = false"),
        "script": ("synthetic", 'options.preset = "five_tracks"', "autostart = false"),
    }
    tables = [
        f'[context.{name}]\nprimitive = "{primitive}"\n' + "\n".join(rest)
        for name, (primitive, *rest) in contexts.items()
    ]
    # A system call costs 40 times what it costs natively: intervals that leave the guest time for the rest.
    slow = '[defaults]\nsample_interval = "20ms"\naggr_interval = "400ms"\nprimitive_update_interval = "4s"\n'
    slow = '[service]\nmax_cpu = "off"\n' + slow
    CONFIG.write_text("\n".join([slow, *tables, *more]) + "\n")


def mapping(pid: int) -> tuple[int, int]:
    """Find the 64 MiB."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        start, end = (int(each, 16) for each in line.split()[0].split("-"))
        if end - start >= ALL:
            # The youngest mapping lies right below an older one; it grows together with it, and is the lower part.
            return start, start + ALL
    raise LookupError(pid)


def start_victim() -> int:
    bob = pwd.getpwnam("bob")
    process = subprocess.Popen(
        [sys.executable, __file__, "touch"], stdout=subprocess.PIPE, user=bob.pw_uid, group=bob.pw_gid, extra_groups=()
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process.pid


class Timed(dict[str, Any]):
    """Facts, and when each was known: what takes long is to be seen."""

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        super().setdefault("at_s", {})[name] = at_s = round(time.monotonic(), 1)
        print(f"{at_s} s: {name}", flush=True)  # all that is known of a boot that takes too long


def prove(facts: Facts) -> None:
    """Do it all; what happened is in ``facts``, as far as it came."""
    facts["ids"] = {"damond": pwd.getpwnam("damond").pw_uid, "group": pwd.getpwnam("damond").pw_gid}
    for line in (("useradd", "bob"), ("useradd", "alice", "--groups", "damond")):
        sh(*line)
    pid = start_victim()
    facts["mapping"] = mapping(pid)
    configure(pid)
    facts["start"] = sh("systemctl", "start", "damond")
    facts["unit"] = unit("ActiveState", "Type", "StatusText", "MainPID", "WatchdogUSec", "RuntimeDirectory")
    facts["exposure"] = sh("systemd-analyze", "security", "damond")["out"].splitlines()[-1]
    facts["verify"] = sh("systemd-analyze", "verify", "--man=no", "damond.service")
    facts["man"] = Path("/usr/share/man/man1/damond.1").exists()
    facts["processes"] = processes()
    facts["sockets"] = {each.name: oct(each.stat().st_mode & 0o777) for each in Path(RUNTIME).iterdir()}
    facts["directories"] = {each: oct(Path(each).stat().st_mode & 0o777) for each in (RUNTIME, "/var/lib/damond")}

    facts["page_idle"] = snapshots("hot", 12, user="alice")
    facts["member asks"] = damond("status", user="alice")
    facts["member stops"] = damond("stop", "hot", user="alice")
    facts["stranger asks"] = damond("status", user="bob")
    facts["stranger subscribes"] = damond("watch", "hot", "--json", user="bob")

    first = status()["hot"]["pid"]
    os.kill(first, signal.SIGKILL)
    second = restarted("hot", first)
    os.kill(second, signal.SIGSTOP)
    third = restarted("hot", second)
    facts["workers"] = [first, second, third]

    configure(pid, '[context.later]\nprimitive = "synthetic"\noptions.preset = "five_tracks"')
    facts["reload"] = sh("systemctl", "reload", "damond")
    facts["after reload"] = {name: [row["state"], row.get("pid")] for name, row in status().items()}
    configure(pid, '[context.later]\nprimitive = "syntetic"')
    facts["faulty reload"] = sh("systemctl", "reload", "damond")
    facts["after faulty reload"] = {name: [row["state"], row.get("pid")] for name, row in status().items()}
    facts["unit after faulty reload"] = unit("ActiveState", "MainPID")
    with Client(RUNTIME) as client:
        client.stop("later", "hot")

    prove_primitives(facts, pid)
    configure(pid)
    facts["after launcher"] = [unit("MainPID"), lose_launcher(), unit("ActiveState", "NRestarts")]
    facts["after watchdog"] = [unit("MainPID"), hang_supervisor(), unit("ActiveState", "NRestarts")]
    facts["remote"] = remote(pid)
    facts["record"] = record(pid)
    facts["stop"] = sh("systemctl", "stop", "damond")
    facts["unit at the end"] = unit("ActiveState", "Result", "NRestarts")
    facts["runtime dir at the end"] = Path(RUNTIME).exists()
    facts["left"] = list(of_the_service())
    CONFIG.write_text("[context.x\n")
    sh("systemctl", "reset-failed", "damond")
    facts["faulty start"] = sh("systemctl", "start", "damond")
    facts["unit after faulty start"] = unit("ActiveState", "ExecMainStatus", "NRestarts")


def prove_primitives(facts: Facts, pid: int) -> None:
    """Let each primitive work once, and leave the kernel as it was."""
    facts["primitives"] = {name: primitive(name) for name in ("maps", "whole", "kernel", "script")}
    facts["found"] = [pid, find_by_executable()]
    facts["kdamonds left"] = Path("/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds").read_text().strip()


def find_by_executable() -> Facts:
    """Let a context find bob's process by what it runs; let it pause, and go on."""
    with Client(RUNTIME) as client:
        client.start("found")
        client.pause("found")
        client.resume("found")
        row = status()["found"]
        client.stop("found")
    return row


def primitive(name: str) -> Facts:
    """Let one context run for a snapshot; then it ends, as the kernel's DAMON and page_idle don't go together."""
    with Client(RUNTIME) as client:
        client.start(name)
        found = next(iter(subscribe(name, runtime_dir=RUNTIME)))
        client.stop(name)
    return {
        "primitive": found.primitive,
        "granularity": found.granularity,
        "checks": found.checks,
        "size": sum(int(each.size.sum()) for each in found.targets),
    }


def lose_launcher() -> int:
    """Kill the parent of the workers; return the main process that systemd starts then."""
    main_pid = unit("MainPID")["MainPID"]
    (launcher,) = [each["pid"] for each in processes() if each["name"] == "python3"]
    os.kill(launcher, signal.SIGKILL)
    return another_service(main_pid)


def hang_supervisor() -> int:
    """Stop the main process with a watchdog of 5 s, to save time; return the one that systemd starts then."""
    add_dropin("watchdog", "[Service]\nWatchdogSec=5s\n")
    sh("systemctl", "restart", "damond")
    main_pid = unit("MainPID")["MainPID"]
    os.kill(int(main_pid), signal.SIGSTOP)
    return another_service(main_pid)


def another_service(old: str) -> int:
    def other() -> int:
        now = unit("MainPID", "ActiveState")
        return int(now["MainPID"]) if now["MainPID"] not in ("0", old) and now["ActiveState"] == "active" else 0

    return int(wait("another main process", other))


def add_dropin(name: str, text: str) -> None:
    directory = Path("/etc/systemd/system/damond.service.d")
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.conf").write_text(text)
    sh("systemctl", "daemon-reload")


def remote(pid: int) -> Facts:
    """Open the service to the network as remote.conf says, and ask over TCP, with a key on file and with another."""
    made = sh("damond", "keys", "/etc/damond/keys")
    for name in ("friend", "foe"):
        make_keys(Path("/root/keys"), name)
    sh("install", "-m", "644", "/root/keys/friend.key", "/etc/damond/authorized")
    Path("/etc/damond/authorized/broken.key").write_text("no key")
    keys = 'key = "/etc/damond/keys/server.key_secret"\nauthorized = "/etc/damond/authorized"'
    configure(pid, f'[remote]\nstream = "tcp://127.0.0.1:7701"\nquery = "tcp://127.0.0.1:7702"\n{keys}')
    without = sh("systemctl", "restart", "damond")
    add_dropin("remote", Path("/usr/share/doc/damond/remote.conf").read_text())
    sh("systemctl", "reset-failed", "damond")
    done = {"keys": made, "without": without, "with": sh("systemctl", "restart", "damond")}
    with Client(RUNTIME) as client:
        done["status"] = client.status()["remote"]
    return {**done, **{name: sh("/usr/lib/damond/bin/python", "-c", ASK, name) for name in ("friend", "foe")}}


def record(pid: int) -> Facts:
    """Let the service record by itself, and a member of the group report on what it has."""
    configure(pid, "[record]")
    # What is made on this guest's root (hostfs) belongs to root, whoever makes it: not so on a tmpfs.
    sh("mount", "-t", "tmpfs", "tmpfs", str(Path(RECORD).parent))
    sh("systemctl", "restart", "damond")
    line = ("damond", "report", "wss", "--json", RECORD)

    def reported() -> Facts | None:
        done = sh(*line, user="alice")
        return done if done["rc"] == 0 else None

    report = json.loads(wait("a report on the record", reported, lambda: sh(*line, user="alice"))["out"])
    info = Path(RECORD).stat()
    with Client(RUNTIME) as client:
        told = client.status()["record"]
    stranger = sh(*line, user="bob")
    return {
        "report": report,
        "owner": [info.st_uid, info.st_gid],
        "mode": oct(info.st_mode & 0o777),
        "status": told,
        "stranger": stranger,
    }


ASK = """
import sys
from pathlib import Path
from damond.client import Client, Remote, subscribe
mine, theirs = Path("/root/keys", sys.argv[1] + ".key_secret"), Path("/etc/damond/keys/server.key")
remote = Remote("tcp://127.0.0.1:7702", "tcp://127.0.0.1:7701", theirs, mine)
print(Client(remote=remote).status()["nr_running"])
print(next(iter(subscribe("hot", remote=remote))).context)
"""


def of_the_service() -> Iterable[str]:
    """Name the processes that systemd counts among the service's."""
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if "damond.service" in (each / "cgroup").read_text():
                yield (each / "comm").read_text().strip()
        except OSError:  # it has just ended
            continue


def main() -> None:
    facts = Timed()
    began = time.monotonic()
    try:
        prove(facts)
    except BaseException as error:
        facts["broken off"] = f"{type(error).__name__}: {error}"
        raise
    finally:
        log = sh("journalctl", "--unit=damond", "--output=json", "--no-pager")["out"]
        rows = [json.loads(line) for line in log.splitlines()]
        kept = [(row["PRIORITY"], row["MESSAGE"]) for row in rows if row.get("SYSLOG_IDENTIFIER") == "damond"]
        facts["journal"] = kept
        facts["took_s"] = time.monotonic() - began
        Path("/proof/facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    if sys.argv[1:] == ["touch"]:
        touch()
    main()
