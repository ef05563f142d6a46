"""smaps: which mappings were referenced."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from damond_accessbits import parse_smaps

TEXT = b"""\
55d0c0000000-55d0c0002000 r--p 00000000 fd:00 131 /usr/bin/a-name with - and 00-11
Size:                  8 kB
Referenced:            8 kB
Anonymous:             0 kB
VmFlags: rd mr mw me sd
7f0000000000-7f0000100000 rw-p 00000000 00:00 0
Size:               1024 kB
Referenced:            0 kB
VmFlags: rd wr mr mw me ac sd
"""


def test_text_is_read() -> None:
    """Each mapping has its bounds and whether it was referenced, whatever its name looks like."""
    smaps = parse_smaps(TEXT)
    assert smaps.start.tolist() == [0x55D0C0000000, 0x7F0000000000]
    assert smaps.end.tolist() == [0x55D0C0002000, 0x7F0000100000]
    assert smaps.referenced.tolist() == [True, False]


def test_own_smaps_is_understood() -> None:
    """As many mappings are found in the file of this process as it has lines with sizes."""
    data = Path("/proc/self/smaps").read_bytes()
    smaps = parse_smaps(data)
    assert len(smaps.start) == len(smaps.referenced) == data.count(b"\nSize: ")
    assert smaps.referenced.any()


def test_nothing_is_no_mapping() -> None:
    """A process without memory has an empty file, and nothing in it was accessed."""
    assert parse_smaps(b"").accessed(np.array([0, 2**47], np.uint64)).tolist() == [False, False]


@given(
    bounds=st.lists(st.integers(0, 200), unique=True, max_size=20).map(sorted),
    referenced=st.lists(st.integers(0, 1), min_size=10, max_size=10),
    addrs=st.lists(st.integers(0, 210)),
)
def test_address_belongs_to_its_mapping(bounds: list[int], referenced: list[int], addrs: list[int]) -> None:
    """An address is accessed exactly if it lies in a mapping that was referenced."""
    rows = list(zip(bounds[::2], bounds[1::2], referenced, strict=False))
    text = "".join(f"{start:08x}-{end:08x} rw-p 0 0 0\nReferenced: {kib} kB\n" for start, end, kib in rows)
    found = parse_smaps(text.encode()).accessed(np.array(addrs, np.uint64)).tolist()
    assert found == [any(start <= addr < end and kib for start, end, kib in rows) for addr in addrs]
