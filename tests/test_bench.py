"""The benchmark measures what it says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from written_sound import FRAME, WrittenModel, frames, written

from streamer.audio import Samples
from streamer.bench import Recording, measure, read_manifest, soak
from streamer.bench.measures import (
    Outcome,
    flicker,
    measures_of,
    normalise,
    stable_revisions,
    word_delays,
)
from streamer.bench.truth import decode_whole, speech_span
from streamer.cli import sample_path
from streamer.decoder import DecodedWord
from streamer.errors import AudioError
from streamer.events import Closed, Final, Partial, Statistics
from streamer.models.compiled import CompiledModel
from streamer.settings import Settings, to_samples

SETTINGS = Settings(stable_lag_s=frames(1))


def test_only_words_count() -> None:
    assert normalise("It's  nine_o'clock, Señor -- 7 p.m.!") == "IT'S NINE O'CLOCK SEÑOR 7 P M"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ([], (0, 0, 0)),
        (["a", "a b", "a b c"], (3, 0, 0)),
        (["a", "b", "b c"], (3, 1, 1)),
        (["a b c", "a", "a b"], (4, 2, 1)),
        (["a x y", "a b c"], (5, 2, 1)),
    ],
)
def test_flicker_counts_words_that_were_shown_and_then_changed(
    shown: list[str], expected: tuple[int, int, int]
) -> None:
    assert flicker([text.split() for text in shown]) == expected


RECORDING = Recording("all", "GOOD MORNING TO YOU", Path("none.wav"))


def partial(stable: str, unstable: str) -> Partial:
    text = f"{stable} {unstable}".strip()
    return Partial(
        utterance=0,
        start_s=0.0,
        end_s=1.0,
        stable_text=stable,
        unstable_text=unstable,
        text=text,
    )


def final(text: str, utterance: int = 0) -> Final:
    return Final(
        utterance=utterance,
        start_s=0.0,
        end_s=2.0,
        text=text,
        words=(),
        latency_s=0.0,
        model="none",
    )


def whole(*words: tuple[str, float]) -> list[DecodedWord]:
    return [DecodedWord(text, 0, to_samples(end_s), 1.0) for text, end_s in words]


def test_a_word_is_late_by_the_time_from_its_end_to_the_display() -> None:
    outcome = Outcome(RECORDING, 2.0)
    outcome.whole = whole(("GOOD", 0.25), ("MORNING", 0.75), ("TO", 1.0), ("YOU", 1.25))
    outcome.events = [
        (0.5, partial("", "GOOD")),
        (1.0, partial("", "GOOD WARNING")),
        (1.25, partial("GOOD", "MORNING")),
        (1.5, partial("GOOD MORNING", "TWO")),
        (2.0, final("GOOD MORNING TWO YOU")),
    ]
    # TWO is a word that the whole recording does not have: when it ended is not known.
    assert list(word_delays(outcome)) == [(0.25, 1.0), (0.5, 0.75), (0.75, 0.75)]


def test_the_words_of_all_utterances_count() -> None:
    outcome = Outcome(RECORDING, 2.0)
    outcome.whole = whole(("GOOD", 0.25), ("GOOD", 0.75))
    outcome.events = [(0.5, final("GOOD")), (0.6, final("", 1)), (1.0, final("GOOD", 2))]
    assert list(word_delays(outcome)) == [(0.25, 0.25), (0.25, 0.25)]


@pytest.mark.parametrize(
    ("stable", "text", "expected"),
    [("", "A B", 0), ("A B", "A B C", 0), ("A B C", "A X C", 1), ("A B C", "A", 2), ("A", "", 1)],
)
def test_stable_words_that_the_final_changes_are_counted(
    stable: str, text: str, expected: int
) -> None:
    assert stable_revisions([partial("", "X"), partial(stable, ""), final(text)]) == expected
    assert stable_revisions([final(text)]) == 0


def test_measures_of_known_events(folder: Path) -> None:
    outcome = Outcome(RECORDING, duration_s=4.0, onset_s=0.25, end_s=1.25, n_pushed=64_000)
    outcome.whole = whole(("GOOD", 0.5), ("MORNING", 1.0))
    statistics = Statistics(
        captured_s=4.0,
        recognised_s=2.0,
        silence_s=1.0,
        dropped_s=1.0,
        waiting_s=0.0,
        utterances=1,
        words=2,
        partials=2,
        speculative_finals=0,
        speculative_finals_used=0,
        inferences=3,
    )
    outcome.events = [
        (0.75, partial("", "GOOD WARNING")),
        (1.25, partial("GOOD", "MORNING")),
        (2.0, final("GOOD MORNING")),
        (4.0, Closed(statistics=statistics)),
    ]
    outcome.finals_s, outcome.live_s, outcome.cpu_share = 0.5, 1.0, 0.25
    measures = measures_of([outcome], Settings(), realtime=False)
    assert (measures.words, measures.wer, measures.wer_whole) == (4, 0.5, 0.5)
    assert (measures.rtf, measures.rtf_live, measures.cpu_share) == (0.125, 0.25, 0.25)
    assert (measures.first_partial_s_p50, measures.final_s_p50) == (0.5, 0.75)
    assert (measures.word_shown_s_p50, measures.word_stable_s_p50) == (0.25, 0.875)
    assert (measures.flicker, measures.revisions_per_s) == (1 / 3, 0.5)
    assert (measures.stable_revisions, measures.lost) == (0, 16_000)


def test_a_whole_recording_is_recognised_in_pieces_that_the_model_takes() -> None:
    settings = replace(SETTINGS, cut_window_s=frames(10))
    text = "..THE QUICK BROWN.... FOX JUMPS OVER THE.... LAZY DOG.."
    for longest in (20, 30, 1000):
        model = WrittenModel(longest=longest * FRAME)
        words = decode_whole(written(text), model, settings)
        assert [word.text for word in words] == text.replace(".", " ").split()
        assert max(model.heard) <= longest * FRAME
        assert [word.stop for word in words] == sorted(word.stop for word in words)


@pytest.mark.parametrize("text", ["_" * 15 + "THE QUICK BROWN FOX JUMPS", "AB" * 40])
def test_recognising_a_whole_recording_goes_on_where_a_piece_has_no_pause(text: str) -> None:
    model = WrittenModel(longest=20 * FRAME)  # less than where a pause is looked for
    words = decode_whole(written(text), model, replace(SETTINGS, cut_window_s=frames(30)))
    assert words[-1].stop == len(text) * FRAME
    assert len(model.heard) <= 2 * len(text) / 20 + 1


def sounding(*parts: tuple[float, float]) -> Samples:
    """Noise, in parts of so many seconds with such a standard deviation."""
    rng = np.random.default_rng(0)
    sound = [rng.standard_normal(round(s * 16_000)) * deviation for s, deviation in parts]
    return np.concatenate(sound).astype(np.float32)


def said(start_s: float, end_s: float) -> DecodedWord:
    return DecodedWord("YES", to_samples(start_s), to_samples(end_s), 1.0)


def test_speech_is_where_it_is_loud() -> None:
    samples = sounding((1, 1e-4), (1, 0.1), (1, 1e-4))
    begin_s, end_s = speech_span(samples, [said(1.1, 1.9)]) or (0, 0)
    assert begin_s == pytest.approx(1.0, abs=0.02)
    assert end_s == pytest.approx(2.0, abs=0.02)


def test_breath_before_and_after_is_no_speech() -> None:
    samples = sounding((1, 1e-5), (0.5, 0.003), (1, 0.1), (0.5, 0.003), (1, 1e-5))
    begin_s, end_s = speech_span(samples, [said(1.6, 2.4)]) or (0, 0)
    assert begin_s == pytest.approx(1.5, abs=0.02)
    assert end_s == pytest.approx(2.5, abs=0.02)


def test_where_nothing_tells_it_there_is_no_truth() -> None:
    assert speech_span(sounding((3, 0.1)), [said(0, 1)]) is None
    assert speech_span(sounding((3, 1e-4), (3, 0.1)), [said(3, 4)]) is None
    assert speech_span(sounding((1, 1e-4), (1, 0.1), (1, 1e-4)), []) is None


@pytest.fixture(scope="module")
def folder(sample: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of one sentence each; the second transcript has one word in eight wrong."""
    folder = tmp_path_factory.mktemp("bench")
    soundfile.write(folder / "one.flac", sample[: 3 * 16_000], 16_000)
    right = "GOOD MORNING AND THANK YOU ALL FOR COMING"
    rows = [
        "path\tsubset\ttranscript",
        f"one.flac\tright\t{right}",
        f"one.flac\twrong\t{right.replace('COMING', 'GOING')}",
    ]
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def test_words_latency_and_speed_by_the_audio_clock(folder: Path, starter: CompiledModel) -> None:
    results = measure(read_manifest(folder), model=starter, settings=Settings())
    assert list(results.measures) == ["right", "wrong", "all"]
    right, wrong, both = results.measures.values()
    assert (right.wer, wrong.wer, both.wer) == (0, 1 / 8, 1 / 16)
    assert 0 < wrong.cer < wrong.wer
    assert right.final_s_p50 is not None
    # The hangover, and what the VAD itself needs to hear the end.
    assert 0.4 < right.final_s_p50 < 0.8
    assert right.after_endpoint_s_p50 is None
    assert right.first_partial_s_p50 is not None
    assert 0 < right.first_partial_s_p50 < 1
    assert right.rtf is not None
    assert right.rtf_live is not None
    assert 0 < right.rtf < right.rtf_live
    assert (right.wer_whole, right.lost, right.cpu_share) == (0, 0, None)
    assert right.word_shown_s_p50 is not None
    assert right.word_stable_s_p50 is not None
    assert right.word_shown_s_p50 <= right.word_stable_s_p50
    assert "12.50 %" in results.table()
    assert results.invented == {}
    assert json.loads(json.dumps(results.to_json()))["measures"]["wrong"]["wer"] == 1 / 8


def test_latency_by_the_wall_clock(folder: Path, starter: CompiledModel) -> None:
    recordings = read_manifest(folder, subset="right")
    results = measure(recordings, model=starter, settings=Settings(), realtime=True)
    (measures,) = results.measures.values()
    assert (results.clock, measures.wer, measures.rtf) == ("wall", 0, None)
    assert measures.cpu_share is not None
    assert results.idle_cpu_share is not None
    assert 0 < results.idle_cpu_share < measures.cpu_share
    assert measures.final_s_p50 is not None
    assert measures.after_endpoint_s_p50 is not None
    assert measures.final_s_p50 > 0.4
    assert -0.1 < measures.after_endpoint_s_p50 < measures.final_s_p50


def test_many_subsets_and_noises_fit_a_terminal(folder: Path, starter: CompiledModel) -> None:
    recordings = read_manifest(folder, limit=1)
    settings = Settings(partials=False)
    results = measure(recordings, model=starter, settings=settings, noise_minutes=0.01)
    (measures,) = results.measures.values()
    names = [f"a-rather-long-name-of-subset-{number}" for number in range(6)]
    table = replace(results, measures=dict.fromkeys(names, measures)).table()
    assert max(map(len, table.splitlines())) <= 80
    assert table.count("WER in one piece") == 2  # Three subsets side by side, twice.
    assert "breath" in table
    assert json.loads(json.dumps(results.to_json()))["invented"]["breath"]["words"] == 0


def test_a_long_stream_loses_nothing_and_says_how_much_memory_it_took(
    folder: Path, starter: CompiledModel
) -> None:
    settings = Settings(partials=False)
    found = soak(read_manifest(folder), model=starter, settings=settings, hours=30 / 3600)
    # Three seconds of speech, three of silence: five times.
    assert (found.audio_s, found.utterances, found.lost) == (30.0, 5, 0)
    assert found.words == 5 * 8
    assert list(found.memory_mb) == [30.0]
    assert found.memory_mb[30.0] is None or found.memory_mb[30.0] > 0
    assert "5 utterances, 40 words, 0 samples lost" in found.table()


def test_without_partials_there_is_no_flicker_to_report(
    folder: Path, starter: CompiledModel
) -> None:
    settings = replace(Settings(), partials=False)
    results = measure(read_manifest(folder, limit=1), model=starter, settings=settings)
    assert results.measures["right"].flicker is None
    assert "flicker" not in results.table()


def test_the_bundled_sample_is_such_a_folder() -> None:
    (recording,) = read_manifest(sample_path().parent)
    assert recording.path.is_file()
    assert recording.transcript.startswith("GOOD MORNING")


def test_a_folder_without_a_manifest_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"Expected a folder with a manifest\.tsv"):
        read_manifest(tmp_path)
    with pytest.raises(AudioError, match="subset 'none', found none"):
        read_manifest(folder, subset="none")
    (tmp_path / "manifest.tsv").write_bytes(b"path\ttranscript\na.wav\tcaf\xe9\n")
    with pytest.raises(AudioError, match=r"manifest\.tsv: expected text in UTF-8"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.tsv").write_text("file\ttext\n")
    with pytest.raises(AudioError, match="expected columns path and transcript"):
        read_manifest(tmp_path)
