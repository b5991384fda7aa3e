"""Real pipes, with a thread that writes into them."""

from __future__ import annotations

import gzip
import io
import os
import re
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from speech import excerpt

from streamer import AudioError, Pipe
from streamer.audio import Samples, level_db
from streamer.sources.pipe import OTHER_FRAMES, READ_BYTES

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


def speech() -> Samples:
    return excerpt(0.5, 2.5)


def s16(sound: Samples) -> bytes:
    return np.round(sound * 32768).clip(-32768, 32767).astype("<i2").tobytes()


def fmt(
    tag: int = PCM, channels: int = 1, rate: int = 16_000, bits: int = 16, extra: bytes = b""
) -> bytes:
    """A `fmt ` chunk."""
    frame = channels * bits // 8
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits) + extra
    )


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return (
        name
        + struct.pack("<I", len(body) if size is None else size)
        + body
        + b"\0" * (len(body) % 2)
    )


def wav(*chunks: bytes, magic: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack("<I", len(body)) + body


@contextmanager
def pipe_of(*writes: bytes, **form: Any) -> Iterator[Pipe]:
    """A pipe into which the bytes are written, and then it is closed."""
    read_end, write_end = os.pipe()

    def write() -> None:
        with open(write_end, "wb", buffering=0) as stream:
            try:
                for data in writes:
                    view = memoryview(data)
                    while view:
                        view = view[stream.write(view) :]
            except BrokenPipeError:
                pass  # Nobody wants to hear the rest.

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with open(read_end, "rb", buffering=0) as stream:
            yield Pipe(stream, **form)
    finally:
        writer.join()


def hear(*writes: bytes, **form: Any) -> Samples:
    """All that is heard on a pipe."""
    with pipe_of(*writes, **form) as pipe:
        return all_of(pipe)


def all_of(pipe: Pipe) -> Samples:
    pipe.open()
    blocks = []
    while (block := pipe.read()) is not None:
        assert block.n_lost == 0
        blocks.append(block.samples)
    assert pipe.read() is None
    pipe.close()
    return np.concatenate(blocks)


def refused(*writes: bytes, **form: Any) -> str:
    """The message with which a pipe is refused."""
    with pipe_of(*writes, **form) as pipe, pytest.raises(AudioError) as error:
        pipe.open()
    assert "\n" not in str(error.value)
    return str(error.value)


def in_16_bits(sound: Samples) -> Samples:
    return (np.frombuffer(s16(sound), "<i2") / 32768).astype(np.float32)


# Raw PCM.


def test_without_a_word_raw_pcm_is_16_khz_mono_16_bits() -> None:
    assert np.array_equal(hear(s16(speech())), in_16_bits(speech()))


@pytest.mark.parametrize(
    ("encoding", "to_bytes"),
    [
        ("u8", lambda x: np.round(x * 127 + 128).astype("u1").tobytes()),
        ("s16", s16),
        (
            "s24",
            lambda x: np.round(x * 2**23).astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes(),
        ),
        ("s32", lambda x: np.round(x.astype(float) * 2**31).astype("<i4").tobytes()),
        ("f32", lambda x: x.astype("<f4").tobytes()),
        ("f64", lambda x: x.astype("<f8").tobytes()),
    ],
)
def test_every_encoding_is_the_same_sound(encoding: str, to_bytes: Any) -> None:
    heard = hear(to_bytes(speech()), encoding=encoding)
    assert len(heard) == len(speech())
    noise_db = -45.0 if encoding == "u8" else -90.0
    assert level_db(heard - speech()) < noise_db


@pytest.mark.parametrize("n_bytes", [1, 3, 1_000, 4_097])
def test_the_sound_does_not_depend_on_how_it_is_written(n_bytes: int) -> None:
    data = s16(np.repeat(speech()[:4_000], 2))  # two channels
    pieces = [data[at : at + n_bytes] for at in range(0, len(data), n_bytes)]
    whole = hear(data, channels=2, rate=44_100)
    assert np.array_equal(hear(*pieces, channels=2, rate=44_100), whole)
    assert len(whole) == pytest.approx(4_000 * 16_000 / 44_100, abs=1)


def test_an_unfinished_sample_at_the_end_is_left_out() -> None:
    assert len(hear(s16(speech()) + b"\x01")) == len(speech())
    assert len(hear(s16(speech()) + b"\x01\x02", channels=2)) == len(speech()) // 2


def test_a_single_sample_is_sound() -> None:
    assert hear(b"\x00\x40").tolist() == [0.5]


def test_more_than_a_pipe_holds_is_heard() -> None:
    assert len(hear(bytes(10 * READ_BYTES))) == 5 * READ_BYTES


def test_a_broken_float_is_refused_with_its_place() -> None:
    sound = speech().copy()
    sound[8_000] = np.inf
    with pytest.raises(AudioError, match=r"not a number at 0\.500 s"):
        hear(sound.tobytes(), encoding="f32")


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"encoding": "mp3"}, "Expected an encoding of u8, .*found 'mp3'|found 'mp3'"),
        ({"rate": 0}, "Expected a rate from 4000 to 384000 Hz, found 0"),
        ({"rate": -16_000}, "found -16000"),
        ({"channels": 0}, "Expected 1 to 1024 channels, found 0"),
    ],
)
def test_a_form_that_cannot_be_is_refused(form: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pipe(io.BytesIO(), **form)


def test_a_stream_of_text_is_refused() -> None:
    with pytest.raises(TypeError, match="give its `buffer`"):
        Pipe(io.StringIO("text"))  # type: ignore[arg-type]


# WAV streams.


@pytest.mark.parametrize(
    ("subtype", "noise_db"),
    [
        ("PCM_U8", -40.0),
        ("PCM_16", -85.0),
        ("PCM_24", -110.0),
        ("PCM_32", -110.0),
        ("FLOAT", -119.0),
        ("DOUBLE", -119.0),
    ],
)
@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
def test_a_wav_stream_says_its_form_itself(form: str, subtype: str, noise_db: float) -> None:
    file = io.BytesIO()
    stereo = np.stack([speech()] * 2, axis=1)
    soundfile.write(file, stereo, 16_000, subtype=subtype, format=form)
    heard = hear(file.getvalue())
    assert len(heard) == len(speech())
    assert level_db(heard - speech()) < noise_db


def test_the_rate_of_a_wav_stream_is_used() -> None:
    heard = hear(wav(fmt(rate=48_000), chunk(b"data", s16(speech()))))
    assert abs(len(heard) - len(speech()) / 3) <= 1


def test_an_extensible_header_has_its_form_in_the_guid() -> None:
    guid = struct.pack("<HHIH", 22, 16, 4, PCM) + bytes.fromhex("000000001000800000aa00389b71")
    data = wav(fmt(EXTENSIBLE, extra=guid), chunk(b"data", s16(speech())))
    assert np.array_equal(hear(data), in_16_bits(speech()))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF - 36])
def test_a_stream_of_unknown_length_is_heard_to_its_end(size: int) -> None:
    data = wav(fmt(), chunk(b"data", s16(speech()), size))
    assert len(hear(data)) == len(speech())


@pytest.mark.parametrize("n_cut", [0, 1, 7, 10_000])
def test_what_follows_the_sound_is_not_heard_as_sound(n_cut: int) -> None:
    after = chunk(b"LIST", b"INFOISFT\x0e\0\0\0Lavf60.3.100\0\0" * 50)
    data = wav(fmt(), chunk(b"data", s16(speech())), after)
    assert len(hear(data[: len(data) - n_cut % len(after)])) == len(speech())


def test_what_comes_before_the_sound_is_skipped() -> None:
    before = chunk(b"LIST", b"odd") + chunk(b"JUNK", bytes(5_000))
    data = wav(before, fmt(), chunk(b"fact", bytes(4)), before, chunk(b"data", s16(speech())))
    assert np.array_equal(hear(data), in_16_bits(speech()))


def test_a_stream_beyond_4_gib_is_heard() -> None:
    ds64 = chunk(b"ds64", bytes(28))
    data = wav(ds64, fmt(), chunk(b"data", s16(speech()), 0xFFFFFFFF), magic=b"RF64")
    assert len(hear(data)) == len(speech())


def test_a_stream_that_ends_before_its_length_is_heard_as_far_as_it_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = wav(fmt(), chunk(b"data", s16(speech())))
    assert len(hear(data)) == len(speech())
    assert not caplog.messages
    data = wav(fmt(), chunk(b"data", s16(speech()), 2 * len(speech()) + 80_000))
    assert len(hear(data)) == len(speech())
    assert caplog.messages == ["The WAV stream on standard input breaks off 2.5 s before its end."]


def test_a_header_may_come_byte_by_byte() -> None:
    data = wav(fmt(), chunk(b"data", s16(speech()[:100])))
    assert len(hear(*(data[at : at + 1] for at in range(len(data))))) == 100


def test_what_is_said_may_agree_with_the_header() -> None:
    data = wav(fmt(), chunk(b"data", s16(speech())))
    assert len(hear(data, rate=16_000, channels=1, encoding="s16")) == len(speech())


# Refused.


@pytest.mark.parametrize("n_bytes", [12, 13, 19, 20, 30, 36, 40, 43])
def test_a_header_that_ends_too_early_is_refused(n_bytes: int) -> None:
    data = wav(fmt(), chunk(b"data", s16(speech())))
    assert "ends inside its header" in refused(data[:n_bytes])


@pytest.mark.parametrize("n_bytes", [4, 8, 11])
def test_the_beginning_of_a_wav_header_is_not_heard_as_sound(n_bytes: int) -> None:
    assert "header" in refused(wav(fmt())[:n_bytes])


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"rate": 44_100}, "rate 44100 as said by --rate, found 16000. Leave --rate out"),
        ({"channels": 2}, "channels 2 as said by --channels, found 1"),
        ({"encoding": "f32"}, "encoding f32 as said by --encoding, found s16"),
    ],
)
def test_a_header_that_contradicts_what_is_said_is_refused(
    form: dict[str, Any], message: str
) -> None:
    assert message in refused(wav(fmt(), chunk(b"data", s16(speech()))), **form)


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b"fLaC\0\0\0\x22", "FLAC"),
        (b"OggS\0\x02\0\0", "Ogg"),
        (b"ID3\x04\0\0", "MP3"),
        (b"FORM\0\0\0\0AIFF", "AIFF"),
        (b"caff\0\x01\0\0", "CAF"),
        (b"\x1aE\xdf\xa3", "Matroska or WebM"),
        (b"\0\0\0\x1cftypM4A ", "MP4, M4A or 3GP"),
        (b".snd\0\0\0 ", "AU"),
        (b"wvpk\x90\x67", "WavPack"),
        (b"riff.\x91\xcf\x11", "Wave64"),
        (b"#!AMR\n", "AMR"),
        (bytes.fromhex("3026b2758e66cf11"), "WMA"),
        # As ffmpeg 5.1 wrote them.
        (bytes.fromhex("fffb90640007f28f2cc65063"), "MP3"),
        (bytes.fromhex("fff338c40013d2763a201047"), "MP3"),
        (bytes.fromhex("ffe318c4000ab80638000844"), "MP3"),
        (bytes.fromhex("fff16040467ffcde02004c61"), "AAC"),
        (bytes.fromhex("fff150802a7ffcde02004c61"), "AAC"),
        (bytes.fromhex("0b771dcd4c402f8429e3d551"), "AC-3"),
    ],
)
def test_another_format_is_refused_with_a_way_out(start: bytes, found: str) -> None:
    message = refused(start + bytes(100))
    assert f"found {found}" in message
    assert "ffmpeg -i pipe: -f wav -" in message


def test_wherever_speech_begins_it_is_hardly_ever_taken_for_compressed_sound() -> None:
    sound = excerpt(0.0, 20.0)
    digits = s16(sound).hex()
    found = [at for frame in OTHER_FRAMES for at in re.finditer(f"(?={frame})", digits)]
    assert sum(at.start() % 4 == 0 for at in found) < len(sound) / 100_000


def test_text_is_refused() -> None:
    assert "found text: 'Dear diary, '" in refused(b"Dear diary, today I spoke.\n")
    assert r"found text: 'Dear\n'" in refused(b"Dear\n")


def test_an_empty_pipe_is_refused() -> None:
    assert "the pipe is empty" in refused()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (fmt(tag=2, bits=4), "found format 2 with 4 bits"),
        (fmt(tag=PCM, bits=12), "found format 1 with 12 bits"),
        (fmt(tag=FLOAT, bits=16), "found format 3 with 16 bits"),
        (chunk(b"fmt ", bytes(4)), "damaged `fmt ` chunk"),
        (b"", "does not say its form"),
        (fmt(rate=0), "sample rate from 4000 to 384000 Hz, found 0"),
        (fmt(channels=0), "1 to 1024 channels, found 0"),
    ],
)
def test_a_wav_stream_that_cannot_be_decoded_is_refused(form: bytes, message: str) -> None:
    assert message in refused(wav(form, chunk(b"data", bytes(1_000))))


def test_a_stream_in_memory_or_packed_is_heard_as_it_is_read(tmp_path: Path) -> None:
    pcm = np.arange(-5_000, 5_000, dtype="<i2")
    expected = pcm.astype(np.float32) / 32_768
    with gzip.open(tmp_path / "a.gz", "wb") as packed:
        packed.write(pcm.tobytes())
    with gzip.open(tmp_path / "a.gz") as unpacked:
        assert np.array_equal(all_of(Pipe(unpacked, rate=16_000)), expected)
    assert np.array_equal(all_of(Pipe(io.BytesIO(pcm.tobytes()), rate=16_000)), expected)


def test_what_a_stream_has_read_ahead_is_heard() -> None:
    pcm = np.arange(-5_000, 5_000, dtype="<i2")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(pcm.tobytes())
        program.stdin.close()
        header = program.stdout.read(320)
        heard = all_of(Pipe(program.stdout, rate=16_000))
    assert header == pcm[:160].tobytes()
    assert np.array_equal(heard, pcm[160:].astype(np.float32) / 32_768)


def test_a_stream_is_called_as_it_was_named() -> None:
    with pytest.raises(AudioError, match="Expected sound on radio, found nothing"):
        Pipe(io.BytesIO(), name="radio").open()


# Stop.


@pytest.mark.parametrize("heard", [b"", bytes(640)], ids=["at once", "after some sound"])
def test_stop_ends_a_stalled_pipe(heard: bytes) -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb", buffering=0) as stream, open(write_end, "wb", buffering=0) as stalled:
        stalled.write(heard)
        pipe = Pipe(stream)
        n_samples = []
        has_heard = threading.Event()

        def read_all() -> None:
            pipe.open()
            while (block := pipe.read()) is not None:
                n_samples.append(len(block.samples))
                has_heard.set()

        reader = threading.Thread(target=read_all)
        reader.start()
        if heard:
            assert has_heard.wait(timeout=30)
        pipe.stop()
        reader.join(timeout=30)
        assert not reader.is_alive()
    assert sum(n_samples) == len(heard) // 2
