#!/usr/bin/env python3
"""Have a synthesiser read texts, for more words than any recordings at hand have.

    scripts/starter/say.py FOLDER /usr/share/games/fortunes/* --hours 3

FOLDER then holds recordings with a manifest, for `prepare.py`. The voice is that of `hibari-tts`
(Apache 2.0), at another pace and, by resampling, another pitch for each sentence. Sentences with a
digit or with initials are left out: how they are read cannot be known.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
from corpus import normalise
from hibari import Hibari
from tqdm import tqdm

PLAIN = re.compile(r"[A-Z][A-Za-z' ,;-]+[.?!]")
# Initials, and quotation marks that look like apostrophes.
UNCLEAR = re.compile(r"[A-Z]{2}|\b[B-HJ-Z]\b|\B'|'\B")
WORDS = range(3, 30)
PITCHES = (0.8, 1.2)
PACES = (0.8, 1.3)
COLUMNS = ("path", "subset", "speaker", "transcript")


def sentences(paths: Sequence[Path]) -> Iterator[str]:
    """What can be read aloud as it is written, each sentence once."""
    seen: set[str] = set()
    for path in paths:
        text = " ".join(path.read_text(encoding="utf-8", errors="ignore").split())
        for sentence in re.split(r"(?<=[.?!]) ", text):
            is_plain = PLAIN.fullmatch(sentence) and not UNCLEAR.search(sentence)
            if is_plain and len(sentence.split()) in WORDS and sentence not in seen:
                seen.add(sentence)
                yield sentence


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the recordings go")
    parser.add_argument("texts", type=Path, nargs="+", help="plain text files")
    parser.add_argument("--hours", type=float, default=3.0, help="how much to make")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    found = list(sentences([path for path in arguments.texts if path.is_file()]))
    rng.shuffle(found)
    voice = Hibari()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows = ["\t".join(COLUMNS)]
    wanted_s = 3_600 * arguments.hours
    said_s = 0.0
    with tqdm(total=round(wanted_s), unit="s") as shown:
        for number, sentence in enumerate(found):
            pitch = rng.uniform(*PITCHES)
            pace = rng.uniform(*PACES)
            samples = voice(sentence, speed=pace / pitch, seed=number)
            # Played faster, a voice is higher.
            samples = soxr.resample(samples, voice.sample_rate * pitch, 16_000)
            name = f"{number:05}.flac"
            soundfile.write(arguments.folder / name, samples, 16_000)
            rows.append("\t".join((name, "synthetic", "hibari-heart", normalise(sentence))))
            said_s += len(samples) / 16_000
            shown.update(len(samples) / 16_000)
            if said_s >= wanted_s:
                break
    (arguments.folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
