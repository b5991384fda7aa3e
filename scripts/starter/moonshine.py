#!/usr/bin/env python3
"""Read Moonshine tiny out of its wheel: what training begins with, and what writes the text.

    pip download --no-deps moonshine-voice==0.0.49
    scripts/starter/moonshine.py moonshine_voice-*.whl --beginning beginning.npz

`train.py --start beginning.npz` then trains from Moonshine's encoder with a fresh head on it. With
`--writing FILE` its upper encoder layers, its attention decoder and its tokens are written as the
package has them, in `writing.npz`; they are not trained.

The wheel is under the MIT licence. Needs `onnxruntime` (extra `train`), whose wheel has the classes
that read its own file format.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from pathlib import Path

import numpy as np
from network import N_LAYERS, shapes
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.Graph import Graph as StoredGraph
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import (
    InferenceSession,
)
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.Tensor import Tensor
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.TensorDataType import TensorDataType
from packing import pack
from shards import write_arrays

FOLDER = "moonshine_voice/assets/tiny-en/"
DTYPES = {
    TensorDataType.FLOAT: np.float32,
    TensorDataType.UINT8: np.uint8,
    TensorDataType.INT8: np.int8,
}
MATRICES = {  # ours -> Moonshine's
    "query": "self_attn/q_proj",
    "key": "self_attn/k_proj",
    "value": "self_attn/v_proj",
    "output": "self_attn/o_proj",
    "ffn_in": "mlp/fc1",
    "ffn_out": "mlp/fc2",
}
VECTORS = {
    "attention_norm": "input_layernorm.weight",
    "ffn_norm": "post_attention_layernorm.weight",
    "ffn_in_bias": "mlp.fc1.bias",
    "ffn_out_bias": "mlp.fc2.bias",
}
DECODER_MATRICES = {
    "self_query": "self_attn/q_proj",
    "self_key": "self_attn/k_proj",
    "self_value": "self_attn/v_proj",
    "self_output": "self_attn/o_proj",
    "cross_query": "encoder_attn/q_proj",
    "cross_key": "encoder_attn/k_proj",
    "cross_value": "encoder_attn/v_proj",
    "cross_output": "encoder_attn/o_proj",
    "ffn_in": "mlp/fc1",
    "ffn_out": "mlp/fc2",
}
DECODER_VECTORS = {
    "self_norm": "input_layernorm.weight",
    "cross_norm": "post_attention_layernorm.weight",
    "ffn_norm": "final_layernorm.weight",
    "ffn_in_bias": "mlp.fc1.bias",
    "ffn_out_bias": "mlp.fc2.bias",
}
N_DECODER_LAYERS = 6
N_TRAINED_LAYERS = 3  # of the encoder; the package has these twice
TOKEN_BEGIN, TOKEN_END = 1, 2
# Tokens that are kept: what may be written, and the single characters that may be the likeliest
# where it must not be.
KEPT = re.compile("[A-Za-z' .,?!-]+|[ -~]")


class Graph:
    """A graph in ONNX Runtime's format: its constants, and which of them a node takes."""

    def __init__(self, graph: StoredGraph) -> None:
        self._stored = _initializers(graph)
        self._inputs = _inputs(graph)

    @classmethod
    def read(cls, wheel: Path, name: str, branch: bytes | None = None) -> Graph:
        """Read one of the wheel's graphs, or a branch of the condition in it."""
        with zipfile.ZipFile(wheel) as archive:
            session = InferenceSession.GetRootAs(archive.read(FOLDER + name), 0)
        graph = session.Model().Graph()
        if branch is None:
            return cls(graph)
        nodes = [graph.Nodes(i) for i in range(graph.NodesLength())]
        attributes = [node.Attributes(i) for node in nodes for i in range(node.AttributesLength())]
        found = cls(next(a.G() for a in attributes if a.Name() == branch))
        found._stored |= _initializers(graph)
        return found

    def constant(self, name: str) -> np.ndarray:
        """A constant by its name."""
        return self._stored[name]

    def input(self, node: str, position: int) -> np.ndarray:
        """A constant that a node takes."""
        return self._stored[self._inputs[node][position]]

    def matrix(self, node: str) -> np.ndarray:
        """The matrix that a node multiplies with: eight bits with one scale in the file."""
        names = self._inputs[node]
        name = next(i for i in names if i.endswith("_quantized") and i in self._stored)
        prefix = name.removesuffix("_quantized")
        matrix = self._stored[name].astype(np.float32) - self._stored[f"{prefix}_zero_point"]
        return (matrix * self._stored[f"{prefix}_scale"]).astype(np.float32)


def encoder_weights(wheel: Path) -> dict[str, np.ndarray]:
    """The weights of the encoder, named and shaped as the network wants them, float32.

    They are what Moonshine's own program computes with.
    """
    graph = Graph.read(wheel, "encoder_model.ort")
    found = {
        "conv1": graph.constant("conv1.weight_add_tensor").transpose(2, 1, 0),
        "norm_scale": graph.input("/groupnorm/Mul", 1).ravel(),
        "norm_bias": graph.input("/groupnorm/Add", 1).ravel(),
        "final_norm": graph.constant("layer_norm.weight"),
    }
    for name in ("conv2", "conv3"):
        found[name] = graph.constant(f"{name}.weight_add_tensor").transpose(2, 1, 0)
        found[f"{name}_bias"] = graph.constant(f"{name}.bias")
    for layer in range(N_LAYERS):
        for ours, theirs in MATRICES.items():
            found[f"layer{layer}/{ours}"] = graph.matrix(f"/layers.{layer}/{theirs}/MatMul_quant")
        for ours, theirs in VECTORS.items():
            found[f"layer{layer}/{ours}"] = graph.constant(f"layers.{layer}.{theirs}")
    return found


def writing_weights(wheel: Path) -> dict[str, np.ndarray]:
    """What the package writes text with: upper encoder layers, decoder and tokens, packed."""
    encoder = encoder_weights(wheel)
    upper = tuple(f"layer{i}/" for i in range(N_TRAINED_LAYERS, N_LAYERS))
    found = {
        f"writing/{name}": array
        for name, array in encoder.items()
        if name.startswith(upper) or name == "final_norm"
    }
    graph = Graph.read(wheel, "decoder_model_merged.ort", b"else_branch")
    for layer in range(N_DECODER_LAYERS):
        for ours, theirs in DECODER_MATRICES.items():
            node = f"/model/decoder/layers.{layer}/{theirs}/MatMul_quant"
            found[f"decoder{layer}/{ours}"] = graph.matrix(node)
        for ours, theirs in DECODER_VECTORS.items():
            name = f"model.decoder.layers.{layer}.{theirs}_merged_0"
            found[f"decoder{layer}/{ours}"] = graph.constant(name)
    found["decoder_norm"] = graph.constant("model.decoder.norm.weight_merged_0")
    texts = tokens(wheel)
    kept = [i for i, text in enumerate(texts) if i <= TOKEN_END or KEPT.fullmatch(text)]
    found["tokens"] = graph.matrix("/proj_out/MatMul_quant").T[kept]  # the embedding is the same
    packed = pack(found)
    packed["token_texts"] = np.frombuffer("\n".join(texts[i] for i in kept).encode(), np.uint8)
    return packed


def tokens(wheel: Path) -> list[str]:
    """What every token writes, a space where a word begins; those of single bytes write nothing."""
    with zipfile.ZipFile(wheel) as archive:
        stored = archive.read(FOLDER + "tokenizer.bin")
    found, at = [], 0
    while at < len(stored):
        length, at = stored[at], at + 1
        if length >= 128:  # the lower seven bits, then the higher ones
            length, at = length - 128 + 128 * stored[at], at + 1
        text = stored[at : at + length].replace("▁".encode(), b" ")
        is_byte = TOKEN_END < len(found) < TOKEN_END + 257
        found.append("" if is_byte else text.decode("utf-8", "replace").replace("\n", ""))
        at += length
    return found


def fresh_head(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A head that begins as the identity, followed by small random labels."""
    found = {}
    for name, shape in shapes().items():
        if not name.startswith(("head", "labels")):
            continue
        if name.endswith("norm"):
            found[name] = np.ones(shape, np.float32)
        elif len(shape) == 1 or name.endswith("/out"):
            found[name] = np.zeros(shape, np.float32)
        else:
            scale = np.prod(shape[:-1]) ** -0.5
            found[name] = (scale * rng.standard_normal(shape)).astype(np.float32)
    return found


def _initializers(graph: StoredGraph) -> dict[str, np.ndarray]:
    found = {}
    for i in range(graph.InitializersLength()):
        tensor: Tensor = graph.Initializers(i)
        if tensor.DataType() in DTYPES:
            shape = [tensor.Dims(axis) for axis in range(tensor.DimsLength())]
            raw = tensor.RawDataAsNumpy().tobytes()
            found[tensor.Name().decode()] = np.frombuffer(raw, DTYPES[tensor.DataType()]).reshape(
                shape
            )
    return found


def _inputs(graph: StoredGraph) -> dict[str, list[str]]:
    """The names of the inputs of every node, by the node's name."""
    nodes = [graph.Nodes(i) for i in range(graph.NodesLength())]
    return {
        node.Name().decode(): [node.Inputs(i).decode() for i in range(node.InputsLength())]
        for node in nodes
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path, help="moonshine_voice-0.0.49-*.whl")
    parser.add_argument("--beginning", type=Path, help="npz file to begin a training with")
    parser.add_argument("--writing", type=Path, help="npz file for the package")
    arguments = parser.parse_args()
    if arguments.beginning:
        weights = encoder_weights(arguments.wheel) | fresh_head(np.random.default_rng(0))
        for name, shape in shapes().items():
            if weights[name].shape != shape:
                raise SystemExit(
                    f"Expected {name} of the shape {shape}, found {weights[name].shape}: this is "
                    "not the encoder of moonshine-voice 0.0.49."
                )
        write_arrays(arguments.beginning, **weights)
    if arguments.writing:
        write_arrays(arguments.writing, **writing_weights(arguments.wheel))


if __name__ == "__main__":
    main()
