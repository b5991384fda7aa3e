"""Acoustic models: raw waveforms and valid lengths in, log-probabilities and valid frames out.

`load` finds one by name or path, through `store`, and puts it behind padding. TensorFlow is
imported by it and not before: that takes seconds, in which a microphone can already listen.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.errors import ModelError
from streamer.models import compiled_code, store
from streamer.models.catalogue import STARTER
from streamer.models.unpacking import unpack
from streamer.processor import multiplies_bfloat16
from streamer.settings import PRECISIONS, to_samples

if TYPE_CHECKING:
    from streamer.models.compiled import AcousticModel, CompiledModel

# The lengths of a model that is compiled for each. One costs a second or two of the first start and
# saves the time that a shorter utterance would spend on padding. From `scripts/measure_buckets` on
# two busy cores: time grows with the length, and partials take a tenth less than with the best four
# lengths, a third less than with the best two. A partial of a long utterance has 2.5 to 4 s, as has
# its final; an utterance of 8 s, with what is heard before and after it, is given 9. The longest is
# the published length of wav2vec2-960h.
BUCKETS_S = (2.0, 3.0, 4.0, 6.0, 9.0, 15.375)
AS_PUBLISHED = "@published"  # behind the name of a model whose own graph is to be run

logger = logging.getLogger(__name__)


def load(
    name: str | Path = "auto", *, jit_compile: bool | None = None, precision: str = "auto"
) -> CompiledModel:
    """Load a model by its name or path; nothing is compiled yet, and nothing is ever downloaded.

    A model that pays for its padding says so in a warning of the logger `streamer.models`.

    Args:
        name: A name that `streamer.models.store` knows, or the folder of a wav2vec 2.0 or HuBERT
            CTC checkpoint from Hugging Face, or the folder or `.tar.gz` of a SavedModel. `auto` is
            wav2vec2-960h if it has been pulled, else `starter`. A SavedModel with the variables of
            the published wav2vec2-960h gives its weights to our own graph, unless its name has
            `@published` behind it; any other is run as it is.
        jit_compile: Whether XLA compiles it; None leaves it to the model.
        precision: `float32`, or `bfloat16` for `starter` and for a wav2vec 2.0 or HuBERT in our own
            graph. `auto` is bfloat16 for `starter` where the processor has instructions for it,
            unless XLA is to compile the encoder, and float32 for all others, whose words were not
            compared.

    Raises:
        ModelError: There is no such model on this machine, or it cannot be read.
        ValueError: There is no such precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"Expected a precision of {', '.join(PRECISIONS)}, found {precision!r}.")
    plain_name = str(name).removesuffix(AS_PUBLISHED)
    if plain_name == "auto":
        plain_name = store.default()
    if plain_name == STARTER:
        if precision == "auto":
            is_quicker = multiplies_bfloat16() and not jit_compile  # XLA has no instructions for it
            precision = "bfloat16" if is_quicker else "float32"
        import_tensorflow()
        from streamer.models.starter import Starter
        from streamer.models.two_pass import TwoPassModel

        starter = Starter.from_package(precision)
        return TwoPassModel(starter, _buckets(), jit_compile=jit_compile)
    if precision == "auto":
        precision = "float32"
    found = store.find(plain_name)
    is_as_published = str(name).endswith(AS_PUBLISHED)
    model, buckets = _read(found.path, found.name, is_as_published, precision)
    if precision != "float32":
        from streamer.models.wav2vec2 import Wav2Vec2

        if not isinstance(model, Wav2Vec2):
            raise ModelError(
                f"Expected `starter`, a wav2vec 2.0 or a HuBERT for {precision}, found "
                f"{model.name}, which computes in float32."
            )
    from streamer.models.compiled import CompiledModel

    return CompiledModel(model, buckets, jit_compile=jit_compile)


def _read(
    path: Path, name: str, is_as_published: bool, precision: str
) -> tuple[AcousticModel, Sequence[int]]:
    """Read what is at a path; returns it with the lengths in samples to run it with.

    Raises:
        ModelError: It is no model, or cannot be read.
    """
    if path.is_file() and path.name.endswith((".tar.gz", ".tgz")):
        with tempfile.TemporaryDirectory(prefix="streamer-") as folder:
            return _read(unpack(path, Path(folder) / "model"), name, is_as_published, precision)
    is_checkpoint = (path / "config.json").is_file()
    if not (is_checkpoint or (path / "saved_model.pb").is_file()):
        found = "a folder with neither" if path.is_dir() else "nothing of the kind"
        raise ModelError(
            "Expected a name that `streamer models` lists, or a folder with config.json (a "
            "checkpoint from Hugging Face) or saved_model.pb as the model, found "
            f"{found}: {path}"
        )
    import_tensorflow()
    from streamer.models import checkpoints, saved_model

    is_published_form = not is_checkpoint and checkpoints.is_published_form(path)
    if is_as_published and not is_published_form:
        raise ModelError(
            f"Expected the published wav2vec2-960h before {AS_PUBLISHED}, found another model: "
            f"{path}"
        )
    if is_checkpoint:
        return checkpoints.read_hugging_face(path, precision, name=name), _buckets()
    if is_published_form and not is_as_published:
        return checkpoints.read_saved_model(path, precision=precision), _buckets()
    model = saved_model.published(path) if is_as_published else saved_model.read(path, name)
    if model.caveat is not None:
        logger.warning(model.caveat)
    return model, [model.length] if model.length else _buckets()


def _buckets() -> list[int]:
    return [to_samples(seconds) for seconds in BUCKETS_S]


def import_tensorflow() -> None:
    """Import TensorFlow with little chatter, and without stopping the other threads."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    compiled_code.keep()
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
