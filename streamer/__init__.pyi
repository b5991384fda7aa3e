from . import errors as errors
from . import events as events
from . import models as models
from . import settings as settings
from . import sources as sources
from .errors import (
    AudioError,
    CallbackError,
    DeviceError,
    DeviceLostError,
    ModelError,
    StreamerError,
)
from .events import (
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
from .formatting import Formatter
from .pipeline import Pipeline
from .settings import PRESETS, NoiseGate, Settings, TextStyle
from .sources import Block, DeviceChange, Source
from .sources.file import File
from .sources.microphone import Microphone
from .sources.pipe import Pipe
from .transcriber import Transcriber

__version__: str

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
    "Formatter",
    "Lagging",
    "Microphone",
    "ModelError",
    "NoiseGate",
    "Partial",
    "Pipe",
    "Pipeline",
    "Settings",
    "Source",
    "SpeechStarted",
    "Statistics",
    "StreamerError",
    "TextStyle",
    "Transcriber",
    "Word",
]
