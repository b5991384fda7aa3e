"""The core with the real model on real speech: streaming equals offline."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from event_guarantees import check_event_guarantees
from rapidfuzz.distance import Levenshtein
from speech import excerpt, sentences, transcript, white_noise

from streamer import (
    AudioError,
    Closed,
    Event,
    Final,
    NoiseGate,
    Partial,
    Pipeline,
    Settings,
    Transcriber,
)
from streamer.audio import Samples
from streamer.models.compiled import CompiledModel
from streamer.settings import SAMPLE_RATE

FINALS_ONLY = Settings(partials=False)


def transcribe(
    model: CompiledModel,
    chunks: Iterable[npt.ArrayLike],
    settings: Settings | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> list[Event]:
    """All events of one stream; checks what is guaranteed of them."""
    pipeline = Pipeline(model, settings)
    events = [event for chunk in chunks for event in pipeline.push(chunk, sample_rate)]
    events += pipeline.flush()
    check_event_guarantees(events)
    return events


def finals(events: Iterable[Event]) -> list[Final]:
    return [event for event in events if isinstance(event, Final)]


def text(events: Iterable[Event]) -> str:
    return " ".join(final.text for final in finals(events))


def chunks(samples: npt.NDArray, largest: int, seed: int) -> list[npt.NDArray]:
    """The samples in chunks of random lengths, some of them empty."""
    lengths = np.random.default_rng(seed).integers(0, largest, 2 * len(samples) // largest + 2)
    return np.split(samples, np.minimum(np.cumsum(lengths), len(samples)))


def word_error_rate(reference: str, hypothesis: str) -> float:
    return Levenshtein.distance(reference.split(), hypothesis.split()) / len(reference.split())


@pytest.fixture(scope="module")
def sample_events(starter: CompiledModel, sample: Samples) -> list[Event]:
    """Of the whole sample, pushed at once."""
    return transcribe(starter, [sample])


def test_the_finals_are_what_was_said(sample_events: list[Event]) -> None:
    assert len(finals(sample_events)) == len(sentences()) == 7
    assert word_error_rate(transcript(), text(sample_events)) < 0.25


def test_each_final_covers_its_sentence(sample_events: list[Event]) -> None:
    for final, (start_s, end_s) in zip(finals(sample_events), sentences(), strict=True):
        assert start_s - 0.6 < final.start_s <= start_s
        assert end_s <= final.end_s < end_s + 0.3
        assert start_s - 0.1 < final.words[0].start_s < start_s + 0.3
        assert end_s - 0.4 < final.words[-1].end_s < end_s + 0.1
        assert final.model == "starter"


def test_partials_grow_towards_each_final(sample_events: list[Event]) -> None:
    for final in finals(sample_events):
        partials = [
            event
            for event in sample_events
            if isinstance(event, Partial) and event.utterance == final.utterance
        ]
        assert len(partials) > 3
        assert any(partial.stable_text for partial in partials)
        assert all(before.end_s < after.end_s for before, after in pairwise(partials))


def test_the_final_is_there_when_the_hangover_is_over(sample_events: list[Event]) -> None:
    assert all(final.latency_s == 0.5 for final in finals(sample_events))


def test_events_do_not_depend_on_chunking(
    starter: CompiledModel, sample: Samples, sample_events: list[Event]
) -> None:
    assert transcribe(starter, chunks(sample, 9_000, seed=0)) == sample_events


@pytest.fixture(scope="module")
def finals_in_one(starter: CompiledModel, sample: Samples) -> list[Event]:
    events = transcribe(starter, [sample], FINALS_ONLY)
    assert not any(isinstance(event, Partial) for event in events)
    return events


@pytest.mark.parametrize("seed", range(4))
def test_finals_do_not_depend_on_chunking(
    starter: CompiledModel, sample: Samples, finals_in_one: list[Event], seed: int
) -> None:
    largest = (5, 500, 50_000, 200_000)[seed]
    assert transcribe(starter, chunks(sample, largest, seed), FINALS_ONLY) == finals_in_one


def test_partials_change_few_words_of_the_finals(
    sample_events: list[Event], finals_in_one: list[Event]
) -> None:
    with_partials, without = finals(sample_events), finals(finals_in_one)
    assert [(f.start_s, f.end_s) for f in with_partials] == [(f.start_s, f.end_s) for f in without]
    # What has become stable is not corrected any more.
    texts = zip(with_partials, without, strict=True)
    assert sum(a.text == b.text for a, b in texts) >= len(without) - 1


@pytest.mark.parametrize("cut_s", [0.0, 0.00001, 0.5013, 2.7, 3.4, 6.49])
def test_events_do_not_depend_on_a_single_cut(starter: CompiledModel, cut_s: float) -> None:
    sound = excerpt(0.0, 6.5)
    cut = round(cut_s * SAMPLE_RATE)
    settings = Settings(partial_interval_s=0.5)
    whole = transcribe(starter, [sound], settings)
    assert len(finals(whole)) == 2
    assert transcribe(starter, [sound[:cut], sound[cut:]], settings) == whole


def test_events_are_the_same_one_sample_at_a_time(starter: CompiledModel) -> None:
    sound = excerpt(0.0, 3.3)
    whole = transcribe(starter, [sound])
    assert len(finals(whole)) == 1
    assert transcribe(starter, sound.reshape(-1, 1)) == whole


def test_events_come_as_early_as_they_can(starter: CompiledModel) -> None:
    pipeline = Pipeline(starter)
    for block in np.split(excerpt(0.0, 3.2), 160):
        for event in pipeline.push(block):
            captured_s = pipeline.statistics().captured_s
            if isinstance(event, Partial):
                assert event.end_s == captured_s
            if isinstance(event, Final):
                assert event.latency_s == pytest.approx(0.5)
                assert captured_s < 3.2
    assert pipeline.statistics().utterances == 1


def as_48_khz_stereo(sound: Samples) -> npt.NDArray[np.int16]:
    """16 bit integers; one channel a little louder than the other."""
    resampled = soxr.resample(sound, SAMPLE_RATE, 48_000)
    stereo = np.stack([1.1 * resampled, 0.9 * resampled], axis=1)
    return (np.clip(stereo, -1.0, 1.0) * 32767).astype(np.int16)


def test_another_form_of_the_sound_is_transcribed_alike_however_it_is_cut(
    starter: CompiledModel, sample: Samples, sample_events: list[Event]
) -> None:
    stereo = as_48_khz_stereo(sample)
    whole = transcribe(starter, [stereo], FINALS_ONLY, 48_000)
    assert word_error_rate(text(sample_events), text(whole)) < 0.05
    for seed, largest in enumerate((1_000, 100_000)):
        pieces = transcribe(starter, chunks(stereo, largest, seed), FINALS_ONLY, 48_000)
        assert pieces == whole


def test_a_list_of_floats_is_sound_too(starter: CompiledModel) -> None:
    sound = excerpt(0.0, 3.3)
    assert transcribe(starter, [sound.tolist()], FINALS_ONLY) == transcribe(
        starter, [sound], FINALS_ONLY
    )


def test_reset_begins_again_at_utterance_0_and_second_0(starter: CompiledModel) -> None:
    sound = excerpt(0.0, 3.3)
    pipeline = Pipeline(starter, FINALS_ONLY)
    first = pipeline.push(sound) + pipeline.flush()
    pipeline.reset()
    assert pipeline.push(sound) + pipeline.flush() == first


def test_a_stream_ends_once(starter: CompiledModel) -> None:
    pipeline = Pipeline(starter, FINALS_ONLY)
    pipeline.flush()
    with pytest.raises(ValueError, match="was flushed"):
        pipeline.flush()


def test_reset_throws_away_what_was_not_flushed_and_allows_another_form(
    starter: CompiledModel,
) -> None:
    pipeline = Pipeline(starter, FINALS_ONLY)
    pipeline.push(excerpt(0.0, 2.0))
    pipeline.reset()
    assert pipeline.statistics().captured_s == 0.0
    stereo = as_48_khz_stereo(excerpt(0.0, 3.3))
    events = pipeline.push(stereo, 48_000) + pipeline.flush()
    assert events == transcribe(starter, [stereo], FINALS_ONLY, 48_000)


@pytest.mark.parametrize(
    "pushed",
    [
        pytest.param([], id="nothing"),
        pytest.param([np.zeros(0, np.float32)], id="an empty chunk"),
        pytest.param([[]], id="an empty list"),
        pytest.param([np.zeros(1, np.float32)], id="a sample"),
        pytest.param([np.zeros(160_000, np.float32)], id="digital silence"),
        pytest.param([white_noise(160_000, -60.0)], id="a quiet room"),
    ],
)
def test_without_speech_there_is_no_utterance(
    starter: CompiledModel, pushed: Sequence[npt.ArrayLike]
) -> None:
    (closed,) = transcribe(starter, pushed)
    assert isinstance(closed, Closed)
    assert closed.statistics.captured_s == sum(np.size(chunk) for chunk in pushed) / SAMPLE_RATE
    assert closed.statistics.silence_s == closed.statistics.captured_s


def test_speech_at_the_very_end_is_finished(starter: CompiledModel) -> None:
    events = transcribe(starter, [excerpt(0.0, 2.3)], FINALS_ONLY)
    assert text(events).startswith("GOOD MORNING AND THANK YOU")


@pytest.mark.parametrize("n_samples", range(2_600, 4_001, 200))
def test_a_snippet_shorter_than_a_word_ends_well(starter: CompiledModel, n_samples: int) -> None:
    start_s, _ = sentences()[0]
    start = round(start_s * SAMPLE_RATE)
    settings = Settings(min_speech_s=0.06, pre_roll_s=0.0)
    transcribe(starter, [excerpt(0.0, 3.0)[start : start + n_samples]], settings)


@pytest.mark.parametrize("longest_piece_s", [1.0, 2.0])
def test_speech_longer_than_the_longest_piece_is_cut_and_not_lost(
    starter: CompiledModel, longest_piece_s: float
) -> None:
    sound = excerpt(18.0, 24.5)
    settings = Settings(partials=False, longest_piece_s=longest_piece_s)
    pieces = transcribe(starter, [sound], settings)
    assert len(finals(pieces)) > 5.0 / longest_piece_s
    assert all(final.end_s - final.start_s <= longest_piece_s for final in finals(pieces))
    assert transcribe(starter, chunks(sound, 9_000, seed=1), settings) == pieces
    if longest_piece_s >= 2.0:
        whole = text(transcribe(starter, [sound], FINALS_ONLY))
        assert word_error_rate(whole, text(pieces)) < 0.4


def test_a_chunk_that_cannot_be_used_leaves_the_stream_as_it_was(starter: CompiledModel) -> None:
    sound = excerpt(0.0, 3.3)
    pipeline = Pipeline(starter, FINALS_ONLY)
    events = pipeline.push(sound[:20_000])
    with pytest.raises(AudioError, match=r"not a number at 1\.250 s"):
        pipeline.push(np.full(100, np.nan, np.float32))
    with pytest.raises(AudioError, match="shape"):
        pipeline.push(np.zeros((100, 2), np.float32))
    with pytest.raises(ValueError, match=re.escape("flush() and reset()")):
        pipeline.push(sound, 48_000)
    events += pipeline.push(sound[20_000:]) + pipeline.flush()
    assert events == transcribe(starter, [sound], FINALS_ONLY)


@pytest.mark.parametrize("shape", [(1, 512), (40, 41)])
def test_samples_that_lie_on_their_side_are_refused(
    starter: CompiledModel, shape: tuple[int, int]
) -> None:
    pipeline = Pipeline(starter)
    with pytest.raises(AudioError, match=r"found shape \[\d+, \d+\]\. Give their transpose"):
        pipeline.push(np.zeros(shape, np.float32))
    pipeline.push(np.zeros(shape, np.float32).T[:, :1])
    assert pipeline.statistics().captured_s == shape[1] / 16_000


def test_a_first_chunk_that_cannot_be_used_decides_nothing(starter: CompiledModel) -> None:
    pipeline = Pipeline(starter, FINALS_ONLY)
    with pytest.raises(AudioError, match="an array of samples"):
        pipeline.push([[0.0], [0.0, 0.0]])
    with pytest.raises(AudioError):
        pipeline.push(np.full((100, 2), np.nan, np.float32), 48_000)
    sound = excerpt(0.0, 3.3)
    events = pipeline.push(sound) + pipeline.flush()
    assert events == transcribe(starter, [sound], FINALS_ONLY)


def test_offline_gives_a_pipeline_of_a_loaded_model(starter: CompiledModel) -> None:
    sound = excerpt(0.0, 3.3)
    stream = Transcriber.offline(starter, settings=FINALS_ONLY)
    events = stream.push(sound, sample_rate=16_000)
    events += stream.flush()
    assert events == transcribe(starter, [sound], FINALS_ONLY)


def test_the_model_is_traced_once(starter: CompiledModel, sample_events: list[Event]) -> None:
    assert finals(sample_events)
    assert starter.n_traces == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vad_frame_ms": 20.0}, "Expected vad_frame_ms as int, found 20.0"),
        ({"vad_mode": True}, "Expected vad_mode as int, found True"),
        ({"noise_margin_db": "6"}, "Expected noise_margin_db as float, found '6'"),
        ({"stable_lag_s": "1"}, "Expected stable_lag_s as float | None, found '1'"),
        ({"partials": "off"}, "Expected partials as bool, found 'off'"),
        ({"end_silence_s": math.nan}, "Expected a finite end_silence_s, found nan"),
        ({"noise_gate": 0.5}, "Expected noise_gate as a NoiseGate or None, found 0.5"),
        ({"ring_s": 1e12}, "Expected ring_s from"),
        ({"onset_window": 4_000}, "Expected ring_s from"),
    ],
)
def test_a_setting_of_another_type_or_out_of_range_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Settings(**changes)


def test_settings_are_integers_where_they_can_be() -> None:
    numbers = {"end_silence_s": 1, "stable_lag_s": np.float32(0.5), "vad_frame_ms": np.int64(20)}
    settings = Settings(**numbers)
    assert (settings.end_silence_s, settings.stable_lag_s, settings.vad_frame_ms) == (1, 0.5, 20)
    with pytest.raises(ValueError, match="least_confidence from 0 to 1, found 'x'"):
        NoiseGate(least_confidence="x")  # type: ignore[arg-type]
