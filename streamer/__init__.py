"""Speech to text while it is being spoken, on the user's own machine.

    sources      sound from a microphone, a file or a pipe
    audio        the one form of sound inside: float32, mono, 16 kHz
    listener     the listening side: `vad` -> `segmenter`, and the `ring_buffer` with the sound
    recogniser   the recognising side: `padding` -> `models` -> `decoder` -> `stabiliser`
    pipeline     both as one synchronous object
    transcriber  both behind threads, with an `event_queue`
    events       what comes out

See the README for how to begin. What `__init__.pyi` lists is imported when it is first used (SPEC 1
of Scientific Python), so that `import streamer` takes no time.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
