#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whole models in 16 bits beside PyTorch, eager and by torch.compile, all as CUDA
graphs. --prepare needs PyTorch, too, to export them.

    python3 benchmarks/gpu/models.py --prepare FOLDER
    python3 benchmarks/gpu/models.py FOLDER"""

from harness import Case, main


CONVOLUTIONAL = ("resnet50", "mobilenet-v3-l", "efficientnet-b0")


def dtype_of(name):
    import torch
    return torch.bfloat16 if name.startswith("llama") else torch.float16


def make(name, tokens):
    """`tokens` of a model of fixed length."""
    import nets
    builders = {
        "bert-base": lambda: nets.Bert(),
        "minilm": lambda: nets.Bert(6, 384, 12),
        "vit-b16": lambda: nets.Vit(),
        "resnet50": lambda: nets.ResNet50(),
        "mobilenet-v3-l": lambda: nets.MobileNetV3(),
        "efficientnet-b0": lambda: nets.EfficientNet(),
        "llama-1b": lambda: nets.Llama(tokens),
        "llama-2-layers": lambda: nets.Llama(tokens, layers=2, words=4096),
    }
    return nets.fill(builders[name](), dtype_of(name))


def example(name, shape, device):
    import torch
    generator = torch.Generator(device).manual_seed(0)
    if len(shape) == 2:
        return torch.randint(0, 4096, shape, device=device, generator=generator)
    return torch.randn(shape, device=device, generator=generator).to(
        dtype_of(name))


def model(name, shape, flops):
    """`flops` of the matrix products of one item of the batch."""
    def write(path):
        import torch
        torch.onnx.export(make(name, shape[-1]), (example(name, shape, "cpu"), ), path,
                          input_names=["x"], output_names=["y"], dynamo=True,
                          external_data=True, verbose=False)

    def inputs():
        return {"x": example(name, shape, "cuda")}

    def peers(given):
        import torch
        net = make(name, shape[-1]).cuda()
        x = given["x"]
        if name in CONVOLUTIONAL:  # Vision transformers have one, too.
            net, x = (t.to(memory_format=torch.channels_last) for t in (net, x))
        fast = torch.compile(net)

        def run(function):
            with torch.inference_mode():
                return function(x)
        return {"torch": lambda: run(net), "torch.compile": lambda: run(fast)}

    # PyTorch does not look through indices either.
    return Case(f"{name}-{'x'.join(map(str, shape))}", write, inputs, peers,
                int(flops * shape[0]), options=["--unchecked-indices"])


def encoder(layers, width, tokens):
    return layers * (24 * tokens * width**2 + 4 * tokens**2 * width)


def llama(layers, tokens, words, width=2048):
    """60,817,408 weights a layer; causal attention is half of it."""
    layer = 2 * tokens * 60817408 + 2 * tokens**2 * width
    return layers * layer + 2 * width * words


CASES = [
    model("bert-base", (1, 128), encoder(12, 768, 128)),
    model("bert-base", (32, 128), encoder(12, 768, 128)),
    model("bert-base", (8, 512), encoder(12, 768, 512)),
    model("minilm", (1, 128), encoder(6, 384, 128)),
    model("minilm", (64, 128), encoder(6, 384, 128)),
    model("vit-b16", (1, 3, 224, 224), encoder(12, 768, 197)),
    model("vit-b16", (32, 3, 224, 224), encoder(12, 768, 197)),
    model("resnet50", (1, 3, 224, 224), 8.2e9),
    model("resnet50", (32, 3, 224, 224), 8.2e9),
    model("mobilenet-v3-l", (1, 3, 224, 224), 0.44e9),
    model("mobilenet-v3-l", (32, 3, 224, 224), 0.44e9),
    model("efficientnet-b0", (1, 3, 224, 224), 0.78e9),
    model("efficientnet-b0", (32, 3, 224, 224), 0.78e9),
    model("llama-2-layers", (1, 2048), llama(2, 2048, 4096)),
    *(model("llama-1b", (1, tokens), llama(16, tokens, 128256))
      for tokens in (512, 2048)),
]

if __name__ == "__main__":
    main(CASES, __doc__)
