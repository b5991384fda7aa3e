"""The benchmark measures what it says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.audio import Samples
from streamer.bench import measure, read_manifest
from streamer.bench.measures import flicker, normalise
from streamer.bench.truth import speech_span
from streamer.cli import sample_path
from streamer.config import Settings
from streamer.errors import AudioError
from streamer.models.compiled import CompiledModel


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


def test_speech_is_where_it_is_loud() -> None:
    rng = np.random.default_rng(0)
    samples = (rng.standard_normal(48_000) * 1e-4).astype(np.float32)
    samples[16_000:32_000] *= 1000
    begin_s, end_s = speech_span(samples) or (0, 0)
    assert begin_s == pytest.approx(1.0, abs=0.02)
    assert end_s == pytest.approx(2.0, abs=0.02)


def test_where_the_level_tells_nothing_there_is_no_truth() -> None:
    noise = np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    assert speech_span(0.1 * noise) is None
    to_the_very_end = np.concatenate([1e-4 * noise, 0.1 * noise])
    assert speech_span(to_the_very_end) is None


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
    assert "12.50 %" in results.table()
    assert json.loads(json.dumps(results.to_json()))["measures"]["wrong"]["wer"] == 1 / 8


def test_latency_by_the_wall_clock(folder: Path, starter: CompiledModel) -> None:
    recordings = read_manifest(folder, subset="right")
    results = measure(recordings, model=starter, settings=Settings(), realtime=True)
    (measures,) = results.measures.values()
    assert (results.clock, measures.wer, measures.rtf) == ("wall", 0, None)
    assert measures.final_s_p50 is not None
    assert measures.after_endpoint_s_p50 is not None
    assert measures.final_s_p50 > 0.4
    assert -0.1 < measures.after_endpoint_s_p50 < measures.final_s_p50


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
    (tmp_path / "manifest.tsv").write_text("file\ttext\n")
    with pytest.raises(AudioError, match="expected columns path and transcript"):
        read_manifest(tmp_path)
