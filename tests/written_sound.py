"""Sound that can be read: a fake model, and a VAD for it, that hear exactly what was written.

One character is one frame of 320 samples of one amplitude: a letter, a space between words, `_` a
pause in speech, `.` silence. So the right transcript of any span is known.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streamer.audio import Samples
from streamer.decoder import FrameGrid, Heard
from streamer.models.labels import Labels
from streamer.settings import NoiseGate, Settings

FRAME = 320
ALPHABET = "_ ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # `_` is the blank, the space the word boundary
PROBABILITY = 0.99


def frames(n_frames: int) -> float:
    """So many frames as seconds."""
    return n_frames * FRAME / 16_000


def written(text: str) -> Samples:
    """The sound of a text. Doubled letters would be heard as one."""
    amplitudes = [0.0 if character == "." else _amplitude(character) for character in text]
    return np.repeat(np.array(amplitudes, np.float32), FRAME)


def _amplitude(character: str) -> float:
    return (ALPHABET.index(character) + 1) / 64


class WrittenModel:
    """A `streamer.recogniser.Model` that reads written sound.

    Attributes:
        heard: The lengths of all spans that it was given, in samples.
        hears_instead: Words that it takes for others of the same length from now on.
        warmed_up: How often it was warmed up.
        n_ready: What is longer would wait for the warm-up.
    """

    name = "written"
    labels = Labels.from_symbols(["<pad>", "|", *ALPHABET[2:]])
    grid = FrameGrid(hop=FRAME, receptive_field=FRAME)
    stable_lag_s = 0.8
    noise_gate = NoiseGate()
    needs_context = False

    def __init__(self, longest: int = 10_000 * FRAME) -> None:
        self.longest = longest
        self.heard: list[int] = []
        self.hears_instead: dict[str, str] = {}
        self.warmed_up = 0
        self.n_ready = longest

    def hear(self, utterance: Samples) -> Heard:
        assert len(utterance) <= self.longest
        self.heard.append(len(utterance))
        # Not in a frame's middle: a span may begin there after a cut.
        values = utterance[FRAME // 4 :: FRAME]
        best = np.maximum(np.rint(values * 64).astype(int) - 1, 0)
        if self.hears_instead:
            text = "".join(ALPHABET[index] for index in best)
            for word, other in self.hears_instead.items():
                text = text.replace(word, other)
            best = np.array([ALPHABET.index(character) for character in text])
        n_labels = len(self.labels.symbols)
        probs = np.full((len(best), n_labels), (1 - PROBABILITY) / (n_labels - 1), np.float32)
        probs[np.arange(len(best)), best] = PROBABILITY
        return Heard(np.log(probs))

    def is_ready(self, n_samples: int) -> bool:
        return n_samples <= self.n_ready

    def warm_up(self, keep_going: Callable[[int, int], bool]) -> None:
        self.warmed_up += keep_going(1, 1)


class WrittenVad:
    """A `streamer.vad.Vad` for written sound: everything but silence is speech."""

    frame_length = FRAME

    def __init__(self, settings: Settings) -> None:
        """Take the settings that a VAD takes."""

    def push(self, frame: Samples) -> bool:
        return bool(frame.any())

    def reset(self) -> None:
        """There is nothing to forget."""
