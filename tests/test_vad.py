from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest
import webrtcvad
from speech import excerpt, sample, sentences, white_noise

from streamer import Settings
from streamer.audio import Samples
from streamer.segmenter import Segmenter
from streamer.settings import SAMPLE_RATE
from streamer.vad import Vad

NOISE_WINDOW_S = Settings().noise_window_s


def frames(sound: Samples, length: int) -> Samples:
    """Shape [frame, sample]; an unfinished frame at the end is left out."""
    return sound[: len(sound) // length * length].reshape(-1, length)


def decisions(vad: Vad, sound: Samples) -> npt.NDArray[np.bool_]:
    return np.array([vad.push(frame) for frame in frames(sound, vad.frame_length)])


def webrtc_alone(sound: Samples) -> npt.NDArray[np.bool_]:
    vad = webrtcvad.Vad(Settings().vad_mode)
    pcm: Iterable[bytes] = (
        (np.clip(frame, -1.0, 1.0) * 32767.0).astype(np.int16).tobytes()
        for frame in frames(sound, 320)
    )
    return np.array([vad.is_speech(frame, SAMPLE_RATE) for frame in pcm])


def hum(duration_s: float, level_db: float) -> Samples:
    """A transformer: harmonics of 120 Hz, and a little hiss."""
    at = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    wave = sum(np.sin(2 * np.pi * 120 * k * at) / k for k in range(1, 20))
    wave = wave / np.std(wave) + 0.1 * white_noise(len(at), 0.0)
    return (wave * 10 ** (level_db / 20)).astype(np.float32)


def noise(kind: str, duration_s: float) -> Samples:
    if kind == "fan":
        return white_noise(round(duration_s * SAMPLE_RATE), -20.0)
    return hum(duration_s, -30.0)


@pytest.mark.parametrize("kind", ["fan", "hum"])
def test_steady_noise_is_no_speech_once_the_floor_has_adapted(kind: str) -> None:
    sound = noise(kind, 8.0)
    adapted = round((NOISE_WINDOW_S + 0.2) * 50)
    assert webrtc_alone(sound)[adapted:].all()  # It is why the floor is there.
    assert not decisions(Vad(Settings()), sound)[adapted:].any()


@pytest.mark.parametrize(
    "hz",
    [(770.0, 1336.0), (941.0, 1633.0), (1000.0,), (3100.0,), (900.0, 1800.0, 2700.0, 3600.0)],
)
def test_telephone_keys_and_beeps_are_no_speech(hz: tuple[float, ...]) -> None:
    at = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE
    keys = sum(0.1 * np.sin(2 * np.pi * tone * at) for tone in hz) * (at % 0.3 < 0.17)
    sound = white_noise(len(at), -60.0) + keys.astype(np.float32) * (at > NOISE_WINDOW_S + 1)
    assert webrtc_alone(sound)[200:].mean() > 0.9  # It is why one looks for tones.
    is_speech = decisions(Vad(Settings()), sound)
    assert is_speech[200:].mean() < 0.1  # What is left is where one sets in or stops.
    segmenter = Segmenter(320, Settings())
    assert not any(segmenter.push(bool(frame)) for frame in is_speech)


def test_a_voice_is_found_though_something_beeps() -> None:
    start_s, end_s = sentences()[0]
    voice = excerpt(start_s, end_s)
    at = np.arange(len(voice)) / SAMPLE_RATE
    both = voice + (0.005 * np.sin(2 * np.pi * 1400.0 * at)).astype(np.float32)
    is_speech = decisions(Vad(Settings()), voice)
    assert decisions(Vad(Settings()), both)[is_speech].mean() > 0.95


def test_the_floor_is_the_level_of_the_noise() -> None:
    vad = Vad(Settings())
    decisions(vad, white_noise(5 * SAMPLE_RATE, -40.0))
    assert vad.noise_floor_db == pytest.approx(-40.0, abs=2.0)


def test_every_sentence_is_found_and_the_pauses_are_silent() -> None:
    is_speech = decisions(Vad(Settings()), sample())
    covered = np.zeros(len(is_speech), bool)
    for start_s, end_s in sentences():
        first, last = round(start_s * 50), round(end_s * 50)
        found = np.flatnonzero(is_speech[first - 5 : last + 5]) + first - 5
        assert found[0] <= first + 2
        assert found[-1] >= last - 3
        assert is_speech[first:last].mean() > 0.8
        covered[first - 5 : last + 5] = True
    assert len(sentences()) == 7
    assert not is_speech[~covered].any()


def test_every_sentence_is_found_in_a_hum_that_webrtc_calls_speech() -> None:
    lead_s = 4.0
    background = hum(lead_s + len(sample()) / SAMPLE_RATE, -40.0)
    background[-len(sample()) :] += sample()
    is_speech = decisions(Vad(Settings()), background)[round(lead_s * 50) :]
    for start_s, end_s in sentences():
        spoken = is_speech[round(start_s * 50) : round(end_s * 50)]
        assert spoken.mean() > 0.6
        assert np.flatnonzero(spoken)[0] <= 10  # The pre-roll reaches further back than 0.2 s.


def test_quiet_speech_after_silence_is_found() -> None:
    start_s, end_s = sentences()[0]
    quiet = np.concatenate(
        [np.zeros(5 * SAMPLE_RATE, np.float32), excerpt(start_s, end_s) * np.float32(0.03)]
    )
    assert decisions(Vad(Settings()), quiet)[250:].mean() > 0.6


def test_speech_below_the_quietest_level_is_background() -> None:
    start_s, end_s = sentences()[0]
    far_off = excerpt(start_s, end_s) * np.float32(0.0005)
    assert not decisions(Vad(Settings()), far_off).any()


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_constant_is_no_speech(value: float) -> None:
    sound = np.full(SAMPLE_RATE, value, np.float32)
    assert not decisions(Vad(Settings()), sound)[10:].any()


def test_samples_over_full_scale_are_clipped_and_do_not_wrap() -> None:
    start_s, end_s = sentences()[0]
    loud = excerpt(start_s, end_s) * np.float32(20.0)
    clipped = np.clip(loud, -1.0, 1.0)
    assert webrtc_alone(clipped).mean() > 0.9
    assert decisions(Vad(Settings()), loud).mean() > 0.8


@pytest.mark.parametrize("frame_ms", [10, 20, 30])
def test_every_frame_length_of_webrtc_works(frame_ms: int) -> None:
    vad = Vad(Settings(vad_frame_ms=frame_ms))
    assert vad.frame_length == 16 * frame_ms
    start_s, end_s = sentences()[0]
    assert decisions(vad, excerpt(start_s, end_s)).mean() > 0.7


def test_a_reset_vad_is_a_new_one() -> None:
    vad = Vad(Settings())
    decisions(vad, noise("fan", 5.0))
    vad.reset()
    sound = excerpt(0.0, 6.5)
    assert np.array_equal(decisions(vad, sound), decisions(Vad(Settings()), sound))
