from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import AudioError
from streamer.audio import Converter, level_db, to_float32

RATES = (8_000, 11_025, 44_100, 48_000)


def sine(rate: int, duration_s: float, hertz: float = 440.0) -> npt.NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * duration_s)) / rate)).astype(
        np.float32
    )


def convert(converter: Converter, blocks: list[npt.NDArray]) -> npt.NDArray[np.float32]:
    return np.concatenate([*map(converter.push, blocks), converter.flush()])


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_signed_integers_fill_the_range_from_minus_one_to_one(dtype: str) -> None:
    limits = np.iinfo(dtype)
    scaled = to_float32(np.array([limits.min, 0, limits.max // 2 + 1], dtype))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [-1.0, 0.0, 0.5]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_unsigned_integers_are_centred_first(dtype: str) -> None:
    highest = np.iinfo(dtype).max
    scaled = to_float32(np.array([0, highest // 2 + 1, highest], dtype))
    assert scaled[0] == -1.0
    assert scaled[1] == 0.0
    assert scaled[2] == pytest.approx(1.0, abs=0.01)


def test_16_bit_integers_and_the_same_values_as_floats_are_the_same_sound() -> None:
    integers = np.random.default_rng(0).integers(-32768, 32768, 1000).astype(np.int16)
    assert np.array_equal(to_float32(integers), (integers / 32768.0).astype(np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_floats_are_taken_as_they_are(dtype: str) -> None:
    assert to_float32(np.array([-1.0, 0.25, 1.5], dtype)).tolist() == [-1.0, 0.25, 1.5]


def test_channels_are_averaged() -> None:
    stereo = np.array([[0.5, -0.5], [1.0, 0.5]], np.float32)
    assert Converter(16_000, 2).push(stereo).tolist() == [0.0, 0.75]


def test_one_channel_may_come_as_a_column() -> None:
    column = np.array([[0.5], [-0.25]], np.float32)
    assert Converter(16_000).push(column).tolist() == [0.5, -0.25]


def test_at_16_khz_mono_the_samples_pass_unchanged() -> None:
    samples = sine(16_000, 0.1)
    assert np.array_equal(convert(Converter(16_000), [samples]), samples)


@given(
    rate=st.sampled_from(RATES),
    channels=st.integers(1, 3),
    cuts=st.lists(st.integers(0, 3000), max_size=12),
    seed=st.integers(0, 9),
)
def test_conversion_does_not_depend_on_the_cuts(
    rate: int, channels: int, cuts: list[int], seed: int
) -> None:
    sound = np.random.default_rng(seed).uniform(-1, 1, (3000, channels)).astype(np.float32)
    whole = convert(Converter(rate, channels), [sound])
    pieces = convert(Converter(rate, channels), np.split(sound, sorted(cuts)))
    assert np.array_equal(whole, pieces)


@pytest.mark.parametrize("rate", [*RATES, 16_000])
def test_conversion_one_sample_at_a_time_is_the_same(rate: int) -> None:
    sound = np.random.default_rng(1).uniform(-1, 1, (2000, 2)).astype(np.float32)
    whole = convert(Converter(rate, 2), [sound])
    assert np.array_equal(whole, convert(Converter(rate, 2), np.split(sound, len(sound))))


@pytest.mark.parametrize("rate", RATES)
def test_resampling_keeps_the_duration(rate: int) -> None:
    resampled = convert(Converter(rate), [sine(rate, 1.5)])
    assert abs(len(resampled) - 24_000) <= 1


@pytest.mark.parametrize("rate", RATES)
def test_a_resampled_sine_is_the_same_sine_without_clicks(rate: int) -> None:
    sound = sine(rate, 1.0)
    resampled = convert(Converter(rate), np.array_split(sound, 97))
    inside = slice(800, 15_200)  # The edges ring: the sine begins and ends abruptly.
    error = resampled[inside] - sine(16_000, 1.0)[inside]
    assert level_db(error) < level_db(resampled[inside]) - 80.0
    # A click is short: it would hide in the mean, not in the maximum.
    assert np.abs(error).max() < 1e-4


def test_what_16_khz_cannot_hold_is_filtered_out() -> None:
    resampled = convert(Converter(48_000), [sine(48_000, 0.5, hertz=12_000.0)])
    assert level_db(resampled[800:-800]) < -80.0


def test_after_a_flush_the_next_stream_begins_afresh() -> None:
    converter = Converter(44_100)
    first = convert(converter, [sine(44_100, 0.2)])
    assert np.array_equal(first, convert(converter, [sine(44_100, 0.2)]))


def test_after_a_reset_nothing_of_the_old_stream_is_heard() -> None:
    converter = Converter(44_100)
    converter.push(sine(44_100, 0.2))
    converter.reset()
    assert np.array_equal(
        convert(converter, [sine(44_100, 0.2)]), convert(Converter(44_100), [sine(44_100, 0.2)])
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_is_refused_with_its_place(bad: float) -> None:
    converter = Converter(8_000)
    converter.push(np.zeros(8_000, np.float32))
    block = np.zeros(8_000, np.float32)
    block[4_000] = bad
    with pytest.raises(AudioError, match=r"not a number at 1\.500 s.*Repair"):
        converter.push(block)


def test_a_refused_block_leaves_the_stream_as_it_was() -> None:
    sound = sine(48_000, 0.2)
    converter = Converter(48_000)
    first = converter.push(sound[:5_000])
    with pytest.raises(AudioError):
        converter.push(np.full(100, np.nan, np.float32))
    rest = convert(converter, [sound[5_000:]])
    assert np.array_equal(np.concatenate([first, rest]), convert(Converter(48_000), [sound]))


def test_floats_that_were_never_scaled_are_refused() -> None:
    with pytest.raises(AudioError, match=r"in \[-1, 1\], found 20000\. Divide .*32768"):
        Converter(16_000).push(np.array([0.0, -20_000.0]))


def test_floats_a_little_over_full_scale_are_taken() -> None:
    assert Converter(16_000).push(np.array([1.5, -2.0])).tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("channels", "shape"), [(1, (5, 2)), (2, (5,)), (2, (5, 3)), (1, (5, 1, 1)), (1, ())]
)
def test_another_shape_than_said_is_refused(channels: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match="Expected samples of shape"):
        Converter(16_000, channels).push(np.zeros(shape, np.float32))


@pytest.mark.parametrize("block", [["a", "b"], np.array([1j]), np.array([True]), [None]])
def test_what_is_no_sound_is_refused(block: object) -> None:
    with pytest.raises(AudioError, match="Expected samples as integers or floats"):
        Converter(16_000).push(block)


def test_integers_whose_width_is_only_numpys_are_refused() -> None:
    with pytest.raises(AudioError, match=r"found int64.*astype\(np.int16\)"):
        Converter(16_000).push([0, 12_000, -12_000])


def test_an_empty_block_is_nothing() -> None:
    assert len(Converter(48_000).push([])) == 0


@pytest.mark.parametrize("rate", [0, -1, 3_999, 384_001])
def test_a_rate_that_no_recording_has_is_refused(rate: int) -> None:
    with pytest.raises(AudioError, match=f"sample rate from 4000 to 384000 Hz, found {rate}"):
        Converter(rate)


@pytest.mark.parametrize("channels", [0, 9_000])
def test_an_impossible_number_of_channels_is_refused(channels: int) -> None:
    with pytest.raises(AudioError, match=rf"1 to 1024 channels, found {channels}\.$"):
        Converter(16_000, channels)


def test_levels_are_decibels_of_full_scale() -> None:
    assert level_db(np.ones(100, np.float32)) == pytest.approx(0.0)
    assert level_db(np.full(100, 0.1, np.float32)) == pytest.approx(-20.0, abs=1e-3)
    assert level_db(np.zeros(100, np.float32)) == -120.0
    assert level_db(np.zeros(0, np.float32)) == -120.0


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_raw_bytes_do_not_say_what_they_hold(form: Callable[[bytes], Any]) -> None:
    block = form(np.zeros(160, np.int16).tobytes())
    with pytest.raises(AudioError, match=r"raw bytes \(\w+\)\. .*frombuffer\(block, numpy\.int16"):
        Converter(16_000).push(block)


def test_buffers_that_say_it_are_samples() -> None:
    assert Converter(16_000).push(array("h", [0, 16_384])).tolist() == [0.0, 0.5]
    assert Converter(16_000).push(np.array([128, 192], np.uint8)).tolist() == [0.0, 0.5]


@pytest.mark.parametrize("rate", [None, "16000"])
def test_a_rate_that_is_no_number_is_refused(rate: Any) -> None:
    with pytest.raises(AudioError, match="Expected a sample rate in Hz, found"):
        Converter(rate)
