"""Sound on a pipe: a WAV stream or raw PCM, as it comes."""

from __future__ import annotations

import io
import logging
import os
import re
import select
import struct
import sys
import threading
from collections.abc import Callable
from typing import IO

import numpy as np
import numpy.typing as npt

from streamer.audio import MAX_CHANNELS, MAX_RATE, MIN_RATE, Converter
from streamer.errors import AudioError
from streamer.settings import SAMPLE_RATE
from streamer.sources import Block, stopped

logger = logging.getLogger(__name__)

READ_BYTES = 1 << 16  # what a pipe holds on Linux
POLL_S = 0.1
# A program that records to a pipe does not know the length; it writes 0, or some 2 or 4 GiB.
UNKNOWN_SIZE = 0x7FFF0000

# Name -> (bytes a sample, dtype); all little-endian. 24 bits have no dtype of their own.
ENCODINGS: dict[str, tuple[int, str]] = {
    "s16": (2, "<i2"),
    "s24": (3, "<i4"),
    "s32": (4, "<i4"),
    "u8": (1, "u1"),
    "f32": (4, "<f4"),
    "f64": (8, "<f8"),
}
# How other formats begin, to tell somebody who pipes one in.
OTHER_FORMATS = {
    rb"fLaC": "FLAC",
    rb"OggS": "Ogg",
    rb"ID3": "MP3",
    rb"FORM": "AIFF",
    rb"caff": "CAF",
    rb"\x1aE\xdf\xa3": "Matroska or WebM",
    rb"....ftyp": "MP4, M4A or 3GP",
    rb"\.snd": "AU",
    rb"wvpk": "WavPack",
    rb"riff\x2e\x91": "Wave64",
    rb"#!AMR": "AMR",
    rb"\x30\x26\xb2\x75\x8e\x66": "WMA",
}
# These begin with a frame, and its first bytes may be samples of PCM. So this is all of its header
# that hardly varies, as hexadecimal digits: ISO 11172-3 section 2.4.1.3 (layer III, no emphasis),
# ISO 13818-7 table 8 (low complexity, one block a frame) and ATSC A/52 section 5.3 (version 8).
OTHER_FRAMES = {
    r"ff(e[23]|f[23ab])[1-9a-e][02468a][04-8c][048c]": "MP3",
    r"fff[19][4-7].[048c]0.....[048c]": "AAC",
    r"0b77......40": "AC-3",
}


class Pipe:
    """Reads a pipe until it ends. Whoever writes into it waits while the model is busy.

    A stream that begins like a WAV file is one, and its header tells the form. Anything else is raw
    PCM.
    """

    live = False

    def __init__(
        self,
        stream: IO[bytes],
        *,
        rate: int | None = None,
        channels: int | None = None,
        encoding: str | None = None,
        name: str = "-",
    ) -> None:
        """Describe the raw PCM; what is not said is 16 kHz, mono, 16 bits (`s16`).

        Args:
            stream: A binary file, a pipe, what `socket.makefile` gives, a packed file, or bytes in
                memory; what of them is still to be read. What a stream has read ahead is heard when
                more comes, or with its end.
            rate: In Hz.
            channels: Samples of which follow each other.
            encoding: One of `ENCODINGS`.
            name: What it is called in messages; `-` is standard input.

        Raises:
            TypeError: The stream is one of text.
            ValueError: There is no such encoding, or a number is out of range.
        """
        if isinstance(stream, io.TextIOBase):
            raise TypeError("Expected a binary stream, found one of text; give its `buffer`.")
        if encoding is not None and encoding not in ENCODINGS:
            raise ValueError(f"Expected an encoding of {', '.join(ENCODINGS)}, found {encoding!r}.")
        if rate is not None and not MIN_RATE <= rate <= MAX_RATE:
            raise ValueError(f"Expected a rate from {MIN_RATE} to {MAX_RATE} Hz, found {rate}.")
        if channels is not None and not 1 <= channels <= MAX_CHANNELS:
            raise ValueError(f"Expected 1 to {MAX_CHANNELS} channels, found {channels}.")
        self.name = name
        self._place = "standard input" if name == "-" else name
        self._stream = stream
        self._was_open = False
        self._said = (rate, channels, encoding)
        self._stopping = threading.Event()

    def open(self) -> None:
        """Read the first bytes and find out the form.

        Raises:
            AudioError: There is no sound on it, or in a form that cannot be used.
            RuntimeError: It was stopped before, after it had been open.
        """
        if self._was_open and self._stopping.is_set():
            raise stopped(f"The stream on {self._place}")
        self._unread = b""
        self._has_ended = False
        self._is_flushed = False
        self._has_sound = False
        self._n_bytes_left: int | None = None
        if self._stream.isatty():
            raise AudioError(
                f"Expected sound on {self._place}, found a terminal. Pipe it in, for example: "
                "arecord -q -f S16_LE -r 16000 -t wav | streamer transcribe -"
            )
        start = self._read_exactly(12, may_end=True)
        if not start and not self._stopping.is_set():
            raise AudioError(f"Expected sound on {self._place}, found nothing: the pipe is empty.")
        if start[:4] in (b"RIFF", b"RF64"):
            if start[8:] != b"WAVE":
                raise AudioError(
                    f"Expected a WAV stream on {self._place}, found one that ends inside its "
                    "header or holds something else."
                )
            rate, channels, encoding = self._read_wav_header()
        else:
            if self._said == (None, None, None):
                _check_is_raw(start, self._place)
            said_rate, said_channels, said_encoding = self._said
            rate = said_rate or SAMPLE_RATE
            channels, encoding = said_channels or 1, said_encoding or "s16"
            self._unread = start + self._unread
        self._encoding = encoding
        self._channels = channels
        self._converter = Converter(rate, channels)
        self._was_open = True

    def read(self) -> Block | None:
        """Wait for the next samples; None at the end, and soon after `stop`.

        Raises:
            AudioError: A float is not finite.
        """
        width = ENCODINGS[self._encoding][0] * self._channels
        while not self._has_ended:
            data, self._unread = self._unread, b""
            if len(data) < width:
                more = self._read_some()
                self._has_ended = not more
                data += more
            if self._n_bytes_left is not None:
                data = data[: self._n_bytes_left]
            usable = len(data) - len(data) % width
            self._unread = data[usable:]
            if self._n_bytes_left is not None:
                self._n_bytes_left -= usable
                self._has_ended |= self._n_bytes_left < width
            if usable:
                self._has_sound = True
                samples = _decode(data[:usable], self._encoding).reshape(-1, self._channels)
                return Block(self._converter.push(samples))
        if self._is_flushed:
            return None
        if not (self._has_sound or self._stopping.is_set()):
            raise AudioError(f"The stream on {self._place} holds no sound, its length is zero.")
        self._is_flushed = True
        n_missing = (self._n_bytes_left or 0) // width
        if n_missing and not self._stopping.is_set():
            logger.warning(
                "The WAV stream on %s breaks off %.1f s before its end.",
                self._place,
                n_missing / self._converter.sample_rate,
            )
        return Block(self._converter.flush())

    def stop(self) -> None:
        """End the sound here; from any thread."""
        self._stopping.set()

    def close(self) -> None:
        """Nothing to give back: the stream is the caller's."""

    def _read_some(self) -> bytes:
        """What the stream has, at least a byte; nothing at its end and after `stop`."""
        try:
            fd = self._stream.fileno()
        except io.UnsupportedOperation:  # It is in memory: nothing to wait for.
            fd = None
        # Windows cannot wait for a pipe and for something else; there `stop` takes effect with
        # the next bytes.
        while fd is not None and sys.platform != "win32" and not self._stopping.is_set():
            if select.select([fd], [], [], POLL_S)[0]:
                break
        if self._stopping.is_set():
            return b""
        try:
            if fd is not None and sys.platform == "win32":
                # `read1` would keep the stream locked while it waits, and Python from ending.
                return os.read(fd, READ_BYTES)
            # What the stream has read ahead or unpacked; else what there is, without more waiting.
            read: Callable[[int], bytes] = getattr(self._stream, "read1", self._stream.read)
            return read(READ_BYTES) or b""
        except (OSError, EOFError) as error:
            raise AudioError(f"The stream on {self._place} cannot be read: {error}.") from error

    def _read_exactly(self, n_bytes: int, *, may_end: bool = False) -> bytes:
        data = self._unread
        while len(data) < n_bytes:
            more = self._read_some()
            if not more:
                if may_end:
                    break
                raise AudioError(f"The WAV stream on {self._place} ends inside its header.")
            data += more
        self._unread = data[n_bytes:]
        return data[:n_bytes]

    def _read_wav_header(self) -> tuple[int, int, str]:
        """Read up to the first sample; returns rate, channels and encoding.

        Chunks as in the Multimedia Programming Interface and Data Specifications 1.0 (1991).
        No library reads a WAV file from a pipe that may stall and must be left in the middle.
        """
        form: tuple[int, int, str] | None = None
        while True:
            chunk, size = struct.unpack("<4sI", self._read_exactly(8))
            if chunk == b"data":
                self._n_bytes_left = size if 0 < size < UNKNOWN_SIZE else None
                break
            body = self._read_exactly(size + size % 2)
            if chunk == b"fmt ":
                form = _parse_format(body, self._place)
        if form is None:
            raise AudioError(f"The WAV stream on {self._place} does not say its form (no `fmt `).")
        for what, said, found in zip(
            ("rate", "channels", "encoding"), self._said, form, strict=True
        ):
            if said is not None and said != found:
                raise AudioError(
                    f"Expected a WAV stream with {what} {said} as said by --{what}, "
                    f"found {found}. Leave --{what} out: the header is used."
                )
        return form


def _check_is_raw(start: bytes, place: str) -> None:
    """Refuse what surely is no raw PCM, unless somebody said that it is."""
    found = [form for magic, form in OTHER_FORMATS.items() if re.match(magic, start, re.DOTALL)]
    found += [form for magic, form in OTHER_FRAMES.items() if re.match(magic, start.hex())]
    if found:
        raise AudioError(
            f"Expected WAV or raw PCM on {place}, found {found[0]}. Decode it first: "
            "ffmpeg -i pipe: -f wav - | streamer transcribe -"
        )
    # A dozen printable bytes are text, not sound; and fewer, where the stream ends, are no sound.
    if start and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        raise AudioError(f"Expected WAV or raw PCM on {place}, found text: {start.decode()!r}.")


def _parse_format(body: bytes, place: str) -> tuple[int, int, str]:
    """The `fmt ` chunk of a WAV file as rate, channels and encoding."""
    if len(body) < 16:
        raise AudioError(f"The WAV stream on {place} has a damaged `fmt ` chunk.")
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == 0xFFFE and len(body) >= 26:  # WAVE_FORMAT_EXTENSIBLE: the tag is in the GUID
        (tag,) = struct.unpack("<H", body[24:26])
    encodings = {(1, 8): "u8", (1, 16): "s16", (1, 24): "s24", (1, 32): "s32"}
    encodings |= {(3, 32): "f32", (3, 64): "f64"}
    if (tag, bits) not in encodings:
        raise AudioError(
            f"Expected PCM or float samples in the WAV stream, found format {tag} with {bits} "
            "bits. Decode it first: ffmpeg -i pipe: -f wav - | streamer transcribe -"
        )
    return rate, channels, encodings[tag, bits]


def _decode(data: bytes, encoding: str) -> npt.NDArray[np.generic]:
    """Bytes of whole samples -> an array of them, shape [n_samples * channels]."""
    width, dtype = ENCODINGS[encoding]
    if width == 3:
        # The three bytes become the upper ones of 32 bits: the scale stays full range.
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return padded.reshape(-1).view("<i4")
    return np.frombuffer(data, dtype)
