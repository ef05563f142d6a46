"""Signals that ask a command to end, taken as a wish: what has been seen is still to be shown."""

import signal
from typing import Final

_WISHES: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP (the terminal is gone), from now on; a second one ends the command at once.

    A SIGHUP that is ignored, as under nohup(1), stays ignored.

    Attributes:
        seen: Whether one has come.
    """

    def __init__(self) -> None:
        self.seen = False
        for signum in _WISHES:
            if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self._take)

    def _take(self, *_: object) -> None:
        if self.seen:
            raise KeyboardInterrupt
        self.seen = True
