# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes small Hugging Face folders with random weights.

    folders.py KIND FOLDER

KIND: bert, distilbert, vit; or a broken one: see BROKEN.
"""

import json
import pathlib
import struct
import sys

import numpy as np
from safetensors.numpy import save_file

RANDOM = np.random.default_rng(0)


def linear(out, name, rows, columns):
    out[name + ".weight"] = RANDOM.standard_normal((rows, columns), np.float32) * 0.1
    out[name + ".bias"] = RANDOM.standard_normal(rows, np.float32) * 0.1


def norm(out, name, size):
    out[name + ".weight"] = 1 + 0.1 * RANDOM.standard_normal(size).astype(np.float32)
    out[name + ".bias"] = 0.1 * RANDOM.standard_normal(size).astype(np.float32)


def table(out, name, *shape):
    out[name] = RANDOM.standard_normal(shape).astype(np.float32)


def bert():
    out = {}
    table(out, "embeddings.word_embeddings.weight", 37, 16)
    table(out, "embeddings.position_embeddings.weight", 24, 16)
    table(out, "embeddings.token_type_embeddings.weight", 2, 16)
    norm(out, "embeddings.LayerNorm", 16)
    for i in range(2):
        layer = f"encoder.layer.{i}."
        for role in ("query", "key", "value"):
            linear(out, layer + "attention.self." + role, 16, 16)
        linear(out, layer + "attention.output.dense", 16, 16)
        norm(out, layer + "attention.output.LayerNorm", 16)
        linear(out, layer + "intermediate.dense", 40, 16)
        linear(out, layer + "output.dense", 16, 40)
        norm(out, layer + "output.LayerNorm", 16)
    linear(out, "pooler.dense", 16, 16)
    return {
        "model_type": "bert", "hidden_size": 16, "intermediate_size": 40,
        "num_attention_heads": 2, "num_hidden_layers": 2, "vocab_size": 37,
        "max_position_embeddings": 24, "type_vocab_size": 2,
    }, out


def distilbert():
    out = {}
    table(out, "embeddings.word_embeddings.weight", 37, 16)
    table(out, "embeddings.position_embeddings.weight", 24, 16)
    norm(out, "embeddings.LayerNorm", 16)
    for role in ("q_lin", "k_lin", "v_lin", "out_lin"):
        linear(out, "transformer.layer.0.attention." + role, 16, 16)
    norm(out, "transformer.layer.0.sa_layer_norm", 16)
    linear(out, "transformer.layer.0.ffn.lin1", 40, 16)
    linear(out, "transformer.layer.0.ffn.lin2", 16, 40)
    norm(out, "transformer.layer.0.output_layer_norm", 16)
    return {
        "model_type": "distilbert", "dim": 16, "hidden_dim": 40, "n_heads": 2,
        "n_layers": 1, "vocab_size": 37, "max_position_embeddings": 24,
    }, out


def vit():
    out = {}
    linear(out, "embeddings.patch_embeddings.projection", 16, 12)
    kernel = "embeddings.patch_embeddings.projection.weight"
    out[kernel] = out[kernel].reshape(16, 3, 2, 2)
    table(out, "embeddings.cls_token", 1, 1, 16)
    table(out, "embeddings.position_embeddings", 1, 17, 16)
    layer = "encoder.layer.0."
    norm(out, layer + "layernorm_before", 16)
    for role in ("query", "key", "value"):
        linear(out, layer + "attention.attention." + role, 16, 16)
    linear(out, layer + "attention.output.dense", 16, 16)
    norm(out, layer + "layernorm_after", 16)
    linear(out, layer + "intermediate.dense", 40, 16)
    linear(out, layer + "output.dense", 16, 40)
    norm(out, "layernorm", 16)
    return {
        "model_type": "vit", "hidden_size": 16, "intermediate_size": 40,
        "num_attention_heads": 2, "num_hidden_layers": 1, "image_size": 8,
        "patch_size": 2, "num_channels": 3,
    }, out


def rewrite_header(path, change):
    """Applies `change` to the JSON header of a safetensors file."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = change(json.loads(data[8:8 + size]))
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size:])


def set_field(field, value):
    def change(header):
        header["pooler.dense.bias"][field] = value
        return header
    return change


BROKEN = {
    "offsets": set_field("data_offsets", [0, 1 << 60]),
    "shape": set_field("shape", [1 << 40, 1 << 40]),
    "dtype": set_field("dtype", "F4"),
    "json": lambda header: b'{"a": ',
    "deep": lambda header: b"[" * 100000,
    "missing": lambda header: {k: v for k, v in header.items()
                               if k != "encoder.layer.1.output.dense.bias"},
}


def shard(folder):
    """Splits the checkpoint in two files with an index."""
    from safetensors.numpy import load_file
    whole = folder / "model.safetensors"
    tensors = load_file(whole)
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, keys in parts.items():
        save_file({key: tensors[key] for key in keys}, folder / file)
    whole.unlink()
    index = {key: file for file, keys in parts.items() for key in keys}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": index}))


def main(kind, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    makers = {"distilbert": distilbert, "vit": vit}
    config, tensors = makers.get(kind, bert)()
    if kind == "type":
        config["model_type"] = "mamba"
    if kind == "size":
        del config["hidden_size"]
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    if kind in BROKEN:
        rewrite_header(folder / "model.safetensors", BROKEN[kind])
    if kind == "truncated":
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
    if kind == "sharded":
        shard(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
