"""Voice activity detection: one frame in, speech or not out."""

from __future__ import annotations

from collections import deque

import numpy as np
import webrtcvad

from streamer.audio import Samples, level_db
from streamer.config import SAMPLE_RATE, Settings

SILENCE_DB = -90.0  # Where the noise floor starts: before anything was heard, nothing is noise.
SMOOTHING = 0.5  # Weight of the newest frame in the smoothed level; about 3 frames of memory.


class Vad:
    """WebRTC VAD with an adaptive noise floor.

    WebRTC alone calls steady noise speech. The floor is the least smoothed level of the last
    seconds (minimum statistics, Martin 2001, https://doi.org/10.1109/89.928915): even fluent
    speech dips between words, a fan does not. A frame must be louder than the floor by a margin.

    Attributes:
        frame_length: Samples in a frame.
    """

    def __init__(self, settings: Settings) -> None:
        self.frame_length = SAMPLE_RATE * settings.vad_frame_ms // 1000
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget everything heard."""
        self._webrtc = webrtcvad.Vad(self._settings.vad_mode)
        n_frames = max(1, round(self._settings.noise_window_s * SAMPLE_RATE / self.frame_length))
        self._levels = deque([SILENCE_DB] * n_frames, maxlen=n_frames)
        self._smoothed_db = SILENCE_DB

    @property
    def level_db(self) -> float:
        """The smoothed level of the newest frames, in dB of full scale."""
        return self._smoothed_db

    @property
    def noise_floor_db(self) -> float:
        """The level of the background, in dB of full scale."""
        return min(self._levels)

    def push(self, frame: Samples) -> bool:
        """Whether the next frame, shape [frame_length], is speech."""
        db = level_db(frame)
        self._smoothed_db += SMOOTHING * (max(db, SILENCE_DB) - self._smoothed_db)
        is_loud = db > max(
            self.noise_floor_db + self._settings.noise_margin_db, self._settings.quietest_speech_db
        )
        self._levels.append(self._smoothed_db)
        pcm = (np.clip(frame, -1.0, 1.0) * 32767.0).astype(np.int16)
        # Every frame goes through WebRTC, loud or not: it adapts to what it hears.
        is_voiced: bool = self._webrtc.is_speech(pcm.tobytes(), SAMPLE_RATE)
        return is_voiced and is_loud
