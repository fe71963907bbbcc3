// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Vision transformer (Dosovitskiy et al., arXiv 2010.11929), as `ViTModel` of
// transformers.

#include "lib/Frontend/HuggingFace/Architectures.h"

using namespace lathe;
using namespace lathe::huggingface;
using llvm::Twine;

namespace {
struct ViTConfig {
  int64_t hidden, intermediate, heads, layers, image, patch, channels;
  double epsilon;
  bool qkvBias;
  std::string activation;

  explicit ViTConfig(Config &c)
      : hidden(c.getSize("hidden_size")),
        intermediate(c.getSize("intermediate_size")),
        heads(c.getSize("num_attention_heads")),
        layers(c.getSize("num_hidden_layers")),
        image(c.getSize("image_size", 224)), patch(c.getSize("patch_size", 16)),
        channels(c.getSize("num_channels", 3)),
        epsilon(c.getFloat("layer_norm_eps", 1e-12)),
        qkvBias(c.getBool("qkv_bias", true)),
        activation(c.getString("hidden_act", "gelu")) {
    if (hidden % heads != 0)
      c.refuse("hidden_size", "must be a multiple of num_attention_heads");
    if (image % patch != 0)
      c.refuse("image_size", "must be a multiple of patch_size");
  }

  int64_t getPatches() const { return (image / patch) * (image / patch); }
};
} // namespace

/// Patches as one strided convolution, the class token in front, positions.
static Value embed(ModelBuilder &m, const ViTConfig &c, Value pixels) {
  GraphBuilder &b = m.ops();
  std::string name = "embeddings.patch_embeddings.projection";
  Value kernel =
      m.weight(name + ".weight", {c.hidden, c.channels, c.patch, c.patch});
  Value conv = b.create<lathe::graph::ConvOp>(
      b.getF32Type(), pixels, kernel, llvm::ArrayRef<int64_t>{c.patch, c.patch},
      llvm::ArrayRef<int64_t>{1, 1}, llvm::ArrayRef<int64_t>{0, 0, 0, 0},
      /*groups=*/int64_t(1), /*channels_last=*/false);
  mlir::AffineExpr batch = b.getDim(pixels, 0);
  Value rows = b.transpose(
      b.reshape(conv, {batch, b.size(c.hidden), b.size(c.getPatches())}),
      {0, 2, 1});
  Value patches = b.add(rows, m.weight(name + ".bias", {c.hidden}));
  Value token = b.broadcast(m.weight("embeddings.cls_token", {1, 1, c.hidden}),
                            {batch, b.size(1), b.size(c.hidden)});
  return b.add(b.concat({token, patches}, 1),
               m.weight("embeddings.position_embeddings",
                        {1, c.getPatches() + 1, c.hidden}));
}

static Value encode(ModelBuilder &m, const ViTConfig &c, Value x,
                    const Twine &layer) {
  std::string name = layer.str();
  GraphBuilder &b = m.ops();
  Value normed =
      m.layerNorm(x, name + ".layernorm_before", c.hidden, c.epsilon);
  auto project = [&](const Twine &role) {
    return m.linear(normed, name + ".attention.attention." + role, c.hidden,
                    c.hidden, c.qkvBias);
  };
  Value attended = m.attention(project("query"), project("key"),
                               project("value"), c.heads, /*mask=*/{});
  x = b.add(
      m.linear(attended, name + ".attention.output.dense", c.hidden, c.hidden),
      x);
  Value after = m.layerNorm(x, name + ".layernorm_after", c.hidden, c.epsilon);
  Value inner = m.activation(
      m.linear(after, name + ".intermediate.dense", c.hidden, c.intermediate),
      c.activation);
  return b.add(
      m.linear(inner, name + ".output.dense", c.intermediate, c.hidden), x);
}

void lathe::huggingface::buildViT(ModelBuilder &m) {
  ViTConfig c(m.config);
  if (m.config.hasError())
    return;
  if (!m.hasWeight("embeddings.cls_token"))
    m.setPrefix("vit.");
  GraphBuilder &b = m.ops();
  Value pixels = m.input("pixel_values", b.getF32Type(),
                         {"batch", std::to_string(c.channels),
                          std::to_string(c.image), std::to_string(c.image)});
  Value x = embed(m, c, pixels);
  x = m.repeat(c.layers, x, [&](Value x, int64_t i) {
    return encode(m, c, x, "encoder.layer." + Twine(i));
  });
  x = m.layerNorm(x, "layernorm", c.hidden, c.epsilon);
  m.output("last_hidden_state", x);

  if (!m.hasWeight("pooler.dense.weight"))
    return;
  Value first = b.slice(x, 1, b.size(0), b.size(1));
  m.output("pooler_output",
           b.unary<lathe::graph::TanhOp>(
               m.linear(b.reshape(first, {b.getDim(x, 0), b.size(c.hidden)}),
                        "pooler.dense", c.hidden, c.hidden)));
}
