"""The job, in a process whose kernel refuses some calls: as on a disk that does not know them. For libraries of any
language, and without a disk of that kind.

    python -m tests.faults.denied link,flock CATALOG KEY WEIGHT
"""

from __future__ import annotations

import ctypes
import errno
import platform
import runpy
import struct
import sys
from collections.abc import Iterable

_NUMBERS = {
    "x86_64": {"link": (86, 265), "flock": (73,), "fsync": (74, 75), "utime": (132, 235, 261, 280)},
    "aarch64": {"link": (37,), "flock": (32,), "fsync": (82, 83), "utime": (88,)},
}
"""The kernel's numbers of what a disk may not know."""

_ERRORS = {"link": errno.EPERM, "flock": errno.ENOLCK, "fsync": errno.EINVAL, "utime": errno.EPERM}

_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000


def can_deny() -> bool:
    """Whether calls can be refused on this machine."""
    return sys.platform == "linux" and platform.machine() in _NUMBERS


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def deny(names: Iterable[str]) -> None:
    """Has the kernel refuse calls from now on, in this process and those that it starts; it cannot be undone."""
    numbers = _NUMBERS[platform.machine()]
    calls = [(number, _ERRORS[name]) for name in names for number in numbers[name]]
    instructions = struct.pack("HBBI", _LOAD, 0, 0, 0)
    for number, refused in calls:
        instructions += struct.pack("HBBI", _JUMP_IF_EQUAL, 0, 1, number)
        instructions += struct.pack("HBBI", _RETURN, 0, 0, _FAIL | refused)
    instructions += struct.pack("HBBI", _RETURN, 0, 0, _ALLOW)
    content = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // 8, ctypes.cast(content, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "calls cannot be refused here")


if __name__ == "__main__":
    deny(sys.argv[1].split(","))
    module = "tests.faults.job" if sys.argv[2] != "doctor" else "helix_spark"
    del sys.argv[1]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
