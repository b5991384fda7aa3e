"""What can go wrong, and whose fault it is.

    StreamerError               every error that this package raises on purpose
    |-- AudioError              the sound given cannot be used: unreadable, wrong form, not finite
    |-- DeviceError             the microphone or PortAudio cannot be used
    |   `-- DeviceLostError          it worked, and then it was gone
    |-- ModelError              the model cannot be found, read or run
    |-- TypingError             dictated text cannot be written where it should go
    |-- ConfigurationError      the configuration file or a variable says what no option takes
    `-- CallbackError           a callback given by the caller raised; its cause is attached

The message of each is one sentence or two, fit to be shown to a user: what was expected, what was
found, what to do. Wrong arguments of the Python API raise `ValueError` or `TypeError` as usual.
"""

from __future__ import annotations


class StreamerError(Exception):
    """Base of every error that this package raises on purpose."""


class AudioError(StreamerError):
    """The sound given cannot be used: unreadable, of the wrong form, or not finite."""


class DeviceError(StreamerError):
    """The microphone, or PortAudio itself, cannot be used."""


class DeviceLostError(DeviceError):
    """The microphone worked, and then it delivered nothing any more."""


class ModelError(StreamerError):
    """The model cannot be found, read or run."""


class TypingError(StreamerError):
    """Dictated text cannot be written where it should go."""


class ConfigurationError(StreamerError):
    """The configuration file cannot be read, or it or a variable says what no option takes."""


class CallbackError(StreamerError):
    """A callback given by the caller raised. The cause is its exception."""
