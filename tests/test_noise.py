"""Sounds without words give none, and words in them are still heard."""

from itertools import islice

import numpy as np
import pytest
from speech import transcript
from written_sound import WrittenModel

from streamer import Final, Partial, Pipeline, Settings
from streamer.audio import Samples, level_db
from streamer.bench import measure_noise
from streamer.bench.noises import KINDS, LEVELS_DB, noise, passages
from streamer.models.compiled import CompiledModel
from streamer.settings import SAMPLE_RATE, to_samples

ALL = sorted(KINDS)
SOUNDING = sorted(set(KINDS) - {"silence"})


def sound(kind: str, duration_s: float, level_db: float, seed: int = 0) -> Samples:
    return noise(kind, to_samples(duration_s), level_db, np.random.default_rng(seed))


def shown(samples: Samples, model: CompiledModel, **changes: object) -> list[str]:
    """Every text that was displayed."""
    pipeline = Pipeline(model, Settings(**changes))  # type: ignore[arg-type]
    events = pipeline.push(samples) + pipeline.flush()
    return [event.text for event in events if isinstance(event, Partial | Final) and event.text]


@pytest.mark.parametrize("kind", ALL)
def test_a_sound_is_the_same_every_time(kind: str) -> None:
    first, again = (list(islice(passages(kind), 2)) for _ in range(2))
    for (level, samples), (level_again, samples_again) in zip(first, again, strict=True):
        assert level == level_again
        assert np.array_equal(samples, samples_again)
    if kind != "silence":
        (_, samples), (_, other) = first[0], next(passages(kind, seed=1))
        assert not np.array_equal(samples, other)


@pytest.mark.parametrize("kind", SOUNDING)
def test_the_level_is_that_of_the_loudest_tenth_of_a_second(kind: str) -> None:
    samples = sound(kind, 4.0, -40.0)
    window = to_samples(0.1)
    loudest = max(level_db(samples[at : at + window]) for at in range(0, len(samples), 160))
    assert loudest == pytest.approx(-40.0, abs=1.0)
    assert samples.dtype == np.float32


def test_a_loud_sound_is_clipped() -> None:
    assert np.abs(sound("white", 1.0, -6.0)).max() == 1.0


def test_every_level_has_its_turn() -> None:
    assert {level for level, _ in islice(passages("silence"), len(LEVELS_DB))} == set(LEVELS_DB)


@pytest.mark.parametrize("kind", ALL)
def test_no_kind_of_noise_gives_a_word(kind: str, starter: CompiledModel) -> None:
    quiet = sound("room", 1.0, -75.0)
    pieces = [quiet, sound(kind, 4.0, -50.0), quiet, sound(kind, 4.0, -15.0, seed=1), quiet]
    assert shown(np.concatenate(pieces), starter, partial_interval_s=0.5) == []


@pytest.mark.parametrize("kind", ["fan", "chords"])
def test_words_in_noise_are_still_heard(kind: str, sample: Samples, starter: CompiledModel) -> None:
    background = sound(kind, len(sample) / SAMPLE_RATE, level_db(sample) - 20.0)
    words = shown(sample + background, starter, partials=False)
    right = set(transcript().split()) & set(" ".join(words).split())
    assert len(right) > 0.5 * len(set(transcript().split()))


def test_the_benchmark_counts_the_words_that_a_sure_model_hears_in_noise() -> None:
    found = measure_noise(WrittenModel(), Settings(), 0.4, ["silence", "breath"])
    assert found["silence"].words == found["silence"].utterances == 0
    breath = found["breath"]
    assert breath.audio_s == pytest.approx(24.0)
    assert 0 < breath.taken_s < breath.audio_s
    assert breath.words > breath.utterances > 0
    assert breath.words_per_hour == pytest.approx(breath.words * 3600 / 24.0)
    assert measure_noise(WrittenModel(), Settings(), 1e-9, ["breath"])["breath"].audio_s > 0
