"""Instructions that this thread executes, counted by the processor where Linux lets us ask."""

from __future__ import annotations

import ctypes
import os
import platform

PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
HARDWARE, INSTRUCTIONS = 0, 1
USER_ONLY = 1 << 5 | 1 << 6  # exclude_kernel, exclude_hv
ATTRIBUTE_BYTES = 128


class _Attribute(ctypes.Structure):
    """The head of Linux's struct perf_event_attr; zeros behind it."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("rest", ctypes.c_uint8 * (ATTRIBUTE_BYTES - 48)),
    )


class InstructionCounter:
    """Counts from its making on; `available` is False where the machine does not tell.

    A processor counts but few things at a time: have one.
    """

    def __init__(self) -> None:
        number = PERF_EVENT_OPEN.get(platform.machine())
        self._file = -1
        if number is not None and platform.system() == "Linux":
            attribute = _Attribute(
                type=HARDWARE, size=ATTRIBUTE_BYTES, config=INSTRUCTIONS, flags=USER_ONLY
            )
            library = ctypes.CDLL(None)
            self._file = library.syscall(number, ctypes.byref(attribute), 0, -1, -1, 0)

    @property
    def available(self) -> bool:
        return self._file >= 0

    def read(self) -> int:
        """Instructions so far, 0 where they are not known."""
        if not self.available:
            return 0
        return int.from_bytes(os.read(self._file, 8), "little")


COUNTER = InstructionCounter()
