"""Telling systemd how the service is (sd_notify(3)); without systemd, nothing."""

import os
import socket
import time


def notify(*lines: str) -> None:
    """Send a state such as ``READY=1`` to the service manager, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
        sock.sendall("\n".join(lines).encode())


def notify_reloading() -> None:
    """Say that the configuration is being read again (Type=notify-reload)."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_interval_s() -> float | None:
    """Return how often ``WATCHDOG=1`` is due: twice per WatchdogSec; None if nobody waits for it."""
    usec = os.environ.get("WATCHDOG_USEC")
    pid = os.environ.get("WATCHDOG_PID")
    if not usec or (pid and int(pid) != os.getpid()):
        return None
    return int(usec) / 2_000_000
