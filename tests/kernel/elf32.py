"""A program of 32 bits that touches its pages over and over, made without a compiler."""

import struct
from pathlib import Path
from typing import Final

CODE: Final = 0x08048000
DATA: Final = 0x08100000
_HEADERS_SZ: Final = 52 + 2 * 32
_READ, _WRITE, _EXECUTE = 4, 2, 1


def write_toucher(path: Path, nr_pages: int) -> None:
    """Write a program that writes to each of ``nr_pages`` pages from :data:`DATA` on, for ever.

    One of its instructions (49, ``dec ecx``) is none in a program of 64 bits.
    """
    page_loop = bytes.fromhex("800e01") + bytes.fromhex("81c600100000") + b"\x49"  # or [esi], 1; add esi, 4096; dec ecx
    page_loop += b"\x75" + struct.pack("b", -len(page_loop) - 2)  # jnz to its begin
    code = b"\xbe" + struct.pack("<I", DATA) + b"\xb9" + struct.pack("<I", nr_pages) + page_loop
    code += b"\xeb" + struct.pack("b", -len(code) - 2)  # jmp to the begin
    size = _HEADERS_SZ + len(code)
    ident = b"\x7fELF" + bytes((1, 1, 1)) + bytes(9)
    header = struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, CODE + _HEADERS_SZ, 52, 0, 0, 52, 32, 2, 0, 0, 0)
    text = struct.pack("<8I", 1, 0, CODE, CODE, size, size, _READ | _EXECUTE, 4096)
    data = struct.pack("<8I", 1, 0, DATA, DATA, 0, nr_pages * 4096, _READ | _WRITE, 4096)
    path.write_bytes(ident + header + text + data + code)
    path.chmod(0o755)
