# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The architectures that Lathe must compile, with random weights.

Each entry of ARCHITECTURES builds (module, inputs, dynamic dims). Sizes are those
of the real thing with --full; otherwise as small as keeps every op: the graph,
not the weights, is what an importer meets.
"""

import torch
import torchvision
import transformers

BATCH, SEQ = 2, 11


def text_ids(vocabulary=120, seq=SEQ):
    return {"input_ids": torch.randint(0, vocabulary, (BATCH, seq)),
            "attention_mask": torch.ones(BATCH, seq, dtype=torch.int64)}


TEXT_DIMS = {"input_ids": {0: "batch", 1: "seq"},
             "attention_mask": {0: "batch", 1: "seq"}}
IMAGE_DIMS = {"pixel_values": {0: "batch"}}


class Output(torch.nn.Module):
    """A transformers model that returns one tensor and keeps no cache."""

    def __init__(self, model, names, output="last_hidden_state"):
        super().__init__()
        self.model, self.names, self.output = model, names, output

    def forward(self, *values):
        arguments = dict(zip(self.names, values))
        return getattr(self.model(**arguments), self.output)


def text(model_class, config, output="last_hidden_state", **keywords):
    model = model_class(config, **keywords)
    inputs = text_ids(config.vocab_size)
    return Output(model, list(inputs), output), inputs, TEXT_DIMS


def vision(model, size=224, output=None):
    inputs = {"pixel_values": torch.randn(BATCH, 3, size, size)}
    if output:
        model = Output(model, ["pixel_values"], output)
    return model, inputs, IMAGE_DIMS


def sizes(full, **small):
    """Keyword arguments of a configuration: none for the real size."""
    return {} if full else small


def encoder_sizes(full, **more):
    return sizes(full, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                 intermediate_size=128, **more)


def bert(full):
    config = transformers.BertConfig(**encoder_sizes(full, vocab_size=120))
    return text(transformers.BertModel, config, add_pooling_layer=False)


def distilbert(full):
    config = transformers.DistilBertConfig(
        **sizes(full, dim=64, n_layers=2, n_heads=4, hidden_dim=128, vocab_size=120))
    return text(transformers.DistilBertModel, config)


def modernbert(full):
    config = transformers.ModernBertConfig(
        **encoder_sizes(full, vocab_size=120, pad_token_id=0, bos_token_id=1,
                        eos_token_id=2, cls_token_id=1, sep_token_id=2,
                        local_attention=8, global_attn_every_n_layers=2),
        reference_compile=False)
    return text(transformers.ModernBertModel, config)


def vit(full):
    config = transformers.ViTConfig(**encoder_sizes(full, image_size=32, patch_size=8))
    model = transformers.ViTModel(config, add_pooling_layer=False)
    return vision(model, config.image_size, "last_hidden_state")


def swin(full):
    config = transformers.SwinConfig(
        **sizes(full, image_size=64, patch_size=4, embed_dim=24, depths=[2, 2],
                num_heads=[2, 4], window_size=4))
    return vision(transformers.SwinModel(config, add_pooling_layer=False),
                  config.image_size, "last_hidden_state")


def segformer(full):
    config = transformers.SegformerConfig(
        **sizes(full, hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1],
                num_attention_heads=[1, 2, 4, 4], decoder_hidden_size=32))
    model = transformers.SegformerForSemanticSegmentation(config)
    return vision(model, 512 if full else 64, "logits")


def torch_vision(name, size=224):
    return lambda full: vision(torchvision.models.get_model(name, weights=None),
                               size if full else 64)


class LargeKernelNet(torch.nn.Module):
    """Depthwise convolutions of 31 x 31 with small ones beside them, as in RepLKNet
    and UniRepLKNet."""

    def __init__(self, channels, depth):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, channels, 4, stride=4)
        self.blocks = torch.nn.ModuleList(self.make_block(channels)
                                          for _ in range(depth))
        self.head = torch.nn.Linear(channels, 10)

    @staticmethod
    def make_block(channels):
        def depthwise(size, dilation=1):
            return torch.nn.Sequential(
                torch.nn.Conv2d(channels, channels, size, dilation=dilation,
                                padding=size // 2 * dilation, groups=channels),
                torch.nn.BatchNorm2d(channels))
        return torch.nn.ModuleDict({
            "large": depthwise(31), "small": depthwise(5), "dilated": depthwise(3, 2),
            "mlp": torch.nn.Sequential(torch.nn.Conv2d(channels, channels * 4, 1),
                                       torch.nn.GELU(),
                                       torch.nn.Conv2d(channels * 4, channels, 1))})

    def forward(self, pixel_values):
        x = self.stem(pixel_values)
        for block in self.blocks:
            mixed = block["large"](x) + block["small"](x) + block["dilated"](x)
            x = x + block["mlp"](mixed)
        return self.head(x.mean((2, 3)))


def large_kernel(full):
    return vision(LargeKernelNet(96 if full else 8, 6 if full else 2),
                  224 if full else 64)


def t5_encoder(full):
    config = transformers.T5Config(
        **sizes(full, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4,
                vocab_size=120))
    return text(transformers.T5EncoderModel, config)


def whisper_encoder(full):
    config = transformers.WhisperConfig(
        **sizes(full, d_model=64, encoder_layers=2, encoder_attention_heads=4,
                encoder_ffn_dim=128, max_source_positions=100))
    from transformers.models.whisper.modeling_whisper import WhisperEncoder
    frames = config.max_source_positions * 2
    inputs = {"input_features": torch.randn(BATCH, config.num_mel_bins, frames)}
    return (Output(WhisperEncoder(config), ["input_features"]), inputs,
            {"input_features": {0: "batch"}})


class RecurrentHead(torch.nn.Module):
    def __init__(self, kind, layers, bidirectional):
        super().__init__()
        self.rnn = kind(24, 32, num_layers=layers, bidirectional=bidirectional,
                        batch_first=True)
        self.head = torch.nn.Linear(64 if bidirectional else 32, 5)

    def forward(self, features):
        return self.head(self.rnn(features)[0])


def recurrent(kind, layers, bidirectional):
    def build(full):
        return (RecurrentHead(kind, layers, bidirectional),
                {"features": torch.randn(BATCH, SEQ, 24)},
                {"features": {0: "batch", 1: "seq"}})
    return build


def causal(model_class, config_class, **more):
    def build(full):
        config = config_class(**encoder_sizes(full, vocab_size=120, **more),
                              use_cache=False)
        return text(model_class, config, "logits")
    return build


def gpt2(full):
    config = transformers.GPT2Config(
        **sizes(full, n_embd=64, n_layer=2, n_head=4, vocab_size=120, n_positions=64),
        use_cache=False)
    return text(transformers.GPT2LMHeadModel, config, "logits")


LLAMA = dict(num_key_value_heads=2, max_position_embeddings=64)

ARCHITECTURES = {
    "bert": bert, "distilbert": distilbert, "modernbert": modernbert, "vit": vit,
    "swin": swin, "swin_torchvision": torch_vision("swin_t"),
    "segformer": segformer, "convnext": torch_vision("convnext_tiny"),
    "resnet50": torch_vision("resnet50"), "resnet18": torch_vision("resnet18"),
    "mobilenet_v3_large": torch_vision("mobilenet_v3_large"),
    "efficientnet_b0": torch_vision("efficientnet_b0"),
    "squeezenet": torch_vision("squeezenet1_1"),
    "shufflenet": torch_vision("shufflenet_v2_x1_0"),
    "large_kernel": large_kernel, "t5_encoder": t5_encoder,
    "whisper_encoder": whisper_encoder,
    "lstm": recurrent(torch.nn.LSTM, 1, False),
    "lstm_bidirectional": recurrent(torch.nn.LSTM, 2, True),
    "gru": recurrent(torch.nn.GRU, 1, False),
    "gru_bidirectional": recurrent(torch.nn.GRU, 2, True),
    "llama": causal(transformers.LlamaForCausalLM, transformers.LlamaConfig, **LLAMA),
    "qwen2": causal(transformers.Qwen2ForCausalLM, transformers.Qwen2Config, **LLAMA),
    "gpt2": gpt2,
}
