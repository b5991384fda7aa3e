"""Acoustic models: raw waveforms and valid lengths in, log-probabilities and valid frames out.

`load` finds one by name or path and puts it behind fixed shapes. TensorFlow is imported by it and
not before: that takes seconds, in which a microphone can already listen.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.config import to_samples
from streamer.errors import ModelError

if TYPE_CHECKING:
    from streamer.models.compiled import AcousticModel, CompiledModel

# Each costs seconds of start-up and saves the time that a shorter utterance would spend on padding.
# The longest is the published length of wav2vec2-960h.
BUCKETS_S = (4.0, 8.0, 15.375)
# From `scripts/measure_buckets` on two busy cores: time grows with the length, and partials take a
# tenth less than with the best four lengths, a third less than with the best two.
WAV2VEC2_BUCKETS_S = (2.0, 4.0, 6.0, 11.0, 15.375)


def load(name: str | Path = "auto", *, jit_compile: bool | None = None) -> CompiledModel:
    """Load a model by its name or path; nothing is compiled yet.

    Args:
        name: `auto` or `starter` for the model in the package; or the folder of a wav2vec 2.0 or
            HuBERT CTC checkpoint from Hugging Face; or the folder of a SavedModel. A SavedModel
            with the variables of the published wav2vec2-960h, also as a `.tar.gz`, gives its
            weights to our own graph; any other is run as it is.
        jit_compile: Whether XLA compiles it; None leaves it to the model.

    Raises:
        ModelError: There is no such model, or it cannot be read.
    """
    path = Path(name)
    in_package = str(name) in ("auto", "starter")
    is_checkpoint = (path / "config.json").is_file()
    is_saved_model = (path / "saved_model.pb").is_file()
    is_archive = path.is_file() and path.name.endswith((".tar.gz", ".tgz"))
    if not (in_package or is_checkpoint or is_saved_model or is_archive):
        found = "a folder with neither" if path.is_dir() else "nothing of the kind"
        raise ModelError(
            "Expected 'starter', or a folder with config.json (a checkpoint from Hugging Face) or "
            f"saved_model.pb as the model, found {found}: {name}"
        )
    _import_tensorflow()
    from streamer.models import checkpoints
    from streamer.models.compiled import CompiledModel

    model: AcousticModel
    buckets_s: Sequence[float] = BUCKETS_S
    if in_package:
        from streamer.models.starter import Starter

        model = Starter.from_package()
    elif is_checkpoint:
        model, buckets_s = checkpoints.read_hugging_face(path), WAV2VEC2_BUCKETS_S
    elif is_archive or checkpoints.is_published_form(path):
        model, buckets_s = checkpoints.read_saved_model(path), WAV2VEC2_BUCKETS_S
    else:
        from streamer.models.saved_model import SavedModel

        model = SavedModel(path)
    buckets = [to_samples(seconds) for seconds in buckets_s]
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
