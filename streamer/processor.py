"""What the processor can do."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from pathlib import Path


def instruction_sets() -> list[str]:
    """The instruction sets of the processor, as Linux names them; none elsewhere."""
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return next((s.split(":")[1].split() for s in lines if s.startswith(("flags", "Features"))), [])


def multiplies_bfloat16() -> bool:
    """Whether it has instructions for bfloat16 that TensorFlow uses, as far as the system tells."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(instruction_sets())


def fingerprint() -> str:
    """The same for processors that run the same machine code, as far as the system tells."""
    facts = [platform.system(), platform.machine(), platform.processor(), *instruction_sets()]
    return hashlib.sha256(" ".join(facts).encode()).hexdigest()[:16]
