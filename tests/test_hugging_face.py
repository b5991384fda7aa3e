"""Checkpoints from Hugging Face, with its own library and a hub on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import save
from test_checkpoints import TINY
from web import Answer, Web, web_server

from streamer.models.checkpoints import hugging_face_name
from streamer.models.labels import WAV2VEC2_LABELS

pytest.importorskip("huggingface_hub", reason="with `pip install .[test]`")

NAME = "somebody/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def checkpoint() -> dict[str, bytes]:
    """The files of a repository, also some that nobody needs."""
    from published import random_weights

    weights = {
        hugging_face_name(name, "wav2vec2.", {}): array.T.copy()
        for name, array in random_weights(TINY).items()
    }
    config = {
        "model_type": "wav2vec2",
        "conv_dim": TINY.conv_dims,
        "hidden_size": TINY.hidden_size,
        "num_hidden_layers": TINY.n_layers,
        "num_attention_heads": TINY.n_heads,
        "intermediate_size": TINY.intermediate_size,
        "num_conv_pos_embeddings": TINY.position_kernel,
        "num_conv_pos_embedding_groups": TINY.position_groups,
    }
    vocabulary = {symbol: number for number, symbol in enumerate(WAV2VEC2_LABELS.symbols)}
    return {
        "config.json": json.dumps(config).encode(),
        "vocab.json": json.dumps(vocabulary).encode(),
        "model.safetensors": save(weights),
        "pytorch_model.bin": b"not needed" * 1000,
        "README.md": b"not needed",
    }


def publish(web: Web, files: dict[str, bytes]) -> None:
    """Put a repository onto the hub, in the form in which Hugging Face serves it."""
    siblings = [{"rfilename": name} for name in files]
    tree = []
    for name, contents in files.items():
        version = hashlib.sha256(contents).hexdigest()
        if name.endswith(("json", "md")):
            version = hashlib.sha1(f"blob {len(contents)}\0".encode() + contents).hexdigest()
        tree.append({"type": "file", "path": name, "size": len(contents), "oid": version})
        answer = Answer(version=f'"{version}"', headers=(("X-Repo-Commit", COMMIT),))
        web.serve(f"/{NAME}/resolve/{COMMIT}/{name}", contents, answer)
    about = json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings, "tags": []}).encode()
    for revision in ("main", COMMIT):
        web.serve(f"/api/models/{NAME}/revision/{revision}", about)
        web.serve(f"/api/models/{NAME}/tree/{revision}", json.dumps(tree).encode())


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return checkpoint()


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as web:
        yield web


class User:
    """Somebody at a command line, whose Hugging Face is on loopback."""

    def __init__(self, web: Web, home: Path) -> None:
        self.environment = {
            **os.environ,
            "HF_ENDPOINT": web.address,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
        }

    def runs(self, *arguments: str, status: int = 0) -> str:
        """Run a command; returns what it printed and said."""
        done = subprocess.run(
            [sys.executable, "-m", "streamer", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def user(web: Web, tmp_path: Path) -> User:
    return User(web, tmp_path / "huggingface")


def test_a_pulled_checkpoint_is_found_loaded_and_verified(
    web: Web, user: User, files: dict[str, bytes]
) -> None:
    publish(web, files)
    assert "is no folder on this machine, nor" in user.runs("models", "path", NAME, status=1)
    assert web.requests == []  # Nothing is asked for but by `pull`.

    said = user.runs("models", "pull", NAME)
    folder = Path(said.splitlines()[-1].rpartition("is ready: ")[2])
    needed = ["config.json", "model.safetensors", "vocab.json"]
    assert sorted(path.name for path in folder.iterdir()) == needed
    assert user.runs("models", "path", NAME) == f"{folder}\n"
    assert "files compared with their checksums: 3" in user.runs("models", "verify", NAME)

    n_requests = len(web.requests)
    assert "is on this machine already" in user.runs("models", "pull", NAME)
    sample = str(Path(__file__).parent.parent / "streamer" / "sample" / "sample.flac")
    command = ["transcribe", sample, "--format", "jsonl", "--no-partials", "--no-jit-compile"]
    assert f'"model": "{NAME}"' in user.runs(*command, "--model", NAME)
    assert len(web.requests) == n_requests

    (folder / "vocab.json").resolve().write_bytes(b"{}")
    assert "vocab.json differs" in user.runs("models", "verify", NAME, status=1)


def test_pytorch_weights_are_pulled_only_where_there_are_no_others(
    web: Web, user: User, files: dict[str, bytes]
) -> None:
    publish(web, {name: files[name] for name in files if name != "model.safetensors"})
    said = user.runs("models", "pull", NAME)
    folder = Path(said.splitlines()[-1].rpartition("is ready: ")[2])
    assert (folder / "pytorch_model.bin").is_file()


def test_a_repository_without_letters_or_weights_is_not_pulled(
    web: Web, user: User, files: dict[str, bytes]
) -> None:
    publish(web, {name: files[name] for name in files if name != "vocab.json"})
    assert "it has no vocab.json" in user.runs("models", "pull", NAME, status=1)
    publish(web, {"config.json": b"{}", "vocab.json": b"{}"})
    said = user.runs("models", "pull", NAME, status=1)
    assert "it has no model.safetensors and no pytorch_model.bin" in said
    assert not any("resolve" in path for path, _ in web.requests)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "RepoNotFound", "There is no repository somebody/tiny on Hugging Face"),
        (403, "GatedRepo", "is given only to who has asked for it"),
        (500, "", "could not be pulled from Hugging Face: "),
    ],
)
def test_a_refusal_is_one_clear_sentence(
    web: Web, user: User, status: int, code: str, message: str
) -> None:
    answer = Answer(status=status, headers=(("X-Error-Code", code),))
    web.serve(f"/api/models/{NAME}/revision/main", b"", answer)
    (line,) = user.runs("models", "pull", NAME, status=1).splitlines()
    assert message in line


def test_no_connection_is_one_clear_sentence(user: User) -> None:
    user.environment["HF_ENDPOINT"] = "http://127.0.0.1:1"
    (line,) = user.runs("models", "pull", NAME, status=1).splitlines()
    assert line.startswith(f"streamer: {NAME} could not be pulled from Hugging Face:")
    assert "refused" in line


def test_without_its_library_the_command_to_install_it_is_said() -> None:
    program = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from streamer.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    for command in (
        ["models", "pull", NAME],
        ["models", "verify", NAME],
        ["models", "path", NAME],
        ["bench", "--model", NAME],
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *command], capture_output=True, text=True
        )
        (line,) = done.stderr.splitlines()
        assert "`pip install huggingface_hub`" in line
