"""Privileges apart: the process that talks to strangers gives up what only the launcher and its workers need."""

import encodings.ascii
import encodings.idna
import grp
import logging
import os
import pwd

# Imported by the standard library when they are first needed. The user that the supervisor becomes may not be able to
# read them then: the interpreter may lie below a directory of root's.
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from damond.errors import ConfigError

_log = logging.getLogger(__name__)

_LOADED: Final = (encodings.ascii, encodings.idna, ThreadPoolExecutor)

STOPPED: Final = ("stopped", "tracing stop")
"""States of a process that does nothing until it is continued (fs/proc/array.c, task_state_array, Linux 6.12)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the supervisor becomes, and who may read.

    Attributes:
        uid: User that the supervisor runs as.
        gid: Its group; members may connect to the sockets for reading.
    """

    uid: int
    gid: int

    @classmethod
    def of(cls, user: str, group: str) -> Self:
        """Look up names.

        Raises:
            ConfigError: There is no such user or group.
        """
        try:
            return cls(pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
        except KeyError as error:
            raise ConfigError(
                f"[service] user = {user!r}, group = {group!r}: {error.args[0]}",
                hint="systemd-sysusers makes them from systemd/damond.sysusers, or: adduser --system --group damond",
            ) from error

    def assume(self) -> None:
        """Become that user for good. The capabilities of root go with its uid (capabilities(7)).

        Raises:
            PermissionError: This process is not root.
        """
        os.setgroups([])
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        for path in (os.__file__, __file__):
            if not os.access(path, os.R_OK):
                _log.warning(
                    "user %s can't read %s: what this process has not imported by now it can't import; "
                    "'make install' puts damond where it can",
                    user_name(self.uid),
                    path,
                )
                return


def user_name(uid: int) -> str:
    """Name a user; one without a name by the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def describe(pid: int) -> dict[str, object]:
    """Tell as whom a process runs, its state and which capabilities are in force; empty if it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    uid = int(fields["Uid"].split()[1])
    state = fields["State"].partition("(")[2].rstrip(")")
    return {"user": user_name(uid), "uid": uid, "state": state, "capabilities": names(int(fields["CapEff"], 16))}


# include/uapi/linux/capability.h, Linux 6.12: the order is the number.
_NAMES: Final = (
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
)


def names(mask: int) -> list[str]:
    """Name the capabilities of a mask; all of them are ``["all"]``."""
    found = [name for number, name in enumerate(_NAMES) if mask >> number & 1]
    if len(found) == len(_NAMES):
        return ["all"]
    # A few that are missing say more than a wall of those that are there.
    missing = [f"not {name}" for name in _NAMES if name not in found]
    return ["all", *missing] if len(missing) < len(found) else found
