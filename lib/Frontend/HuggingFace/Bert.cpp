// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// BERT (Devlin et al., arXiv 1810.04805), as `BertModel` of transformers.

#include "lib/Frontend/HuggingFace/Architectures.h"

using namespace lathe;
using namespace lathe::huggingface;
using llvm::Twine;

namespace {
struct BertConfig {
  int64_t hidden, intermediate, heads, layers, vocabulary, positions, types;
  double epsilon;
  std::string activation;

  explicit BertConfig(Config &c)
      : hidden(c.getSize("hidden_size")),
        intermediate(c.getSize("intermediate_size")),
        heads(c.getSize("num_attention_heads")),
        layers(c.getSize("num_hidden_layers")),
        vocabulary(c.getSize("vocab_size")),
        positions(c.getSize("max_position_embeddings")),
        types(c.getSize("type_vocab_size")),
        epsilon(c.getFloat("layer_norm_eps", 1e-12)),
        activation(c.getString("hidden_act", "gelu")) {
    if (c.getString("position_embedding_type", "absolute") != "absolute")
      c.refuse("position_embedding_type", "must be \"absolute\"");
    if (c.getBool("is_decoder", false))
      c.refuse("is_decoder", "must be false: only encoders are supported");
    if (hidden % heads != 0)
      c.refuse("hidden_size", "must be a multiple of num_attention_heads");
  }
};
} // namespace

static Value embed(ModelBuilder &m, const BertConfig &c, Value ids,
                   Value types) {
  GraphBuilder &b = m.ops();
  Value words =
      m.embedding(ids, "embeddings.word_embeddings", c.vocabulary, c.hidden);
  Value kinds =
      m.embedding(types, "embeddings.token_type_embeddings", c.types, c.hidden);
  Value table = m.weight("embeddings.position_embeddings.weight",
                         {c.positions, c.hidden});
  Value positions = b.slice(table, 0, b.size(0), b.getDim(ids, 1));
  return m.layerNorm(b.add(b.add(words, kinds), positions),
                     "embeddings.LayerNorm", c.hidden, c.epsilon);
}

static Value encode(ModelBuilder &m, const BertConfig &c, Value x, Value mask,
                    const Twine &layer) {
  std::string name = layer.str();
  GraphBuilder &b = m.ops();
  auto project = [&](const Twine &role) {
    return m.linear(x, name + ".attention.self." + role, c.hidden, c.hidden);
  };
  Value attended = m.attention(project("query"), project("key"),
                               project("value"), c.heads, mask);
  Value mixed =
      m.linear(attended, name + ".attention.output.dense", c.hidden, c.hidden);
  x = m.layerNorm(b.add(mixed, x), name + ".attention.output.LayerNorm",
                  c.hidden, c.epsilon);
  Value inner = m.activation(
      m.linear(x, name + ".intermediate.dense", c.hidden, c.intermediate),
      c.activation);
  Value outer =
      m.linear(inner, name + ".output.dense", c.intermediate, c.hidden);
  return m.layerNorm(b.add(outer, x), name + ".output.LayerNorm", c.hidden,
                     c.epsilon);
}

void lathe::huggingface::buildBert(ModelBuilder &m) {
  BertConfig c(m.config);
  if (m.config.hasError())
    return;
  if (!m.hasWeight("embeddings.word_embeddings.weight"))
    m.setPrefix("bert.");
  mlir::Type i64 = m.ops().getI64Type();
  Value ids = m.input("input_ids", i64, {"batch", "seq"});
  Value mask = m.input("attention_mask", i64, {"batch", "seq"});
  Value types = m.input("token_type_ids", i64, {"batch", "seq"});

  Value x = embed(m, c, ids, types);
  Value additive = m.additiveMask(mask);
  x = m.repeat(c.layers, x, [&](Value x, int64_t i) {
    return encode(m, c, x, additive, "encoder.layer." + Twine(i));
  });
  m.output("last_hidden_state", x);

  if (!m.hasWeight("pooler.dense.weight"))
    return;
  GraphBuilder &b = m.ops();
  Value first = b.slice(x, 1, b.size(0), b.size(1));
  Value pooled = b.unary<lathe::graph::TanhOp>(
      m.linear(b.reshape(first, {b.getDim(x, 0), b.size(c.hidden)}),
               "pooler.dense", c.hidden, c.hidden));
  m.output("pooler_output", pooled);
}
