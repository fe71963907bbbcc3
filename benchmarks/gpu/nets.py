# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whole networks in plain PyTorch, of the sizes of well-known ones, with weights
that are the same wherever they are made: what is exported for Lathe, and what
PyTorch runs beside it."""

import re

import torch
from torch import nn
from torch.nn import functional as F

from harness import random_weights


class Block(nn.Module):
    """A layer of BERT (norms after the residuals) or of ViT (before)."""

    def __init__(self, width, heads, norm_first):
        super().__init__()
        self.heads, self.norm_first = heads, norm_first
        self.qkv = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def attend(self, x):
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                   for f in self.qkv)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).flatten(2))

    def forward(self, x):
        feed = lambda x: self.down(F.gelu(self.up(x)))
        if self.norm_first:
            x = x + self.attend(self.norms[0](x))
            return x + feed(self.norms[1](x))
        x = self.norms[0](x + self.attend(x))
        return self.norms[1](x + feed(x))


class Bert(nn.Module):
    def __init__(self, layers=12, width=768, heads=12, words=30522):
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(512, width)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.Sequential(*(Block(width, heads, False)
                                      for _ in range(layers)))

    def forward(self, ids):
        x = self.words(ids) + self.places.weight[:ids.shape[1]]
        return self.layers(self.norm(x))


class Vit(nn.Module):
    def __init__(self, layers=12, width=768, heads=12):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.first = nn.Parameter(torch.empty(1, 1, width))
        self.places = nn.Parameter(torch.empty(1, 197, width))
        self.layers = nn.Sequential(*(Block(width, heads, True)
                                      for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000)

    def forward(self, image):
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.places
        return self.head(self.norm(self.layers(x))[:, 0])


class Bottleneck(nn.Module):
    """Batch normalization is folded into the convolutions, as for inference."""

    def __init__(self, inside, width, stride):
        super().__init__()
        self.convs = nn.ModuleList([
            nn.Conv2d(inside, width, 1),
            nn.Conv2d(width, width, 3, stride, 1),
            nn.Conv2d(width, 4 * width, 1)])
        self.skip = (nn.Conv2d(inside, 4 * width, 1, stride)
                     if stride != 1 or inside != 4 * width else nn.Identity())

    def forward(self, x):
        y = F.relu(self.convs[1](F.relu(self.convs[0](x))))
        return F.relu(self.convs[2](y) + self.skip(x))


class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 7, 2, 3)
        blocks, inside = [], 64
        for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2),
                                     (512, 3, 2)):
            for i in range(count):
                blocks.append(Bottleneck(inside, width, 1 if i else stride))
                inside = 4 * width
        self.blocks, self.head = nn.Sequential(*blocks), nn.Linear(2048, 1000)

    def forward(self, image):
        x = F.max_pool2d(F.relu(self.stem(image)), 3, 2, 1)
        return self.head(self.blocks(x).mean((2, 3)))


class Inverted(nn.Module):
    """A layer of MobileNetV3 or EfficientNet: expand, depthwise, squeeze and
    excite where `squeezed` is given, project. Norms are folded."""

    def __init__(self, inside, hidden, outside, kernel, stride, act, squeezed, gate):
        super().__init__()
        self.act, self.gate, self.residual = act, gate, (
            stride == 1 and inside == outside)
        self.expand = nn.Conv2d(inside, hidden, 1) if hidden != inside else None
        self.deep = nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2,
                              groups=hidden)
        self.squeeze = nn.ModuleList(
            [nn.Conv2d(hidden, squeezed, 1), nn.Conv2d(squeezed, hidden, 1)]
            if squeezed else [])
        self.project = nn.Conv2d(hidden, outside, 1)

    def forward(self, x):
        y = self.act(self.expand(x)) if self.expand else x
        y = self.act(self.deep(y))
        if self.squeeze:
            s = self.squeeze[0](F.adaptive_avg_pool2d(y, 1))
            s = F.silu(s) if self.act is F.silu else F.relu(s)
            y = y * self.gate(self.squeeze[1](s))
        y = self.project(y)
        return x + y if self.residual else y


class MobileNetV3(nn.Module):
    """MobileNetV3-Large: kernel, hidden, outside, squeezes, hard swish, stride."""
    LAYERS = [(3, 16, 16, 0, 0, 1), (3, 64, 24, 0, 0, 2), (3, 72, 24, 0, 0, 1),
              (5, 72, 40, 1, 0, 2), (5, 120, 40, 1, 0, 1), (5, 120, 40, 1, 0, 1),
              (3, 240, 80, 0, 1, 2), (3, 200, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1),
              (3, 184, 80, 0, 1, 1), (3, 480, 112, 1, 1, 1),
              (3, 672, 112, 1, 1, 1), (5, 672, 160, 1, 1, 2),
              (5, 960, 160, 1, 1, 1), (5, 960, 160, 1, 1, 1)]

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        layers, inside = [], 16
        for kernel, hidden, outside, squeezes, hard, stride in self.LAYERS:
            squeezed = max(8, (hidden // 4 + 4) // 8 * 8) if squeezes else 0
            layers.append(Inverted(inside, hidden, outside, kernel, stride,
                                   F.hardswish if hard else F.relu, squeezed,
                                   F.hardsigmoid))
            inside = outside
        self.layers = nn.Sequential(*layers)
        self.last = nn.Conv2d(inside, 960, 1)
        self.head = nn.ModuleList([nn.Linear(960, 1280), nn.Linear(1280, 1000)])

    def forward(self, image):
        x = self.layers(F.hardswish(self.stem(image)))
        x = F.hardswish(self.last(x)).mean((2, 3))
        return self.head[1](F.hardswish(self.head[0](x)))


class EfficientNet(nn.Module):
    """EfficientNet-B0: factor, kernel, stride, outside, count."""
    STAGES = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2),
              (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
              (6, 3, 1, 320, 1)]

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2, 1)
        layers, inside = [], 32
        for factor, kernel, stride, outside, count in self.STAGES:
            for i in range(count):
                layers.append(Inverted(inside, inside * factor, outside, kernel,
                                       1 if i else stride, F.silu,
                                       max(1, inside // 4), torch.sigmoid))
                inside = outside
        self.layers = nn.Sequential(*layers)
        self.last, self.head = nn.Conv2d(inside, 1280, 1), nn.Linear(1280, 1000)

    def forward(self, image):
        x = self.layers(F.silu(self.stem(image)))
        return self.head(F.silu(self.last(x)).mean((2, 3)))


class LlamaLayer(nn.Module):
    def __init__(self, width, heads, groups, inside):
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, width // heads
        linear = lambda i, o: nn.Linear(i, o, bias=False)
        self.q, self.out = linear(width, width), linear(width, width)
        self.k, self.v = (linear(width, groups * self.size) for _ in range(2))
        self.gate, self.up = linear(width, inside), linear(width, inside)
        self.down = linear(inside, width)
        self.norms = nn.ModuleList(nn.RMSNorm(width, 1e-5) for _ in range(2))

    def forward(self, x, cos, sin):
        def rotate(t):
            a, b = t.chunk(2, -1)
            return t * cos + torch.cat([-b, a], -1) * sin

        y = self.norms[0](x)
        q, k, v = (f(y).unflatten(-1, (-1, self.size)).transpose(1, 2)
                   for f in (self.q, self.k, self.v))
        q, k = rotate(q), rotate(k)
        k, v = (t.repeat_interleave(self.heads // self.groups, 1) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        y = self.norms[1](x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    """The prefill of a model of the shape of Llama-3.2-1B, up to the last norm
    and the logits of the last token. All layers have equal weights, which are
    more than a cache holds: a bundle stores them once."""

    def __init__(self, length=2048, layers=16, width=2048, heads=32, groups=8,
                 inside=8192, words=128256):
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.layers = nn.ModuleList(LlamaLayer(width, heads, groups, inside)
                                    for _ in range(layers))
        self.norm = nn.RMSNorm(width, 1e-5)
        angles = torch.outer(torch.arange(length), 500000. ** (
            -torch.arange(0, width // heads, 2) / (width // heads)))
        angles = torch.cat([angles, angles], -1)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids):
        x = self.words(ids)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return F.linear(self.norm(x[:, -1]), self.words.weight)


def fill(net, dtype):
    """Gives all parameters their values; norms begin as they are."""
    seeds = {}
    for name, value in net.named_parameters():
        if isinstance(net, Llama):
            name = re.sub(r"\.\d+\.", ".", name)
        seed = seeds.setdefault(name, len(seeds))
        if "norm" in name:
            continue
        shape = tuple(value.shape) if value.dim() > 1 else (1, *value.shape)
        fan = value[0].numel() if value.dim() > 1 else 100
        data = torch.from_numpy(random_weights(shape, seed, fan**-.5))
        with torch.no_grad():
            value.copy_(data.reshape(value.shape))
    return net.to(dtype).eval()
