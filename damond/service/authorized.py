"""The clients that may come in over the network: a directory with the public key of each."""

import logging
from pathlib import Path
from typing import Any, Final

import zmq.auth
from zmq.utils import z85

from damond.errors import ConfigError

_log = logging.getLogger(__name__)

_KEY_SZ: Final = 32
"""Bytes of a CURVE key."""


class Authorized:
    """The keys on file (``*.key``); asked by libzmq's authentication (ZAP) for every client that connects.

    A file that holds no key is left out, and shuts out nobody else.

    Args:
        directory: Where they are.

    Attributes:
        unusable: File -> why it is left out.
        refused: Connections of clients whose key is not on file.

    Raises:
        ConfigError: The directory can't be read.
    """

    def __init__(self, directory: Path) -> None:
        self.refused = 0
        self.unusable: dict[str, str] = {}
        self._keys: dict[bytes, str] = {}
        self.read(directory)

    def read(self, directory: Path) -> bool:
        """Read the keys again; return whether one that was on file is so no more.

        Raises:
            ConfigError: The directory can't be read; the keys stay as they are.
        """
        try:
            paths = sorted(each for each in directory.iterdir() if each.suffix == ".key")
        except OSError as error:
            raise ConfigError(
                f"[remote] authorized: {directory}: {error.strerror}",
                hint="make it, readable for the service's group, and put clients' public keys (NAME.key) into it",
            ) from error
        keys, unusable = {}, {}
        for path in paths:
            try:
                keys[_public_key(path)] = path.name
            except (OSError, ValueError) as error:
                unusable[path.name] = getattr(error, "strerror", None) or str(error)
                _log.warning("%s is left out of the authorised keys: %s", path, unusable[path.name])
        before, self._keys, self.unusable = self._keys, keys, unusable
        return not before.keys() <= keys.keys()

    def callback(self, domain: str, key: bytes) -> bool:  # noqa: ARG002 - the name and arguments that pyzmq asks for
        """Say whether a client may come in."""
        known = key in self._keys
        self.refused += not known
        return known

    def describe(self) -> dict[str, Any]:
        """Tell what is on file, as plain values."""
        return {"keys": len(self._keys), "unusable": dict(self.unusable), "refused": self.refused}


def _public_key(path: Path) -> bytes:
    """Read a public key.

    Raises:
        OSError: The file can't be read.
        ValueError: It holds no key.
    """
    with path.open("rb"):  # an error that says why
        pass
    try:
        public, _ = zmq.auth.load_certificate(path)
        size = len(z85.decode(public))
    except Exception as error:  # struct.error, KeyError, ValueError: z85 has no error of its own
        raise ValueError("no public key in it (damond keys DIRECTORY NAME makes NAME.key)") from error
    if size != _KEY_SZ:
        raise ValueError(f"a key of {size} bytes in it instead of {_KEY_SZ}")
    return public
