"""The models that have a name here: what they are, and where they come from.

What is said of a model is what its author published; sizes are of what is downloaded. Checksums are
known of what Hugging Face serves (it tells them itself). Of the archives of wav2vec2-960h none is
published: a pulled archive is checked against its own checksum and against the names and shapes of
the network's weights, and what was installed is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass

STARTER = "starter"
WAV2VEC2_960H = "wav2vec2-960h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model.

    Attributes:
        name: What `--model` and `streamer models` take.
        n_bytes: Size of what is downloaded, or is in the package.
        licence: Its SPDX name.
        purpose: What it is good for, in a line.
        handle: Its address on TF-Hub, which is also a name for it and a key in the cache of
            `tensorflow_hub`; None where there is none.
        sources: Addresses of the archive, tried in turn; none for what Hugging Face or the package
            holds.
        sha256: Of the archive; None where nobody has published it.
        revision: Of a repository on Hugging Face.
    """

    name: str
    n_bytes: int
    licence: str
    purpose: str
    handle: str | None = None
    sources: tuple[str, ...] = ()
    sha256: str | None = None
    revision: str = "main"


CATALOGUE = (
    Entry(
        name=STARTER,
        n_bytes=29_500_000,
        licence="MIT",
        purpose="English, in the package; writes case and punctuation",
    ),
    # https://github.com/tensorflow/tfhub.dev/blob/master/assets/docs/vasudevgupta7/models/wav2vec2-960h/1.md
    # names the first source, https://www.tensorflow.org/hub/hosting the form of the second, and
    # the third is in its author's repository on Hugging Face.
    Entry(
        name=WAV2VEC2_960H,
        n_bytes=391_000_000,
        licence="Apache-2.0",
        purpose="English; 3.4 % wrong words on LibriSpeech test-clean",
        handle="https://tfhub.dev/vasudevgupta7/wav2vec2-960h/1",
        sources=(
            "https://storage.googleapis.com/gsoc-weights/wav2vec2-960h/saved-model.tar.gz",
            "https://tfhub.dev/vasudevgupta7/wav2vec2-960h/1?tf-hub-format=compressed",
            "https://huggingface.co/vasudevgupta/gsoc-wav2vec2-960h/resolve/main/saved-model.tar.gz",
        ),
    ),
    Entry(
        name="facebook/wav2vec2-base-960h",
        n_bytes=378_000_000,
        licence="Apache-2.0",
        purpose="the same weights as wav2vec2-960h, from Hugging Face",
    ),
    # Of the next two, safetensors are only in the branch that Hugging Face's converter proposes.
    Entry(
        name="facebook/wav2vec2-large-960h-lv60-self",
        n_bytes=1_260_000_000,
        licence="Apache-2.0",
        purpose="English; 1.9 % wrong words; larger and slower",
        revision="refs/pr/5",
    ),
    Entry(
        name="facebook/hubert-large-ls960-ft",
        n_bytes=1_260_000_000,
        licence="Apache-2.0",
        purpose="English; 1.9 % wrong words; larger and slower",
        revision="refs/pr/1",
    ),
)


def entry_for(name: str) -> Entry | None:
    """The model with this name or handle, if there is one."""
    return next((entry for entry in CATALOGUE if name in (entry.name, entry.handle)), None)
