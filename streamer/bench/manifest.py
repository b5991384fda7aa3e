"""Recordings with transcripts: a folder and the `manifest.tsv` in it."""

from __future__ import annotations

import contextlib
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer.audio import Samples
from streamer.errors import AudioError
from streamer.sources.file import File


@dataclass(frozen=True, slots=True)
class Recording:
    """A row of the manifest."""

    subset: str
    transcript: str
    path: Path

    def read(self) -> Samples:
        """The whole sound, 16 kHz mono.

        Raises:
            AudioError: It cannot be read.
        """
        source = File(self.path)
        source.open()
        with contextlib.closing(source):
            return np.concatenate([block.samples for block in iter(source.read, None)])


def read_manifest(
    folder: Path, *, subset: str | None = None, limit: int | None = None
) -> list[Recording]:
    """The recordings that a folder's `manifest.tsv` names; no sound is read yet.

    Args:
        folder: Where the manifest is. Its columns are separated by tabs; `path` (relative to the
            folder) and `transcript` are needed, `subset` groups the results.
        subset: Only these rows.
        limit: Only so many of the first.

    Raises:
        AudioError: There is no such manifest, or nothing in it.
    """
    path = folder / "manifest.tsv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except OSError as error:
        raise AudioError(
            "Expected a folder with a manifest.tsv (columns path and transcript), found none: "
            f"{path}: {error.strerror}."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise AudioError(f"{path}: expected text in UTF-8, found none: {error}.") from error
    if not rows or not {"path", "transcript"} <= set(rows[0]):
        raise AudioError(f"{path}: expected columns path and transcript, and a row at least.")
    for number, row in enumerate(rows, start=2):
        if row["path"] is None or row["transcript"] is None:
            raise AudioError(f"{path}: expected a path and a transcript in line {number}.")
    recordings = [
        Recording(row.get("subset") or "all", row["transcript"], folder / row["path"])
        for row in rows
    ]
    recordings = [one for one in recordings if subset in (None, one.subset)][:limit]
    if not recordings:
        raise AudioError(f"{path}: expected recordings of the subset {subset!r}, found none.")
    return recordings
