"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        name: What was checked.
        status: `ok`, `warning` (it works, less well than it could) or `problem`.
        message: One sentence.
        remedy: The command that mends it.
        facts: The numbers behind it.
    """

    name: str
    status: str
    message: str
    remedy: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
