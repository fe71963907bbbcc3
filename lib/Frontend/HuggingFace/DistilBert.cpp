// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// DistilBERT (Sanh et al., arXiv 1910.01108), as `DistilBertModel` of
// transformers.

#include "lib/Frontend/HuggingFace/Architectures.h"

using namespace lathe;
using namespace lathe::huggingface;
using llvm::Twine;

namespace {
struct DistilBertConfig {
  int64_t dim, hidden, heads, layers, vocabulary, positions;
  std::string activation;
  /// Fixed in the model's definition.
  double epsilon = 1e-12;

  explicit DistilBertConfig(Config &c)
      : dim(c.getSize("dim")), hidden(c.getSize("hidden_dim")),
        heads(c.getSize("n_heads")), layers(c.getSize("n_layers")),
        vocabulary(c.getSize("vocab_size")),
        positions(c.getSize("max_position_embeddings")),
        activation(c.getString("activation", "gelu")) {
    if (dim % heads != 0)
      c.refuse("dim", "must be a multiple of n_heads");
  }
};
} // namespace

static Value encode(ModelBuilder &m, const DistilBertConfig &c, Value x,
                    Value mask, const Twine &layer) {
  std::string name = layer.str();
  GraphBuilder &b = m.ops();
  auto project = [&](const Twine &role) {
    return m.linear(x, name + ".attention." + role, c.dim, c.dim);
  };
  Value attended = m.attention(project("q_lin"), project("k_lin"),
                               project("v_lin"), c.heads, mask);
  Value mixed = m.linear(attended, name + ".attention.out_lin", c.dim, c.dim);
  x = m.layerNorm(b.add(mixed, x), name + ".sa_layer_norm", c.dim, c.epsilon);
  Value inner = m.activation(m.linear(x, name + ".ffn.lin1", c.dim, c.hidden),
                             c.activation);
  Value outer = m.linear(inner, name + ".ffn.lin2", c.hidden, c.dim);
  return m.layerNorm(b.add(outer, x), name + ".output_layer_norm", c.dim,
                     c.epsilon);
}

void lathe::huggingface::buildDistilBert(ModelBuilder &m) {
  DistilBertConfig c(m.config);
  if (m.config.hasError())
    return;
  if (!m.hasWeight("embeddings.word_embeddings.weight"))
    m.setPrefix("distilbert.");
  GraphBuilder &b = m.ops();
  mlir::Type i64 = b.getI64Type();
  Value ids = m.input("input_ids", i64, {"batch", "seq"});
  Value mask = m.input("attention_mask", i64, {"batch", "seq"});

  Value words =
      m.embedding(ids, "embeddings.word_embeddings", c.vocabulary, c.dim);
  Value table =
      m.weight("embeddings.position_embeddings.weight", {c.positions, c.dim});
  Value positions = b.slice(table, 0, b.size(0), b.getDim(ids, 1));
  Value x = m.layerNorm(b.add(words, positions), "embeddings.LayerNorm", c.dim,
                        c.epsilon);
  Value additive = m.additiveMask(mask);
  x = m.repeat(c.layers, x, [&](Value x, int64_t i) {
    return encode(m, c, x, additive, "transformer.layer." + Twine(i));
  });
  m.output("last_hidden_state", x);
}
