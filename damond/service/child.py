"""What a program is told before it is run, that is not to outlive this one."""

import ctypes
import resource
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)
_NOFILE: Final = resource.getrlimit(resource.RLIMIT_NOFILE)


def tie_to_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends, even by SIGKILL (prctl(2)).

    Its limit of descriptors is the one that this program was started with (serve.py raises its own). To be called in
    the child, before it runs anything: two system calls, resolved before, which take no lock.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, _NOFILE)
