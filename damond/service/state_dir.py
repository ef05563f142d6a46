"""The directory for the state of the service: given to whom the supervisor becomes."""

import os
import stat
from pathlib import Path

from damond.service.privileges import Identity


def hand_over(directory: Path, identity: Identity) -> None:
    """Give a directory and the plain files in it to a user and its group; others keep out.

    systemd makes it, and all that is in it, root's again at each start (StateDirectory= without User=). Nothing that
    could be anywhere else by another name is given away: links are left alone.

    Args:
        directory: Of the service alone, as $STATE_DIRECTORY names it.
        identity: Who gets it.

    Raises:
        ValueError: The path is relative, as an empty one would be: the directory is not the service's own.
    """
    if not directory.is_absolute():
        raise ValueError(f"{str(directory)!r} is no directory of the service")
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for name in os.listdir(fd):  # noqa: PTH208 - an open directory has no path
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid != identity.uid:
                os.chown(name, identity.uid, identity.gid, dir_fd=fd, follow_symlinks=False)
        if os.fstat(fd).st_uid != identity.uid:
            # In this order: what belongs to somebody else can't be changed without CAP_FOWNER.
            os.fchmod(fd, 0o750)
            os.fchown(fd, identity.uid, identity.gid)
    finally:
        os.close(fd)
