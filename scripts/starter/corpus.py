"""What there is to learn from: recordings with transcripts, and who speaks."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile

LETTERS = re.compile(r"[^A-Z' ]")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording of one speaker.

    Attributes:
        path: Any format libsndfile reads, 16 kHz or not.
        subset: What kind of speech it is; figures are reported for each.
        speaker: Unique across all subsets.
        transcript: Upper case; letters, apostrophes and single spaces. Empty for noise.
        duration_s: Its length in seconds.
    """

    path: Path
    subset: str
    speaker: str
    transcript: str
    duration_s: float


def read_folder(folder: Path) -> list[Utterance]:
    """List the utterances of a folder with a `manifest.tsv`, or laid out as LibriSpeech is.

    A manifest has a heading and at least the columns `path` (relative to the folder), `subset`,
    `speaker` and `transcript`.
    """
    manifest = folder / "manifest.tsv"
    utterances = list(_manifest(manifest) if manifest.is_file() else _librispeech(folder))
    if not utterances:
        raise SystemExit(
            f"{folder} holds no speech: expected a manifest.tsv, or folders with *.trans.txt as "
            "LibriSpeech has them."
        )
    return utterances


def _manifest(manifest: Path) -> Iterator[Utterance]:
    # Not the csv module: quotation marks in transcripts are letters to be dropped, not quoting.
    heading, *rows = manifest.read_text(encoding="utf-8").splitlines()
    columns = heading.split("\t")
    missing = {"path", "subset", "speaker", "transcript"} - set(columns)
    if missing:
        raise SystemExit(f"{manifest} lacks the columns {', '.join(sorted(missing))}.")
    for line in rows:
        row = dict(zip(columns, line.split("\t"), strict=False))
        path = manifest.parent / row["path"]
        yield Utterance(
            path, row["subset"], row["speaker"], normalise(row["transcript"]), _duration_s(path)
        )


def _librispeech(folder: Path) -> Iterator[Utterance]:
    """`SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt` beside the recordings that it transcribes."""
    for transcripts in sorted(folder.rglob("*.trans.txt")):
        for line in transcripts.read_text(encoding="utf-8").splitlines():
            name, _, transcript = line.partition(" ")
            path = transcripts.parent / f"{name}.flac"
            subset = transcripts.parents[2].name
            speaker = f"{subset}-{name.partition('-')[0]}"
            yield Utterance(path, subset, speaker, normalise(transcript), _duration_s(path))


def _duration_s(path: Path) -> float:
    return float(soundfile.info(str(path)).duration)


def normalise(transcript: str) -> str:
    """Bring a transcript to what the labels can write.

    Raises:
        ValueError: It has digits; how they were spoken cannot be known.
    """
    if re.search(r"\d", transcript):
        raise ValueError(f"Expected numbers written as words, found {transcript!r}.")
    text = transcript.upper().replace("’", "'").replace("-", " ").replace("—", " ")
    return " ".join(LETTERS.sub("", text).split())


def development_speakers(utterances: Iterable[Utterance], fraction: float) -> set[str]:
    """Choose speakers to hold out, the same ones every time.

    Of each subset, speakers are taken in the order of a hash of their names, as long as they fit
    into `fraction` of its time. A subset of few speakers keeps them all for training.
    """
    time_s: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for utterance in utterances:
        time_s[utterance.subset][utterance.speaker] += utterance.duration_s
    chosen: set[str] = set()
    for speakers in time_s.values():
        left_s = fraction * sum(speakers.values())
        for speaker in sorted(speakers, key=_hash):
            if speakers[speaker] <= left_s:
                left_s -= speakers[speaker]
                chosen.add(speaker)
    return chosen


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
