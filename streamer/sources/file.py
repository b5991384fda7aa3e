"""Recordings in every format that libsndfile reads."""

from __future__ import annotations

import logging
import mmap
import os
import re
import stat
import threading
import time
from pathlib import Path

import soundfile

from streamer.audio import Converter
from streamer.errors import AudioError
from streamer.sources import Block, stopped
from streamer.sources.pipe import UNKNOWN_SIZE

logger = logging.getLogger(__name__)

BLOCK_S = 0.1
REALTIME_BLOCK_S = 0.02  # as from a microphone
UNKNOWN_FRAMES = 1 << 62  # What was written into a pipe does not say how long it is.
UNEXPECTED_END_S = 1.0  # The length of an MP3 file is partly estimated.
# What libsndfile notes of a WAV, AIFF or AU file that is shorter than its header says, in bytes.
SHORTENED = re.compile(r"(?m)^ *(?:data|SSND|Data Size) *: (\d+) \(should be ([1-9]\d*)\)")

# Where a recording goes on, and where behind that another one begins, of which libsndfile knows
# nothing: pages of Ogg (RFC 3533, section 6), and what encoders of MP3 write into the first frame.
JOINED = {
    "OGG": (re.compile(rb"OggS\0[\0\x01]"), re.compile(rb"OggS\0\x02")),
    "MP3": (re.compile(rb"(Xing|Info)\0\0\0"),) * 2,
}


class _Forwards(soundfile.SoundFile):  # type: ignore[misc]  # It has no types.
    """A sound file that is read from its beginning to its end.

    Otherwise `soundfile` seeks after each block to where it is, which fails at the end of a FLAC
    file that does not say how long it is.
    """

    def seekable(self) -> bool:
        return False


class File:
    """Reads a recording once, as fast as possible or at the speed of speech.

    Attributes:
        duration_s: Its length, known once it is open; 0 if the file does not say it, or is a pipe.
        opened_at: `time.monotonic()` when it was opened: at the speed of speech, the moment of its
            first sample.
    """

    live = False

    def __init__(self, path: str | Path, *, realtime: bool = False) -> None:
        """Choose a recording; `realtime` delivers it at the speed of speech."""
        self.name = str(path)
        self._path = Path(path)
        self._realtime = realtime
        self._stopping = threading.Event()
        self._sound: soundfile.SoundFile | None = None
        self._was_open = False
        self.duration_s = 0.0
        self.opened_at = 0.0

    def open(self) -> None:
        """Open it.

        Raises:
            RuntimeError: It was stopped before, after it had been open.
            AudioError: It is missing, empty, or nothing that libsndfile reads.
        """
        path = self._path
        if self._was_open and self._stopping.is_set():
            raise stopped(f"The file {path}")
        try:
            status = path.stat()
        except FileNotFoundError:
            raise AudioError(f"{path}: there is no such file.") from None
        except OSError as error:
            raise AudioError(f"{path}: it cannot be read: {error.strerror}.") from error
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{path}: expected a recording, found a folder.")
        is_regular = stat.S_ISREG(status.st_mode)
        if is_regular and status.st_size == 0:
            raise AudioError(f"{path}: the file is empty.")
        try:
            # As bytes, because soundfile cannot encode a name that is not in the system's encoding.
            self._sound = _Forwards(path if os.name == "nt" else os.fsencode(path))
        except (soundfile.LibsndfileError, OSError, TypeError) as error:
            if isinstance(error, TypeError):
                raise AudioError(
                    f"{path}: raw samples do not say their form. Pipe them in: "
                    "streamer transcribe - --rate HZ < FILE"
                ) from error
            reason = getattr(error, "error_string", str(error)).rstrip(".")
            if "not exist" in reason:  # libsndfile says so of an MP3 file without a frame in it.
                reason = "the format is not recognised"
            raise AudioError(
                f"{path}: expected a recording (WAV, FLAC, OGG, Opus, MP3, AIFF ...), found none "
                f"that can be read: {reason}. Convert other formats first: "
                "ffmpeg -i INPUT OUTPUT.wav"
            ) from error
        if self._sound.frames == 0:
            self.close()
            raise AudioError(
                f"{path}: the recording holds no sound, its length is zero. If it was recorded "
                "into a pipe, which leaves the length out: streamer transcribe - < FILE"
            )
        # A program that writes into a pipe may say some 2 or 4 GiB.
        is_known = is_regular and self._sound.frames < UNKNOWN_FRAMES
        n_frames = self._sound.frames if is_known else 0
        self.duration_s = self._said_s = n_frames / self._sound.samplerate
        if found := SHORTENED.search(self._sound.extra_info):
            n_said, n_there = map(int, found.groups())
            self._said_s *= n_said / n_there if n_said < UNKNOWN_SIZE else 1.0
        if is_regular and _is_joined(path, self._sound.format):
            logger.warning(
                "%s: several recordings were joined, and only the first, %.1f s long, is heard. "
                "Make them one: ffmpeg -i INPUT OUTPUT.wav",
                path,
                self.duration_s,
            )
        try:
            self._converter = Converter(self._sound.samplerate, self._sound.channels)
        except AudioError as error:
            self.close()
            raise AudioError(f"{path}: {error}") from error
        block_s = REALTIME_BLOCK_S if self._realtime else BLOCK_S
        self._block_length = max(1, round(self._sound.samplerate * block_s))
        self._n_read = 0
        self._has_ended = False
        self._was_open = True
        self.opened_at = time.monotonic()

    def read(self) -> Block | None:
        """The next block; None at the end, and soon after `stop`.

        Raises:
            AudioError: The recording cannot be read from here on.
        """
        if self._has_ended:
            return None
        assert self._sound is not None
        if self._realtime:
            # A microphone, too, delivers a block when its last sample has been spoken.
            due = self.opened_at + (self._n_read + self._block_length) / self._sound.samplerate
            self._stopping.wait(max(0.0, due - time.monotonic()))
        try:
            empty = self._stopping.is_set()
            data = self._sound.read(
                0 if empty else self._block_length, dtype="float32", always_2d=True
            )
            if len(data):
                self._n_read += len(data)
                return Block(self._converter.push(data))
        except (soundfile.LibsndfileError, AudioError) as error:
            raise AudioError(f"{self._path}: {error}") from error
        self._has_ended = True
        read_s = self._n_read / self._sound.samplerate
        if self._said_s - read_s > UNEXPECTED_END_S and not empty:
            logger.warning(
                "%s is said to be %.1f s long, but ends after %.1f s.",
                self._path,
                self._said_s,
                read_s,
            )
        return Block(self._converter.flush())

    def stop(self) -> None:
        """End the sound here; from any thread."""
        self._stopping.set()

    def close(self) -> None:
        """Close the file."""
        if self._sound is not None:
            self._sound.close()
            self._sound = None


def _is_joined(path: Path, form: str) -> bool:
    """Whether there are further recordings behind the first one."""
    if form not in JOINED:
        return False
    inside, beginning = JOINED[form]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = inside.search(data)
        return found is not None and beginning.search(data, found.end()) is not None
