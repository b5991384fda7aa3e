"""What streaming is measured against, recording by recording: neither knows the VAD."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamer.audio import Samples, level_db
from streamer.beam_search import search_for
from streamer.decoder import DecodedWord, decode, longest_gap
from streamer.recogniser import Model
from streamer.settings import Settings, to_samples, to_seconds

# Speech is where a recording comes within so many decibels of its loudest 10 ms, and is so much
# louder than its quietest tenth.
SPEECH_WITHIN_DB = 35.0
ABOVE_NOISE_DB = 10.0
# Breath and rustling are often that loud, too. So what is so much quieter than the beginning of the
# first word is before it, and than the end of the last one, behind it.
WORD_WITHIN_DB = 25.0
WORD_EDGE_FRAMES = 15
LEVEL_FRAME = 160


def speech_span(samples: Samples, words: Sequence[DecodedWord]) -> tuple[float, float] | None:
    """When speech begins and ends in a recording, in seconds.

    Speech is where it comes within `SPEECH_WITHIN_DB` of the loudest and is `ABOVE_NOISE_DB` louder
    than the quietest tenth, from the first word to the last, with what leads into the one and out
    of the other without becoming `WORD_WITHIN_DB` quieter than their edges.

    Args:
        samples: The recording.
        words: What it decodes to, whole.

    Returns:
        None where that tells nothing: the recording is too short or noisy, has no words, or speech
        reaches to its very end.
    """
    n_frames = len(samples) // LEVEL_FRAME
    if n_frames < 10 or not words:
        return None
    frames = samples[: n_frames * LEVEL_FRAME].reshape(n_frames, LEVEL_FRAME)
    levels = np.array([level_db(frame) for frame in frames])
    threshold = max(levels.max() - SPEECH_WITHIN_DB, np.percentile(levels, 10) + ABOVE_NOISE_DB)
    if threshold > levels.max() - ABOVE_NOISE_DB:
        return None
    loud = np.flatnonzero(levels > threshold)
    if loud[-1] == n_frames - 1:
        return None
    onset = _lead_in(levels, words[0].start // LEVEL_FRAME)
    end = n_frames - _lead_in(levels[::-1], n_frames - -(-words[-1].stop // LEVEL_FRAME))
    onset, end = max(onset, int(loud[0])), min(end, int(loud[-1]) + 1)
    return to_seconds(onset * LEVEL_FRAME), to_seconds(end * LEVEL_FRAME)


def _lead_in(levels: npt.NDArray[np.float64], first: int) -> int:
    """Where the sound rises of which a word makes the frame `first`."""
    first = min(max(first, 0), len(levels) - 1)
    threshold = levels[first : first + WORD_EDGE_FRAMES].max() - WORD_WITHIN_DB
    quiet = np.flatnonzero(levels[:first] <= threshold)
    return int(quiet[-1]) + 1 if len(quiet) else 0


def decode_whole(samples: Samples, model: Model, settings: Settings) -> list[DecodedWord]:
    """The words of a recording that is there from beginning to end, without VAD or endpoints.

    In one piece, if the model takes so much at once (its longest bucket). Else in pieces as long as
    it takes, each ended at the longest pause in the last `cut_window_s` of it.
    """
    search = search_for(model.labels) if settings.language_model else None
    lag = min(to_samples(settings.stable_lag_with(model.stable_lag_s)), model.longest // 4)
    words: list[DecodedWord] = []
    start = 0
    while True:
        piece = samples[start : start + model.longest]
        stop = start + len(piece)
        found = decode(model.hear(piece), model.labels, model.grid, len(piece), search)
        found = [word.shifted(start) for word in found]
        if stop == len(samples):
            return words + found
        edge = stop - lag
        first = max(start + model.longest // 2, stop - to_samples(settings.cut_window_s))
        pause = longest_gap(found, start, first, edge)
        cut = sum(pause) // 2 if pause else edge
        words += [word for word in found if not word.is_after(cut)]
        start = cut
