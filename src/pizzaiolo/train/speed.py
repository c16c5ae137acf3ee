"""What makes a training step on the CPU faster and leaves its numbers as they are."""

from __future__ import annotations

import ctypes
import sys

# <malloc.h> of glibc: what `mallopt` may set.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER, _AT_ONCE = 2**31 - 1, 64 * 2**20  # bytes


def keep_freed_memory() -> bool:
    """Let the process keep memory that was freed; whether the C library took the settings.

    A training step frees hundreds of megabytes and asks for them again. glibc gives large blocks
    back to the system at once, which then clears every page anew: a quarter of the step's CPU time
    with EfficientNet-Lite0. The peak stays the same. Other C libraries are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version") or not hasattr(library, "mallopt"):
        return False
    wanted = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _AT_ONCE))
    taken = [library.mallopt(name, value) for name, value in wanted]
    return taken == [1] * len(wanted)
