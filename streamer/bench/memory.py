"""How much memory this process has and had."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def memory_mb() -> float | None:
    """What is resident now, or at its peak where the system tells only that; None if nothing."""
    try:
        resident = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:  # not Linux
        return peak_memory_mb()
    return int(resident) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_memory_mb() -> float | None:
    """The most that was ever resident; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
