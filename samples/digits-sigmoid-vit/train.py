#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains the sigmoid-attention vision transformer of this sample and exports it.

The network reads one 8x8 grey image of scikit-learn's digits and answers with
ten logits. Its attention has no softmax: each score goes through a sigmoid on
its own, biased by -ln(n) for n tokens, so that the weights of a row start out
near 1/n (Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid
Self-Attention", arXiv:2409.04431):

    attention(q, k, v) = sigmoid(q k^T / sqrt(d) - ln(n)) v

Three quarters of the images train it, the stratified remaining quarter is only
looked at once, after the last epoch. Nothing is selected on it: no early stop,
no best epoch. Same seed, same package versions and same processor give the same
weights.

Writes beside this file, or into --output-dir:
    digits_sigmoid_vit.onnx   image f32[batch,1,8,8] -> logits f32[batch,10]
    test_digits.npz           image f32[450,1,8,8] in [0,1], label i64[450]

Needs torch, onnx, onnxruntime and scikit-learn; README.md says how to get them.
"""

import argparse
import copy
import math
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

IMAGE_SIZE = 8
PATCH_SIZE = 2
TOKENS = (IMAGE_SIZE // PATCH_SIZE) ** 2
CLASSES = 10
WIDTH = 64
HEADS = 2
HEAD_WIDTH = WIDTH // HEADS
MLP_WIDTH = 96
LAYERS = 3

SEED = 0
TEST_FRACTION = 0.25
EPOCHS = 300
WARMUP_EPOCHS = 10
BATCH_SIZE = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
AVERAGE_DECAY = 0.998

AUGMENTED_FRACTION = 0.5
MAX_SHIFT_PIXELS = 1.0
MAX_ROTATION_DEGREES = 12.0
MAX_ZOOM = 0.1

OPSET = 17
ONNX_NAME = "digits_sigmoid_vit.onnx"
TEST_SET_NAME = "test_digits.npz"
MIN_TEST_ACCURACY = 0.97
MAX_EXPORT_ERROR = 1e-5


class SigmoidAttention(nn.Module):
    """Multi-head self-attention whose scores pass a sigmoid, not a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.output = nn.Linear(WIDTH, WIDTH)
        self.scale = 1.0 / math.sqrt(HEAD_WIDTH)
        self.bias = -math.log(TOKENS)

    def forward(self, tokens: Tensor) -> Tensor:
        def split_heads(projected: Tensor) -> Tensor:
            return projected.reshape(-1, TOKENS, HEADS, HEAD_WIDTH).transpose(1, 2)

        query = split_heads(self.query(tokens))
        key = split_heads(self.key(tokens))
        value = split_heads(self.value(tokens))
        scores = torch.matmul(query, key.transpose(-2, -1)) * self.scale + self.bias
        context = torch.matmul(torch.sigmoid(scores), value)
        return self.output(context.transpose(1, 2).reshape(-1, TOKENS, WIDTH))


class Block(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.attention = SigmoidAttention()
        self.mlp_norm = nn.LayerNorm(WIDTH)
        self.mlp_up = nn.Linear(WIDTH, MLP_WIDTH)
        self.mlp_down = nn.Linear(MLP_WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.attention_norm(tokens))
        hidden = F.gelu(self.mlp_up(self.mlp_norm(tokens)))
        return tokens + self.mlp_down(hidden)


class DigitsSigmoidViT(nn.Module):
    """Patches, learned positions, LAYERS blocks, mean over tokens, classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(1, WIDTH, PATCH_SIZE, stride=PATCH_SIZE)
        self.position = nn.Parameter(0.02 * torch.randn(1, TOKENS, WIDTH))
        self.layers = nn.ModuleList(Block() for _ in range(LAYERS))
        self.final_norm = nn.LayerNorm(WIDTH)
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        patches = self.patch_embedding(image).reshape(-1, WIDTH, TOKENS)
        tokens = patches.transpose(1, 2) + self.position
        for layer in self.layers:
            tokens = layer(tokens)
        return self.classifier(self.final_norm(tokens).mean(dim=1))


def load_split() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns train images, test images (in [0,1]), train labels, test labels."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    labels = digits.target.astype(np.int64)
    parts = train_test_split(
        images, labels, test_size=TEST_FRACTION, stratify=labels, random_state=SEED
    )
    return tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in parts)


def augment(images: Tensor) -> Tensor:
    """Rotates, zooms and shifts a random half of the images a little.

    The other half stays as it is: resampling blurs strokes that are one pixel
    wide, and the test images are sharp.
    """

    def uniform(limit: float) -> Tensor:
        return (torch.rand(len(images)) * 2.0 - 1.0) * limit

    angle = uniform(math.radians(MAX_ROTATION_DEGREES))
    zoom = 1.0 + uniform(MAX_ZOOM)
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    # affine_grid's coordinates run from -1 to 1 over the whole image.
    pixel = 2.0 / IMAGE_SIZE
    shift_x = uniform(MAX_SHIFT_PIXELS * pixel)
    shift_y = uniform(MAX_SHIFT_PIXELS * pixel)
    rows = [
        torch.stack([cosine, -sine, shift_x], dim=1),
        torch.stack([sine, cosine, shift_y], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), images.shape, align_corners=False)
    warped = F.grid_sample(images, grid, align_corners=False)
    chosen = torch.rand(len(images), 1, 1, 1) < AUGMENTED_FRACTION
    return torch.where(chosen, warped, images)


def learning_rate_factor(step: int, steps_per_epoch: int, epochs: int) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    warmup = WARMUP_EPOCHS * steps_per_epoch
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, epochs * steps_per_epoch - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def train(images: Tensor, labels: Tensor, epochs: int) -> DigitsSigmoidViT:
    """Returns the running average of the weights after the last epoch."""
    torch.manual_seed(SEED)
    model = DigitsSigmoidViT()
    average = copy.deepcopy(model).requires_grad_(False)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": WEIGHT_DECAY},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=LEARNING_RATE,
    )
    steps_per_epoch = math.ceil(len(images) / BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, steps_per_epoch, epochs)
    )
    for epoch in range(1, epochs + 1):
        loss_sum = 0.0
        for batch in torch.randperm(len(images)).split(BATCH_SIZE):
            logits = model(augment(images[batch]))
            loss = F.cross_entropy(
                logits, labels[batch], label_smoothing=LABEL_SMOOTHING
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            loss_sum += loss.item() * len(batch)
            with torch.no_grad():
                for kept, current in zip(
                    average.parameters(), model.parameters(), strict=True
                ):
                    kept.lerp_(current, 1.0 - AVERAGE_DECAY)
        if epoch == 1 or epoch % 25 == 0 or epoch == epochs:
            print(f"epoch {epoch:3d}  loss {loss_sum / len(images):.4f}", flush=True)
    return average.eval()


def export(model: DigitsSigmoidViT, path: Path) -> None:
    """Writes the model as ONNX, attention spelled out, batch left open."""
    torch.onnx.export(
        model,
        (torch.zeros(2, 1, IMAGE_SIZE, IMAGE_SIZE),),
        str(path),
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
    )
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    operators = [node.op_type for node in graph.graph.node]
    if operators.count("Sigmoid") != LAYERS or "Softmax" in operators:
        raise SystemExit(f"{path}: expected {LAYERS} Sigmoid and no Softmax nodes")


def verify(model: DigitsSigmoidViT, path: Path, images: Tensor, labels: Tensor) -> None:
    """Compares ONNX Runtime with torch, prints the held-out accuracy of both."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(part: Tensor) -> np.ndarray:
        return session.run(["logits"], {"image": part.numpy()})[0]

    with torch.no_grad():
        expected = model(images).numpy()
    error = 0.0
    for batch in (1, 7, len(images)):
        difference = np.abs(run(images[:batch]) - expected[:batch]).max()
        error = max(error, float(difference / np.abs(expected).max()))
    truth = labels.numpy()
    for name, logits in (("torch", expected), ("onnxruntime", run(images))):
        right = int((logits.argmax(axis=1) == truth).sum())
        print(f"{name:12s} {right}/{len(truth)} = {right / len(truth):.2%} held out")
    print(f"largest error of onnxruntime, relative to the largest logit: {error:.1e}")
    if right / len(truth) < MIN_TEST_ACCURACY or error > MAX_EXPORT_ERROR:
        raise SystemExit("the model missed its accuracy or its export differs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument(
        "--output-dir", type=Path, default=Path(__file__).resolve().parent
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    train_images, test_images, train_labels, test_labels = load_split()
    started = time.monotonic()
    model = train(train_images, train_labels, arguments.epochs)
    parameters = sum(p.numel() for p in model.parameters())
    print(
        f"{parameters} parameters, {len(train_labels)} training images, "
        f"{time.monotonic() - started:.0f} s"
    )

    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    onnx_path = arguments.output_dir / ONNX_NAME
    test_path = arguments.output_dir / TEST_SET_NAME
    export(model, onnx_path)
    np.savez_compressed(test_path, image=test_images.numpy(), label=test_labels.numpy())
    verify(model, onnx_path, test_images, test_labels)
    for path in (onnx_path, test_path):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
