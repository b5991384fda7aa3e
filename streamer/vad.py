"""Voice activity detection: one frame in, speech or not out."""

from __future__ import annotations

from collections import deque

import numpy as np
import webrtcvad

from streamer.audio import Samples, level_db
from streamer.settings import SAMPLE_RATE, Settings

SILENCE_DB = -90.0  # Where the noise floor starts: before anything was heard, nothing is noise.
SMOOTHING = 0.5  # Weight of the newest frame in the smoothed level; about 3 frames of memory.
# Telephone keys, beeps and whistles are a few tones and nothing else. A voice has many, and the
# lowest is below `LOWEST_TONE_HZ`; breath and hissing sounds have none. (Measured: of the frames
# that WebRTC calls speech, so much of the power is within `TONE_WIDTH` of so many frequencies, and
# so little below, in 66 % of those of telephone keys, 67 % of alarms, 40 % of gliding tones, and in
# 0.03 % of those of people.)
N_TONES = 4
TONE_WIDTH = 2.5  # periods in a frame, to both sides
LOWEST_TONE_HZ = 550.0
TONES_SHARE, SHARE_BELOW = 0.95, 0.02
N_SPECTRUM = 512  # samples, padded with zeros


class Vad:
    """WebRTC VAD with an adaptive noise floor.

    WebRTC alone calls steady noise speech. The floor is the least smoothed level of the last
    seconds (minimum statistics, Martin 2001, https://doi.org/10.1109/89.928915): even fluent
    speech dips between words, a fan does not. A frame must be louder than the floor by a margin.
    And it calls beeps speech: what is nothing but a few high tones is not.

    Attributes:
        frame_length: Samples in a frame.
    """

    def __init__(self, settings: Settings) -> None:
        self.frame_length = SAMPLE_RATE * settings.vad_frame_ms // 1000
        self._settings = settings
        self._window = np.hanning(self.frame_length).astype(np.float32)
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
        return is_voiced and is_loud and not _is_tones(frame * self._window)


def _is_tones(frame: Samples) -> bool:
    """Whether a frame, windowed, is nothing but a few high tones."""
    power = np.abs(np.fft.rfft(frame, N_SPECTRUM)) ** 2
    all_power, below = power.sum(), round(LOWEST_TONE_HZ / SAMPLE_RATE * N_SPECTRUM)
    if power[:below].sum() > SHARE_BELOW * all_power:
        return False
    width = round(TONE_WIDTH / len(frame) * N_SPECTRUM)
    for _ in range(N_TONES):
        peak = int(power.argmax())
        power[max(0, peak - width) : peak + width + 1] = 0.0
    return bool(power.sum() < (1 - TONES_SHARE) * all_power)
