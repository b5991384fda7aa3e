"""Acoustic models: raw waveforms and valid lengths in, log-probabilities and valid frames out.

`load` finds one by name or path and puts it behind fixed shapes. TensorFlow is imported by it and
not before: that takes seconds, in which a microphone can already listen.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.config import to_samples
from streamer.errors import ModelError

if TYPE_CHECKING:
    from streamer.models.compiled import AcousticModel, CompiledModel

# Each costs seconds of start-up and saves the time that a shorter utterance would spend on padding
# (`scripts/measure_buckets`). The longest is the published length of wav2vec2-960h.
BUCKETS_S = (4.0, 8.0, 15.375)


def load(name: str | Path = "auto", *, jit_compile: bool | None = None) -> CompiledModel:
    """Load a model by its name or path; nothing is compiled yet.

    Args:
        name: `auto` or `starter` for the model in the package, or the folder of a SavedModel.
        jit_compile: Whether XLA compiles it; None leaves it to the model.

    Raises:
        ModelError: There is no such model, or it cannot be read.
    """
    folder = Path(name)
    if str(name) not in ("auto", "starter") and not (folder / "saved_model.pb").is_file():
        found = "a folder without saved_model.pb" if folder.is_dir() else "neither"
        raise ModelError(
            f"Expected 'starter' or the folder of a SavedModel as the model, found {found}: {name}"
        )
    _import_tensorflow()
    from streamer.models.compiled import CompiledModel

    model: AcousticModel
    if str(name) in ("auto", "starter"):
        from streamer.models.starter import Starter

        model = Starter.from_package()
    else:
        from streamer.models.saved_model import SavedModel

        model = SavedModel(folder)
    buckets = [to_samples(seconds) for seconds in BUCKETS_S]
    return CompiledModel(model, buckets, jit_compile=jit_compile)


def _import_tensorflow() -> None:
    """Import TensorFlow with little chatter, and without stopping the other threads."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules:
        _preload_libraries()
        import tensorflow  # noqa: F401


def _preload_libraries() -> None:
    """Load TensorFlow's shared libraries while other threads run.

    An import holds the interpreter's lock while the system loads a gigabyte of code and runs its
    initialisers: 0.4 s at best, seconds from a cold disk, in which no Python thread could read the
    microphone. A foreign function called through `ctypes` lets go of the lock.
    """
    spec = importlib.util.find_spec("tensorflow")
    if sys.platform != "linux" or spec is None or spec.origin is None:
        return
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    for name in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"):
        # A failure is harmless: the import loads it, or says why it cannot.
        dlopen(os.fsencode(Path(spec.origin).parent / name), os.RTLD_LAZY)
