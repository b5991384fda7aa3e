"""The results of a benchmark, as a table and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from streamer.bench.invented import Invented
from streamer.bench.measures import Measures
from streamer.bench.memory import peak_memory_mb

COLUMNS = 80  # of a terminal
LABEL_WIDTH, CELL_WIDTH = 28, 13
PER_TABLE = (COLUMNS - LABEL_WIDTH) // CELL_WIDTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The measures of every subset and of all together, and of every kind of noise.

    Attributes:
        clock: Of latency: `audio` or `wall`.
        idle_cpu_share: Processor time over wall time while silence is listened to at the speed of
            speech.
    """

    model: str
    clock: str
    measures: dict[str, Measures]
    idle_cpu_share: float | None = None
    invented: dict[str, Invented] = field(default_factory=dict)
    peak_memory_mb: float | None = field(default_factory=peak_memory_mb)

    def to_json(self) -> dict[str, Any]:
        """Everything as a JSON object."""
        return asdict(self)

    def table(self) -> str:
        """Everything as tables of at most `COLUMNS` columns: a column a subset, a line a noise."""
        names = list(self.measures)
        parts = [self._speech(names[at : at + PER_TABLE]) for at in range(0, len(names), PER_TABLE)]
        if self.invented:
            parts.append(self._noise())
        last = f"a / b: median / 95th percentile; latency by the {self.clock} clock"
        last += f"\nmodel {self.model}"
        if self.idle_cpu_share is not None:
            last += (
                f"\nprocessor time while nobody speaks: {_percent(self.idle_cpu_share)} of a core"
            )
        if self.peak_memory_mb is not None:
            last += f"\npeak memory {self.peak_memory_mb:.0f} MB"
        return "\n\n".join([*parts, last])

    def _speech(self, names: Sequence[str]) -> str:
        wrapped = [textwrap.wrap(name, CELL_WIDTH - 1) for name in names]
        height = max(len(parts) for parts in wrapped)
        headers = [[""] * (height - len(parts)) + parts for parts in wrapped]
        lines = [_line("", cells) for cells in zip(*headers, strict=True)]
        for label, keys, form in _ROWS:
            values = [[getattr(self.measures[name], key) for key in keys] for name in names]
            if any(value is not None for cell in values for value in cell):
                cells = ["-" if None in cell else form(*cell) for cell in values]
                lines.append(_line(label, cells))
        return "\n".join(lines)

    def _noise(self) -> str:
        header = ("minutes", "as speech", "words", "an hour")
        lines = [_line("sounds without words", header)]
        for kind, found in self.invented.items():
            share = found.taken_s / found.audio_s
            cells = [f"{found.audio_s / 60:.1f}", _percent(share), str(found.words)]
            lines.append(_line(kind, [*cells, f"{found.words_per_hour:.1f}"]))
        return "\n".join(lines)


def _line(label: str, cells: Sequence[str]) -> str:
    return (label.ljust(LABEL_WIDTH) + "".join(cell.rjust(CELL_WIDTH) for cell in cells)).rstrip()


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _seconds(median: float, percentile: float) -> str:
    return f"{median:.2f} / {percentile:.2f}"


def _milliseconds(median: float, percentile: float) -> str:
    return f"{1000 * median:.0f} / {1000 * percentile:.0f}"


_ROWS: tuple[tuple[str, tuple[str, ...], Callable[..., str]], ...] = (
    ("recordings", ("recordings",), str),
    ("sound, minutes", ("audio_s",), lambda value: f"{value / 60:.1f}"),
    ("words in the reference", ("words",), str),
    ("WER", ("wer",), _percent),
    ("WER in one piece", ("wer_whole",), _percent),
    ("CER", ("cer",), _percent),
    ("RTF, finals only", ("rtf",), "{:.4f}".format),
    ("RTF, with partials", ("rtf_live",), "{:.4f}".format),
    ("processor, of a core", ("cpu_share",), _percent),
    ("first text after onset, s", ("first_partial_s_p50", "first_partial_s_p95"), _seconds),
    ("word shown after its end, s", ("word_shown_s_p50", "word_shown_s_p95"), _seconds),
    ("word stable after its end, s", ("word_stable_s_p50", "word_stable_s_p95"), _seconds),
    ("final after speech ended, s", ("final_s_p50", "final_s_p95"), _seconds),
    ("final after endpoint, ms", ("after_endpoint_s_p50", "after_endpoint_s_p95"), _milliseconds),
    ("flicker", ("flicker",), _percent),
    ("revisions a second", ("revisions_per_s",), "{:.2f}".format),
    ("stable words revised", ("stable_revisions",), str),
    ("samples lost", ("lost",), str),
)
