"""CTC decoding: log-probabilities -> words with times and confidence.

Greedy ("best path") decoding, Graves et al. 2006, https://doi.org/10.1145/1143844.1143891: take
the best label of every frame, merge repeats, drop blanks. Or, with a language model, the likeliest
text (`streamer.beam_search`). A model that writes text by itself, in a second pass, is believed as
long as its text fits what CTC has heard (`streamer.second_pass`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from streamer.alignment import Alignment, LogProbs, Run, Trellis, align
from streamer.beam_search import BeamSearch
from streamer.models.labels import Labels
from streamer.second_pass import CERTAIN, Spelled, is_believed, n_fitting, spell
from streamer.settings import NoiseGate, to_samples


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model makes of a span of sound.

    Attributes:
        log_probs: Log-probabilities of the labels in the valid frames.
        text: What its second pass has written, with case and marks; None from a model that has
            none.
        confidences: How sure the second pass is of each word of the text, as blanks part it, from 0
            to 1.
    """

    log_probs: LogProbs
    text: str | None = None
    confidences: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class DecodedWord:
    """A word between two sample indices: of the decoded span, or, once `shifted`, absolute ones.

    `confidence` tells how clearly its letters were heard: the geometric mean, over the letters, of
    the probability of any one letter in the frame where that is highest. A language model or a
    second pass may have made another letter of it. If a second pass has written the word, it is
    the mean of that and of how sure it was of that. `written` is the word with case and marks,
    where the model writes them. `is_doubted` says that with more of the sound a second pass may
    well write something else.
    """

    text: str
    start: int
    stop: int
    confidence: float
    written: str = ""
    is_doubted: bool = False

    def shifted(self, n_samples: int) -> DecodedWord:
        """The same word, its times counted from `n_samples` earlier."""
        return replace(self, start=self.start + n_samples, stop=self.stop + n_samples)

    def is_after(self, sample: int) -> bool:
        """Whether more of the word lies behind a sample than before it."""
        return self.start + self.stop > 2 * sample


@dataclass(frozen=True, slots=True)
class FrameGrid:
    """Where in the sound the frames of a model are.

    Attributes:
        hop: Samples from one frame to the next.
        receptive_field: Samples that one frame sees. Frame i is taken to speak for the `hop`
            samples in the middle of what it sees.
    """

    hop: int
    receptive_field: int

    def start_of(self, frame: int) -> int:
        """First sample that a frame speaks for."""
        return frame * self.hop + (self.receptive_field - self.hop) // 2


def decode(
    heard: Heard,
    labels: Labels,
    grid: FrameGrid,
    n_samples: int,
    search: BeamSearch | None = None,
    *,
    is_over: bool = True,
) -> list[DecodedWord]:
    """Decode into words.

    Args:
        heard: What the model has made of the span.
        labels: What the columns of the log-probabilities stand for.
        grid: Where the frames are in the sound.
        n_samples: Length of the decoded span; no word reaches beyond it.
        search: How the likeliest text is found; None decodes greedily.
        is_over: Whether nobody speaks at the span's end, so that all of a text can fit it.

    Returns:
        The words in order; their times never overlap.
    """
    log_probs = heard.log_probs
    if not len(log_probs):
        return []
    if heard.text is None:
        runs = _likeliest(log_probs, labels, search).runs
        return _words(runs, log_probs, labels, grid, n_samples)
    spelled = spell(heard.text, heard.confidences, labels)
    runs, n_believed = _believed(spelled, log_probs, labels, search, is_over)
    words = _words(runs, log_probs, labels, grid, n_samples)
    for i, word in enumerate(words):
        if i < n_believed:
            confidence = (word.confidence + spelled.confidences[i]) / 2
            is_doubted = confidence < CERTAIN
            words[i] = replace(
                word, written=spelled.written[i], confidence=confidence, is_doubted=is_doubted
            )
        else:
            words[i] = replace(word, is_doubted=True)
    return words


def _believed(
    spelled: Spelled,
    log_probs: LogProbs,
    labels: Labels,
    search: BeamSearch | None,
    is_over: bool,
) -> tuple[list[Run], int]:
    """As many words of a written text as fit the sound, then what CTC has heard behind them.

    Where the sound breaks off in mid-word, a text often goes wrong at its end: unsure words there
    are not taken, and nothing in their place.

    Returns:
        The letters, and how many of their words are of the text.
    """
    trellis = Trellis(log_probs, spelled.labels, labels.blank)
    if is_over:
        whole = trellis.whole()
        if whole is not None and _fits(spelled, whole, trellis.best, log_probs, labels, search):
            return whole.runs, len(spelled.written)
    else:
        complete = spelled.without_unsure_end()
        n_letters = len(complete.labels)
        said = trellis.beginning(n_letters)
        if said is not None and is_believed(
            complete.confidence, trellis.best - said.log_prob, n_letters
        ):
            return said.runs, len(complete.written)
    n_words = n_fitting(spelled, trellis)
    said = trellis.beginning(len(spelled.first(n_words).labels))
    if said is None:
        return _likeliest(log_probs, labels, search).runs, 0
    # Letters before the next word begins would be those of the last one, heard otherwise.
    _, _, after = said.runs[-1]
    begins = log_probs[after:].argmax(1) == labels.word_boundary
    if not begins.any():
        return said.runs, n_words
    after += int(begins.argmax())
    rest = _likeliest(log_probs[after:], labels, search).runs
    boundary = (labels.word_boundary, after, after + 1)
    shifted = [(label, first + after, last + after) for label, first, last in rest]
    return [*said.runs, boundary, *shifted], n_words


def _fits(
    spelled: Spelled,
    alignment: Alignment,
    best: float,
    log_probs: LogProbs,
    labels: Labels,
    search: BeamSearch | None,
) -> bool:
    # No text is likelier than the best path, so most need no search.
    n_letters = len(spelled.labels)
    if is_believed(spelled.confidence, best - alignment.log_prob, n_letters):
        return True
    likeliest = _likeliest(log_probs, labels, search)
    n_letters = max(n_letters, len(likeliest.runs))
    return is_believed(spelled.confidence, likeliest.log_prob - alignment.log_prob, n_letters)


def _likeliest(log_probs: LogProbs, labels: Labels, search: BeamSearch | None) -> Alignment:
    """What CTC has heard."""
    if search is None:
        return Alignment(_greedy(log_probs), float(log_probs.max(1).sum()))
    found = align(log_probs, search.best(log_probs), labels.blank)
    assert found is not None  # A hypothesis has grown along the frames, so there is room.
    return found


def _words(
    runs: list[Run],
    log_probs: LogProbs,
    labels: Labels,
    grid: FrameGrid,
    n_samples: int,
) -> list[DecodedWord]:
    """Put the letters together."""
    writes = [i for i in range(len(labels.symbols)) if i not in labels.silent]
    clearest = log_probs[:, [i for i in writes if i != labels.word_boundary]].max(1)

    words: list[DecodedWord] = []
    letters: list[Run] = []

    def finish_word() -> None:
        if not letters:
            return
        peaks = [clearest[first:after].max() for _, first, after in letters]
        start, stop = grid.start_of(letters[0][1]), grid.start_of(letters[-1][2])
        start = min(max(start, words[-1].stop if words else 0), n_samples)
        words.append(
            DecodedWord(
                text="".join(labels.symbols[label] for label, _, _ in letters),
                start=start,
                stop=min(max(stop, start), n_samples),
                confidence=float(np.exp(np.mean(peaks))),
            )
        )
        letters.clear()

    for run in runs:
        if run[0] == labels.word_boundary:
            finish_word()
        elif run[0] not in labels.silent:
            letters.append(run)
    finish_word()
    return words


def _greedy(log_probs: LogProbs) -> list[Run]:
    """Runs of one label: each is one letter, one word boundary or one silence."""
    best = np.argmax(log_probs, axis=1)
    starts = np.flatnonzero(np.diff(best, prepend=-1))
    stops = np.append(starts[1:], len(best))
    return list(zip(best[starts].tolist(), starts.tolist(), stops.tolist(), strict=True))


def spoken(words: Sequence[DecodedWord], gate: NoiseGate) -> list[DecodedWord]:
    """The words that somebody said, without those that a model hears in noise.

    A model that was made to hear letters hears some in typing, breath and music, too: one here, two
    there, and is not sure of them. Words that follow each other closely are judged together, as a
    phrase, because an unsure word among sure ones was said. The fewer letters a phrase has, the
    surer they must be: `max(least_confidence, lone_letter_confidence - (letters - 1) *
    doubt_per_letter)`, compared with the geometric mean of their probabilities. With a word among
    them of which a second pass is sure, too, `agreed_confidence` is enough.

    A phrase whose first words alone pass that and reach `sure_confidence` is spoken whatever comes
    after them: a clear word is not taken back for the noise that follows.

    Args:
        words: All that was decoded of an utterance so far, in order.
        gate: The thresholds.
    """
    pause = to_samples(gate.phrase_pause_s)
    phrases: list[list[DecodedWord]] = []
    for word in words:
        if phrases and word.start - phrases[-1][-1].stop < pause:
            phrases[-1].append(word)
        else:
            phrases.append([word])
    return [word for phrase in phrases if _is_spoken(phrase, gate) for word in phrase]


def _is_spoken(phrase: list[DecodedWord], gate: NoiseGate) -> bool:
    n_letters, log_confidence = 0, 0.0
    is_agreed = any(word.written and not word.is_doubted for word in phrase)
    lone, doubt = gate.lone_letter_confidence, gate.doubt_per_letter
    for word in phrase:
        n_letters += len(word.text)
        log_confidence += len(word.text) * math.log(max(word.confidence, 1e-9))
        needed = max(lone - (n_letters - 1) * doubt, gate.least_confidence)
        needed = min(needed, gate.agreed_confidence) if is_agreed else needed
        if word is not phrase[-1]:
            needed = max(needed, gate.sure_confidence)
        if math.exp(log_confidence / n_letters) >= needed:
            return True
    return False


def longest_gap(
    words: list[DecodedWord], begin: int, start: int, stop: int
) -> tuple[int, int] | None:
    """The longest pause before, between or after words.

    The model hears pauses better than any VAD: between two words it says blank.

    Args:
        words: What was decoded, in order.
        begin: Where the decoded span begins.
        start: Only what lies behind it of a pause counts.
        stop: A pause begins before it, and the one after the last word ends there.

    Returns:
        The pause's first sample and the one after its last; None when nothing was said.
    """
    if not words:
        return None
    edges = [(a.stop, b.start) for a, b in pairwise(words)]
    edges += [(begin, words[0].start), (words[-1].stop, stop)]
    gaps = [(max(a, start), b) for a, b in edges if b > start and a <= b and a < stop]
    return max(gaps, key=lambda gap: gap[1] - gap[0], default=None)
