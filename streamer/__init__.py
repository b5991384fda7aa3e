"""Speech to text while it is being spoken, on the user's own machine.

    sources      sound from a microphone, a file or a pipe
    audio        the one form of sound inside: float32, mono, 16 kHz
    listener     the listening side: `vad` -> `segmenter`, and the `ring_buffer` with the sound
    recogniser   the recognising side: `padding` -> `models` -> `decoder` -> `stabiliser`
    pipeline     both as one synchronous object
    transcriber  both behind threads, with an `event_queue`
    events       what comes out

See the README for how to begin. Importing this package does not import TensorFlow.
"""

from streamer.config import PRESETS, Settings
from streamer.errors import (
    AudioError,
    CallbackError,
    DeviceError,
    DeviceLostError,
    ModelError,
    StreamerError,
)
from streamer.events import (
    AudioDropped,
    Closed,
    DeviceLost,
    DeviceRestored,
    Event,
    Final,
    Lagging,
    Partial,
    SpeechStarted,
    Statistics,
    Word,
)
from streamer.pipeline import Pipeline
from streamer.sources import Block, DeviceChange, Source
from streamer.sources.file import File
from streamer.sources.microphone import Microphone
from streamer.sources.pipe import Pipe
from streamer.transcriber import Transcriber

__version__ = "0.1.0"

__all__ = [
    "PRESETS",
    "AudioDropped",
    "AudioError",
    "Block",
    "CallbackError",
    "Closed",
    "DeviceChange",
    "DeviceError",
    "DeviceLost",
    "DeviceLostError",
    "DeviceRestored",
    "Event",
    "File",
    "Final",
    "Lagging",
    "Microphone",
    "ModelError",
    "Partial",
    "Pipe",
    "Pipeline",
    "Settings",
    "Source",
    "SpeechStarted",
    "Statistics",
    "StreamerError",
    "Transcriber",
    "Word",
]
