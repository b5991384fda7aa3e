"""Recordings as real files."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speech import excerpt

from streamer import AudioError, File
from streamer.audio import Converter, Samples, level_db


def speech() -> Samples:
    return excerpt(0.5, 2.5)


def write(
    path: Path, sound: Samples, rate: int = 16_000, channels: int = 1, subtype: str | None = None
) -> Path:
    """A recording with the same sound in every channel."""
    soundfile.write(path, np.stack([sound] * channels, axis=1), rate, subtype=subtype)
    return path


def read(path: Path) -> Samples:
    """All of a recording, as the core hears it."""
    file = File(path)
    file.open()
    try:
        blocks = []
        while (block := file.read()) is not None:
            assert block.n_lost == 0
            blocks.append(block.samples)
        assert file.read() is None
    finally:
        file.close()
    return np.concatenate(blocks)


def assert_alike(heard: Samples, expected: Samples, ratio_db: float) -> None:
    """Assert that they differ by noise only, so far below the sound."""
    assert heard.dtype == np.float32
    assert len(heard) == len(expected)
    assert level_db(heard - expected) < level_db(expected) - ratio_db


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("sound.wav", "PCM_16"),
        ("sound.wav", "PCM_24"),
        ("sound.wav", "PCM_32"),
        ("sound.wav", "FLOAT"),
        ("sound.wav", "DOUBLE"),
        ("sound.WAV", "PCM_16"),
        ("sound.flac", "PCM_16"),
        ("sound.flac", "PCM_24"),
        ("sound.aiff", "PCM_16"),
        ("sound.caf", "PCM_16"),
    ],
)
def test_a_lossless_format_is_heard_exactly(tmp_path: Path, name: str, subtype: str) -> None:
    # The sample has 16 bits: each of these holds it.
    assert np.array_equal(read(write(tmp_path / name, speech(), subtype=subtype)), speech())


@pytest.mark.parametrize(
    ("name", "subtype", "ratio_db"),
    [("sound.wav", "PCM_U8", 20.0), ("sound.wav", "ULAW", 25.0), ("sound.ogg", "VORBIS", 5.0)],
)
def test_a_lossy_format_is_heard_alike(
    tmp_path: Path, name: str, subtype: str, ratio_db: float
) -> None:
    assert_alike(read(write(tmp_path / name, speech(), subtype=subtype)), speech(), ratio_db)


def test_mp3_is_heard(tmp_path: Path) -> None:
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile has no MP3")
    heard = read(write(tmp_path / "sound.mp3", speech(), subtype="MPEG_LAYER_III"))
    n_samples = min(len(heard), len(speech()))
    assert n_samples > 30_000
    assert_alike(heard[:n_samples], speech()[:n_samples], 5.0)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_rate_and_number_of_channels_becomes_16_khz_mono(
    tmp_path: Path, rate: int, channels: int
) -> None:
    at = np.arange(2 * rate) / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)
    path = write(tmp_path / "sound.wav", tone, rate, channels, subtype="FLOAT")
    heard = read(path)
    assert len(heard) == 32_000
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)
    inside = slice(1_600, -1_600)  # The tone begins and ends abruptly: its edges ring.
    assert_alike(heard[inside], expected.astype(np.float32)[inside], 80.0)


def test_blocks_are_the_conversion_of_the_whole(tmp_path: Path) -> None:
    sound, _ = soundfile.read(write(tmp_path / "a.wav", speech(), 44_100, 2), dtype="float32")
    converter = Converter(44_100, 2)
    whole = np.concatenate([converter.push(sound), converter.flush()])
    assert np.array_equal(read(tmp_path / "a.wav"), whole)


def test_the_duration_is_known_once_it_is_open(tmp_path: Path) -> None:
    file = File(write(tmp_path / "sound.wav", speech(), 8_000))
    file.open()
    assert file.duration_s == 4.0
    file.close()


def test_a_flac_file_that_does_not_say_how_long_it_is_is_read_to_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", speech())
    expected = read(path)
    with path.open("r+b") as file:  # As written into a pipe; STREAMINFO ends with a 36-bit length.
        file.seek(21)
        (byte,) = file.read(1)
        file.seek(21)
        file.write(bytes([byte & 0xF0, 0, 0, 0, 0]))
    assert np.array_equal(read(path), expected)
    source = File(path)
    source.open()
    source.close()
    assert source.duration_s == 0


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("mp3", "MPEG_LAYER_III"), ("wav", "PCM_16"), ("aiff", "PCM_16"), ("au", "PCM_16")],
)
def test_a_file_that_is_shorter_than_it_says_is_read_and_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str, subtype: str
) -> None:
    path = write(tmp_path / f"a.{form}", np.tile(speech(), 10), subtype=subtype)
    n_samples = len(read(path))
    assert not caplog.messages
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    n_left = len(read(path))
    assert 0.4 < n_left / n_samples < 0.6
    (message,) = caplog.messages
    assert f"is said to be {n_samples / 16_000:.1f} s long, but ends after " in message


@pytest.mark.parametrize(
    ("form", "subtype"), [("ogg", "VORBIS"), ("opus", "OPUS"), ("mp3", "MPEG_LAYER_III")]
)
def test_of_recordings_that_were_joined_it_is_said_that_the_first_is_heard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str, subtype: str
) -> None:
    path = tmp_path / f"a.{form}"
    soundfile.write(
        path, speech(), 16_000, format=form if form == "mp3" else "OGG", subtype=subtype
    )
    expected = read(path)
    assert not caplog.messages
    path.write_bytes(path.read_bytes() * 2)
    assert np.array_equal(read(path), expected)
    (message,) = caplog.messages
    assert "only the first, 2.0 s long, is heard. Make them one: ffmpeg -i" in message


def test_a_recording_into_a_pipe_does_not_say_how_long_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.wav", speech())
    expected = read(path)
    with path.open("r+b") as file:
        file.seek(40)  # the size of the data
        file.write(bytes([0xFF] * 4))
    assert np.array_equal(read(path), expected)
    assert not caplog.messages


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="a pipe has no name")
@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_pipe_that_is_a_file_does_not_say_how_long_it_is_either(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    path = write(tmp_path / "a.wav", speech()[:16_000])  # A pipe holds that.
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", size)
    read_end, write_end = os.pipe()
    with open(write_end, "wb") as pipe:
        pipe.write(data)
    with open(read_end, "rb"):
        assert np.array_equal(read(Path(f"/dev/fd/{read_end}")), read(path))
    assert not caplog.messages


def test_a_file_can_be_read_again(tmp_path: Path) -> None:
    file = File(write(tmp_path / "sound.wav", speech()))
    lengths = []
    for _ in range(2):
        file.open()
        n_samples = 0
        while (block := file.read()) is not None:
            n_samples += len(block.samples)
        lengths.append(n_samples)
        file.close()
        file.close()
    assert lengths == [len(speech())] * 2


def test_stop_ends_the_sound(tmp_path: Path) -> None:
    file = File(write(tmp_path / "sound.wav", speech()))
    file.open()
    first = file.read()
    assert first is not None
    assert len(first.samples)
    file.stop()
    rest = []
    while (block := file.read()) is not None:
        rest.append(len(block.samples))
    assert sum(rest) == 0
    file.close()


def test_stop_ends_the_wait_for_the_next_block_at_the_speed_of_speech(tmp_path: Path) -> None:
    file = File(write(tmp_path / "sound.wav", speech()), realtime=True)
    file.open()
    file.stop()
    heard = file.read()
    assert heard is not None
    assert not len(heard.samples)
    assert file.read() is None
    file.close()


def refused(path: Path) -> str:
    """The message with which a file is refused."""
    with pytest.raises(AudioError) as error:
        File(path).open()
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there are no such names")
def test_a_name_in_another_encoding_is_as_good_as_any(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    shutil.move(write(tmp_path / "a.wav", speech()), path)
    assert len(read(path)) == len(speech())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "missing.wav")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    assert "the file is empty" in refused(tmp_path / "empty.wav")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "found a folder" in refused(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"Dear diary, today I spoke into a microphone.\n" * 40, id="text"),
        pytest.param(b"RIFF\x24\x00\x00\x00WAVE", id="a truncated header"),
        pytest.param(bytes(range(256)) * 10, id="binary"),
    ],
)
def test_what_is_no_recording_is_refused_with_a_way_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(content)
    message = refused(path)
    assert "expected a recording" in message
    assert "ffmpeg -i INPUT OUTPUT.wav" in message


def test_a_recording_of_no_length_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "sound.wav", np.zeros(0, np.float32))
    assert "its length is zero" in refused(path)


def test_a_rate_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    assert "found 1000" in refused(write(tmp_path / "sound.wav", speech(), 1_000))


def test_the_sound_before_a_broken_sample_is_delivered(tmp_path: Path) -> None:
    sound = speech().copy()
    sound[16_500] = np.nan
    file = File(write(tmp_path / "sound.wav", sound, subtype="FLOAT"))
    file.open()
    heard = [file.read() for _ in range(10)]
    with pytest.raises(AudioError, match=r"sound\.wav: .*not a number at 1\.031 s"):
        file.read()
    file.close()
    assert np.array_equal(np.concatenate([block.samples for block in heard]), sound[:16_000])


def test_a_recording_that_ends_too_early_is_heard_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write(tmp_path / "sound.wav", speech())
    path.write_bytes(path.read_bytes()[: 44 + 2 * 10_000 + 1])
    assert_alike(read(path), speech()[:10_000], 60.0)
