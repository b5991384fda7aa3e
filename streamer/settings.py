"""Every setting and its default, with the reason for it.

Units are in the names: `_s` seconds, `_db` decibels, `_ms` milliseconds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any

SAMPLE_RATE = 16_000  # Hz, the one rate inside: wav2vec 2.0 and WebRTC VAD both work at it.
BEHIND_S, CAUGHT_UP_S = 1.0, 0.5  # A live model lags from the one on, until below the other.
CHANGEABLE = ("end_silence_s", "trailing_pad_s", "partials")
PRECISIONS = ("auto", "float32", "bfloat16")
# Speech that has not yet been long enough to be an utterance is forgotten after such a silence.
CANDIDATE_SILENCE_S = 0.5
NUMBERS: dict[str, type] = {"bool": bool, "int": Integral, "float": Real}


def to_samples(seconds: float) -> int:
    """Convert a duration to samples, to the nearest one."""
    return round(seconds * SAMPLE_RATE)


def to_seconds(n_samples: int) -> float:
    """Convert an absolute sample index, or a number of samples, to seconds."""
    return n_samples / SAMPLE_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseGate:
    """How sure a model must be of a phrase, or it was noise; see `streamer.decoder.spoken`.

    Chosen so that what models hear in made noise stays below.

    Attributes:
        lone_letter_confidence: So sure of a single letter,
        doubt_per_letter: so much less for each further one,
        least_confidence: but so sure at least. All three 0 let everything through.
        agreed_confidence: So sure of a phrase with a word that a second pass does not doubt. In
            2.5 hours of noise `starter` heard none, and of speech that was badly understood
            something is better than nothing.
        sure_confidence: A phrase that begins so surely is no noise, however it goes on.
        phrase_pause_s: Words with less between them are one phrase.
    """

    lone_letter_confidence: float = 0.97
    doubt_per_letter: float = 0.04
    least_confidence: float = 0.65
    agreed_confidence: float = 0.4
    sure_confidence: float = 0.9
    phrase_pause_s: float = 1.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value, most = getattr(self, name), 600.0 if name.endswith("_s") else 1.0
            if not (isinstance(value, Real) and 0.0 <= float(value) <= most):
                raise ValueError(f"Expected {name} from 0 to {most:g}, found {value!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How speech is found, cut and recognised. Values out of range raise `ValueError`.

    Attributes:
        vad_frame_ms: Length of a VAD frame. WebRTC VAD takes 10, 20 or 30; 20 is what a
            microphone block holds.
        vad_mode: How eagerly WebRTC VAD calls a frame noise, 0 to 3.
        noise_window_s: The noise floor is the quietest moment of this window. Long enough to
            hold a gap between words, short enough to learn a fan that is switched on.
        noise_margin_db: A frame is speech only when it is this much louder than the noise floor.
            Steady noise varies by about 3 dB from frame to frame.
        quietest_speech_db: A frame below this level (dB of full scale) is never speech.
        onset_frames, onset_window: An utterance may begin when so many frames of the last
            `onset_window` are speech. A click fills fewer.
        pre_roll_s: Sound taken in before the onset: soft first consonants are below the VAD.
        min_speech_s: An utterance with less speech in it is ignored.
        end_silence_s: Silence that ends an utterance (the hangover).
        trailing_pad_s: Silence kept after the last speech frame. When so much has been heard,
            the final can be computed in advance.
        longest_piece_s: Longer utterances are cut at a pause. 246 000 samples, the length of the
            published wav2vec2-960h; no model is given more than its longest bucket.
        cut_window_s: The pause to cut at is looked for in so much of the piece's end.
        cut_pause_s: There, a pause as long as this between stable words is taken at once.
        partials: Whether to emit partial transcripts.
        first_partial_interval_s: New sound between two attempts, as long as nothing is shown and
        first_partial_within_s: the utterance has not been going on for so long: then it is noise.
        partial_interval_s: New sound between two partials. They come less often when the
            machine does not keep up.
        partial_window_s: What a partial decodes of a long utterance: when more was said, only
            what follows the last stable word, and `context_s` before it. Less where the model is
            slow.
        context_s: Sound before what is decoded, for the model to hear where it is: before a
            partial's first new word, and before a cut.
        stable_agreement: A word becomes stable when so many successive hypotheses agree on it
        stable_lag_s: and when it ended so long before the newest sound; None leaves it to the
            model. With less, final transcripts suffer: what is stable cannot be corrected.
            (Measured on read speech with a strong CTC model: 3 and 0.8 s cost 0.1 to 0.3 points of
            WER, 2 and 0.3 s cost 15.)
        shown_lag_s: Another word is shown when two hypotheses agree on it and it ended so long
            before the newest sound. 0.3 s removes nine in ten spurious edits (Baumann et al.
            2009, https://aclanthology.org/N09-1043/).
        first_word_confidence: An utterance's first word is shown at once with this confidence.
        noise_gate: How sure the model must be of words, or they were noise; None leaves it to the
            model.
        ring_s: Sound that is kept while it waits for the model. A live source loses sound beyond
            it, every other source waits.
        language_model: Whether the words and pairs of words of English help to find the text, where
            the model writes English letters (`streamer.beam_search`).
        jit_compile: Whether XLA compiles the model; None leaves it to the model.
        precision: `float32`, or `bfloat16` for `starter`, wav2vec 2.0 and HuBERT: less memory, and
            faster on processors with instructions for it (AVX512_BF16, AMX), slower on all others.
            `auto` is bfloat16 for `starter` on such a processor, unless XLA is to compile its
            encoder, else float32.
    """

    vad_frame_ms: int = 20
    vad_mode: int = 2
    noise_window_s: float = 3.0
    noise_margin_db: float = 6.0
    quietest_speech_db: float = -65.0
    onset_frames: int = 3
    onset_window: int = 5
    pre_roll_s: float = 0.5
    min_speech_s: float = 0.15
    end_silence_s: float = 0.5
    trailing_pad_s: float = 0.2
    longest_piece_s: float = 15.375
    cut_window_s: float = 6.0
    cut_pause_s: float = 0.3
    partials: bool = True
    first_partial_interval_s: float = 0.05
    first_partial_within_s: float = 3.0
    partial_interval_s: float = 0.25
    partial_window_s: float = 6.0
    context_s: float = 2.0
    stable_agreement: int = 3
    stable_lag_s: float | None = None
    shown_lag_s: float = 0.4
    first_word_confidence: float = 0.6
    noise_gate: NoiseGate | None = None
    ring_s: float = 60.0
    language_model: bool = True
    jit_compile: bool | None = None
    precision: str = "auto"

    def __post_init__(self) -> None:
        def check(holds: bool, expected: str, found: object) -> None:
            if not holds:
                raise ValueError(f"Expected {expected}, found {found}.")

        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            kind = str(field.type).removesuffix(" | None")
            if kind in NUMBERS and (value is not None or kind == field.type):
                is_one = isinstance(value, NUMBERS[kind]) and (kind == "bool") == (
                    isinstance(value, bool)  # which Python takes for an integer
                )
                check(is_one, f"{name} as {field.type}", repr(value))
            check(not isinstance(value, Real) or math.isfinite(value), f"a finite {name}", value)
        is_gate = self.noise_gate is None or isinstance(self.noise_gate, NoiseGate)
        check(is_gate, "noise_gate as a NoiseGate or None", repr(self.noise_gate))
        check(self.vad_frame_ms in (10, 20, 30), "vad_frame_ms 10, 20 or 30", self.vad_frame_ms)
        check(self.precision in PRECISIONS, "precision " + " or ".join(PRECISIONS), self.precision)
        check(self.vad_mode in (0, 1, 2, 3), "vad_mode 0, 1, 2 or 3", self.vad_mode)
        check(
            1 <= self.onset_frames <= self.onset_window,
            "onset_frames from 1 to onset_window",
            f"{self.onset_frames} of {self.onset_window}",
        )
        for name, least, most in (
            ("noise_window_s", 0.05, 600.0),
            ("pre_roll_s", 0.0, 10.0),
            ("min_speech_s", 0.0, 0.5),
            ("end_silence_s", 0.05, 10.0),
            ("trailing_pad_s", 0.0, 10.0),
            ("longest_piece_s", 0.05, 600.0),
            ("cut_window_s", 0.05, 600.0),
            ("cut_pause_s", 0.0, 600.0),
            ("first_partial_interval_s", 0.05, 600.0),
            ("first_partial_within_s", 0.0, 600.0),
            ("partial_interval_s", 0.05, 600.0),
            ("partial_window_s", 0.05, 600.0),
            ("context_s", 0.0, 600.0),
            ("stable_agreement", 2, 10),
            ("shown_lag_s", 0.0, 600.0),
            ("first_word_confidence", 0.0, 1.0),
        ):
            value = getattr(self, name)
            check(least <= value <= most, f"{name} from {least} to {most}", value)
        if self.stable_lag_s is not None:
            check(
                0.0 <= self.stable_lag_s <= 600.0, "stable_lag_s from 0 to 600", self.stable_lag_s
            )
        check(
            self.trailing_pad_s <= self.end_silence_s,
            f"trailing_pad_s of at most end_silence_s ({self.end_silence_s})",
            self.trailing_pad_s,
        )
        # Two pieces, of which one waits for the model, and all that may come before and after one.
        least_s = 2 * self.longest_piece_s + self.pre_roll_s + self.end_silence_s
        least_s += self.onset_window * self.vad_frame_ms / 1000
        least_s += self.longest_candidate_s + self.context_s
        check(
            least_s <= self.ring_s <= 86_400.0,
            f"ring_s from {least_s:g} to a day's 86400",
            self.ring_s,
        )

    @property
    def longest_candidate_s(self) -> float:
        """How long it may take at most until enough speech was heard, or it was none."""
        n_frames = 1 + 1000 * self.min_speech_s / self.vad_frame_ms
        silence_s = min(CANDIDATE_SILENCE_S, self.end_silence_s)
        return n_frames * (silence_s + self.vad_frame_ms / 1000)

    def stable_lag_with(self, model_lag_s: float) -> float:
        """`stable_lag_s`, or what the model asks for where that is None."""
        return model_lag_s if self.stable_lag_s is None else self.stable_lag_s

    def changed(self, **changes: Any) -> Settings:
        """These settings with some changed of those that can be changed while sound is heard.

        Raises:
            ValueError: A setting is not in `CHANGEABLE`, or out of range.
        """
        if fixed := sorted(changes.keys() - set(CHANGEABLE)):
            raise ValueError(
                f"Expected settings of {', '.join(CHANGEABLE)}, found {', '.join(fixed)}: these "
                "stay as they are while sound is heard."
            )
        return replace(self, **changes)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Settings:
        """Take the settings for a use: one of `PRESETS`, with single settings changed.

        Raises:
            ValueError: There is no preset of that name.
        """
        try:
            return replace(cls(**PRESETS[name]), **changes)
        except KeyError:
            raise ValueError(
                f"Expected a preset of {', '.join(PRESETS)}, found {name!r}."
            ) from None


# How long a pause may be before the utterance is over: one thinks while dictating, a command is
# said in one breath.
PRESETS: dict[str, dict[str, Any]] = {
    "captions": {"end_silence_s": 0.5},
    "dictation": {"end_silence_s": 0.8},
    "command": {"end_silence_s": 0.3},
}


LANGUAGE = re.compile("[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*")  # as in BCP 47, and in locales
NUMBER_STYLES = ("words", "prose", "digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStyle:
    """How words become text to read. Values out of range raise `ValueError`.

    Attributes:
        numbers: `words` leaves numbers as they were said, `prose` writes digits from ten up and
            for any amount, time or decimal, but leaves a run that is not one number, like "one
            twenty"; `digits` for any number but "one" that stands for itself: "one 20".
        sentence_ends: Whether pauses end sentences. While one dictates, a pause is for thinking.
        sentence_pause_s: Such a pause inside an utterance ends a sentence. In read speech whose
            text is known, 12 of 16 full stops but 8 of 81 commas took so long; at 0.6 s half of
            the commas did.
        language: The code of the language spoken, as `en` or `de-AT`. The rules about words are
            English; of any other language they leave all words alone, but for case and sentence
            ends.
    """

    numbers: str = "prose"
    sentence_ends: bool = True
    sentence_pause_s: float = 0.8
    language: str = "en"

    def __post_init__(self) -> None:
        if self.numbers not in NUMBER_STYLES:
            raise ValueError(
                f"Expected numbers as {', '.join(NUMBER_STYLES)}, found {self.numbers!r}."
            )
        if not 0.0 < self.sentence_pause_s < math.inf:
            raise ValueError(f"Expected a sentence_pause_s above 0, found {self.sentence_pause_s}.")
        if LANGUAGE.fullmatch(self.language) is None:
            raise ValueError(
                f"Expected the code of a language, as en or de-AT, found {self.language!r}."
            )

    @property
    def is_english(self) -> bool:
        """Whether the rules about words apply."""
        return re.split("[-_]", self.language.lower())[0] in ("en", "eng")
