// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// rnn, gru, lstm as ONNX defines them, layout 0: one time step of one row at a
// time, a row of a weight matrix per gate element.

#include "runtime/base/text.h"
#include "runtime/builtins/dispatch.h"
#include "runtime/builtins/table.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>

namespace lathe::rt {

using bundle::DType;

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

namespace {
enum class Function : uint8_t {
  Relu,
  Tanh,
  Sigmoid,
  Affine,
  LeakyRelu,
  ThresholdedRelu,
  ScaledTanh,
  HardSigmoid,
  Elu,
  Softsign,
  Softplus
};

struct FunctionInfo {
  const char *name;
  Function function;
  bool hasAlpha, hasBeta;
  double alpha, beta; // defaults
};

struct Activation {
  Function function = Function::Tanh;
  double alpha = 0, beta = 0;

  template <typename C> C operator()(C x) const;
};
} // namespace

static constexpr FunctionInfo functions[] = {
    {"Relu", Function::Relu, false, false, 0, 0},
    {"Tanh", Function::Tanh, false, false, 0, 0},
    {"Sigmoid", Function::Sigmoid, false, false, 0, 0},
    {"Affine", Function::Affine, true, true, 1, 0},
    {"LeakyRelu", Function::LeakyRelu, true, false, 0.01, 0},
    {"ThresholdedRelu", Function::ThresholdedRelu, true, false, 1, 0},
    {"ScaledTanh", Function::ScaledTanh, true, true, 1, 1},
    {"HardSigmoid", Function::HardSigmoid, true, true, 0.2, 0.5},
    {"Elu", Function::Elu, true, false, 1, 0},
    {"Softsign", Function::Softsign, false, false, 0, 0},
    {"Softplus", Function::Softplus, false, false, 0, 0},
};

template <typename C> C Activation::operator()(C x) const {
  C a = C(alpha), b = C(beta);
  switch (function) {
  case Function::Relu:
    return x > 0 ? x : 0;
  case Function::Tanh:
    return std::tanh(x);
  case Function::Sigmoid:
    return 1 / (1 + std::exp(-x));
  case Function::Affine:
    return a * x + b;
  case Function::LeakyRelu:
    return x >= 0 ? x : a * x;
  case Function::ThresholdedRelu:
    return x > a ? x : 0;
  case Function::ScaledTanh:
    return a * std::tanh(b * x);
  case Function::HardSigmoid:
    return std::min(C(1), std::max(C(0), a * x + b));
  case Function::Elu:
    return x >= 0 ? x : a * (std::exp(x) - 1);
  case Function::Softsign:
    return x / (1 + std::abs(x));
  case Function::Softplus:
    return std::log1p(std::exp(x));
  }
  return x;
}

/// Reads "Sigmoid,Tanh,..." and the parameters of those that take some.
static Status readActivations(const BuiltinArgs &args, Span<Activation> list) {
  const char *names = args.stringOption("activations", "");
  Span<const double> alphas = args.floatsOption("activation_alpha");
  Span<const double> betas = args.floatsOption("activation_beta");
  size_t alpha = 0, beta = 0;
  for (Activation &activation : list) {
    size_t length = strcspn(names, ",");
    const FunctionInfo *found = nullptr;
    for (const FunctionInfo &info : functions)
      if (strlen(info.name) == length && !strncasecmp(info.name, names, length))
        found = &info;
    if (!found)
      return error(LATHE_UNIMPLEMENTED, "activation '%.*s'",
                   static_cast<int>(length), names);
    activation = {found->function, found->alpha, found->beta};
    if (found->hasAlpha && alpha < alphas.size())
      activation.alpha = alphas[alpha++];
    if (found->hasBeta && beta < betas.size())
      activation.beta = betas[beta++];
    names += length + (names[length] == ',');
  }
  return ok();
}

//===----------------------------------------------------------------------===//
// Shapes and operands
//===----------------------------------------------------------------------===//

namespace {
enum class Kind : uint8_t { Rnn, Gru, Lstm };

struct Layer {
  Kind kind = Kind::Rnn;
  int64_t steps = 0, batch = 0, input = 0, hidden = 0, gates = 1;
  uint32_t directions = 1;
  bool reverse = false; // the first direction
  bool linearBeforeReset = false, inputForget = false;
  double clip = INFINITY;
  Activation activations[6];
  const Operand *x, *w, *r, *bias, *lengths, *h0, *c0, *peephole;

  Status read(const BuiltinArgs &args);
  Status checkOperand(const Operand &operand, const char *name, DType dtype,
                      std::initializer_list<int64_t> dims) const;
  Status checkResults(const BuiltinArgs &args) const;
  int64_t length(int64_t row) const {
    return lengths->present() ? lengths->as<int32_t>()[row] : steps;
  }
};
} // namespace

Status Layer::checkOperand(const Operand &operand, const char *name,
                           DType dtype,
                           std::initializer_list<int64_t> dims) const {
  if (!operand.present())
    return ok();
  bool right = operand.dtype == dtype && operand.rank == dims.size() &&
               std::equal(dims.begin(), dims.end(), operand.dims);
  return right ? ok()
               : error(LATHE_CORRUPT, "operand '%s' has a wrong type", name);
}

Status Layer::read(const BuiltinArgs &args) {
  LATHE_TRY(args.expect(3, 1, kind == Kind::Lstm ? 3 : 2));
  x = &args.read(0), w = &args.read(1), r = &args.read(2);
  bias = &args.read(3), lengths = &args.read(4), h0 = &args.read(5);
  c0 = &args.read(kind == Kind::Lstm ? 6 : 100);
  peephole = &args.read(kind == Kind::Lstm ? 7 : 100);
  if (x->rank != 3 || w->rank != 3 || r->rank != 3)
    return error(LATHE_CORRUPT, "X, W and R must have rank 3");
  steps = x->dims[0], batch = x->dims[1], input = x->dims[2];
  hidden = r->dims[2];
  gates = kind == Kind::Lstm ? 4 : kind == Kind::Gru ? 3 : 1;
  const char *direction = args.stringOption("direction", "forward");
  directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
  reverse = strcmp(direction, "reverse") == 0;
  linearBeforeReset = args.intOption("linear_before_reset", 0) != 0;
  inputForget = args.intOption("input_forget", 0) != 0;
  clip = args.floatOption("clip", INFINITY);

  int64_t rows = gates * hidden, d = directions;
  LATHE_TRY(checkOperand(*w, "W", x->dtype, {d, rows, input}));
  LATHE_TRY(checkOperand(*r, "R", x->dtype, {d, rows, hidden}));
  LATHE_TRY(checkOperand(*bias, "B", x->dtype, {d, 2 * rows}));
  LATHE_TRY(checkOperand(*lengths, "sequence_lens", DType::I32, {batch}));
  LATHE_TRY(checkOperand(*h0, "initial_h", x->dtype, {d, batch, hidden}));
  LATHE_TRY(checkOperand(*c0, "initial_c", x->dtype, {d, batch, hidden}));
  LATHE_TRY(checkOperand(*peephole, "P", x->dtype, {d, 3 * hidden}));
  for (int64_t row = 0; row < batch; ++row)
    if (length(row) < 0 || length(row) > steps)
      return error(LATHE_FAILED_PRECONDITION,
                   "sequence_lens[%" PRId64 "] is %" PRId64 " of %" PRId64
                   " steps",
                   row, length(row), steps);
  LATHE_TRY(checkResults(args));
  size_t perDirection = static_cast<size_t>(kind) + 1;
  return readActivations(args, {activations, perDirection * directions});
}

Status Layer::checkResults(const BuiltinArgs &args) const {
  int64_t d = directions;
  LATHE_TRY(
      checkOperand(args.write(0), "Y", x->dtype, {steps, d, batch, hidden}));
  for (size_t i = 1; i < args.writes.size(); ++i)
    LATHE_TRY(checkOperand(args.write(i), "Y_h or Y_c", x->dtype,
                           {d, batch, hidden}));
  return ok();
}

//===----------------------------------------------------------------------===//
// Cells
//===----------------------------------------------------------------------===//

/// sum a[i] * b[i], in several chains so that it need not wait for itself.
template <typename C, typename T>
static C dot(const T *a, const C *b, int64_t count) {
  constexpr int lanes = 16;
  C sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (int l = 0; l < lanes; ++l)
      sums[l] += C(a[i + l]) * b[i + l];
  for (; i < count; ++i)
    sums[0] += C(a[i]) * b[i];
  C sum = 0;
  for (C part : sums)
    sum += part;
  return sum;
}

namespace {
/// One direction. Arrays in scratch: x (input), h, c, reset (hidden each), gate
/// sums (gates * hidden), and for GRU the recurrent part of the last gate.
template <typename T> class Direction {
  using C = typename ComputeType<T>::type;

public:
  Direction(const Layer &layer, uint32_t index, C *scratch)
      : layer(layer), size(layer.hidden), index(index),
        f(layer.activations + index * (static_cast<size_t>(layer.kind) + 1)),
        w(layer.w->as<T>() + index * layer.gates * size * layer.input),
        r(layer.r->as<T>() + index * layer.gates * size * size),
        bias(layer.bias->present()
                 ? layer.bias->as<T>() + index * 2 * layer.gates * size
                 : nullptr),
        peephole(layer.peephole->present()
                     ? layer.peephole->as<T>() + index * 3 * size
                     : nullptr),
        x(scratch), h(x + layer.input), c(h + size), reset(c + size),
        sums(reset + size), recurrent(sums + layer.gates * size) {}

  static uint64_t scratchElements(const Layer &layer) {
    return uint64_t(layer.input) + uint64_t(layer.hidden) * 8;
  }

  void run(const BuiltinArgs &args, int64_t row);

private:
  void load(const Operand &from, int64_t row, C *to);
  void save(const BuiltinArgs &args, size_t result, int64_t row, const C *from);
  void addGates();
  void step();
  void stepGru();
  void stepLstm();
  C biasOf(int64_t gateRow) const { return bias ? C(bias[gateRow]) : C(0); }
  C recurrentBias(int64_t gateRow) const {
    return biasOf(layer.gates * size + gateRow);
  }
  C clip(C value) const {
    return std::min(C(layer.clip), std::max(-C(layer.clip), value));
  }

  const Layer &layer;
  const int64_t size;
  const uint32_t index;
  const Activation *f;
  const T *w, *r, *bias, *peephole;
  C *x, *h, *c, *reset, *sums, *recurrent;
};
} // namespace

template <typename T>
void Direction<T>::load(const Operand &from, int64_t row, C *to) {
  for (int64_t i = 0; i < size; ++i)
    to[i] = from.present()
                ? C(from.as<T>()[(index * layer.batch + row) * size + i])
                : C(0);
}

template <typename T>
void Direction<T>::save(const BuiltinArgs &args, size_t result, int64_t row,
                        const C *from) {
  if (result >= args.writes.size())
    return;
  T *to = args.write(result).as<T>() + (index * layer.batch + row) * size;
  for (int64_t i = 0; i < size; ++i)
    to[i] = store<T>(from[i]);
}

/// sums = W x + bias, and R h with its bias where it may be added at once.
template <typename T> void Direction<T>::addGates() {
  bool gru = layer.kind == Kind::Gru;
  for (int64_t i = 0; i < layer.gates * size; ++i) {
    sums[i] = dot(w + i * layer.input, x, layer.input) + biasOf(i);
    if (!gru || i < 2 * size)
      sums[i] += dot(r + i * size, h, size) + recurrentBias(i);
    else if (layer.linearBeforeReset)
      recurrent[i - 2 * size] = dot(r + i * size, h, size) + recurrentBias(i);
  }
}

template <typename T> void Direction<T>::stepGru() {
  C *update = sums, *resetGate = sums + size, *candidate = sums + 2 * size;
  for (int64_t i = 0; i < size; ++i) {
    update[i] = f[0](clip(update[i]));
    resetGate[i] = f[0](clip(resetGate[i]));
    reset[i] = resetGate[i] * h[i];
  }
  for (int64_t i = 0; i < size; ++i) {
    int64_t row = 2 * size + i;
    C past = layer.linearBeforeReset
                 ? resetGate[i] * recurrent[i]
                 : dot(r + row * size, reset, size) + recurrentBias(row);
    candidate[i] = f[1](clip(candidate[i] + past));
  }
  for (int64_t i = 0; i < size; ++i)
    h[i] = (1 - update[i]) * candidate[i] + update[i] * h[i];
}

template <typename T> void Direction<T>::stepLstm() {
  // Gates lie in the order i, o, f, c; peepholes in the order i, o, f.
  for (int64_t i = 0; i < size; ++i) {
    C pi = peephole ? C(peephole[i]) : C(0);
    C po = peephole ? C(peephole[size + i]) : C(0);
    C pf = peephole ? C(peephole[2 * size + i]) : C(0);
    C in = f[0](clip(sums[i] + pi * c[i]));
    C forget =
        layer.inputForget ? 1 - in : f[0](clip(sums[2 * size + i] + pf * c[i]));
    c[i] = forget * c[i] + in * f[1](clip(sums[3 * size + i]));
    C out = f[0](clip(sums[size + i] + po * c[i]));
    h[i] = out * f[2](c[i]);
  }
}

template <typename T> void Direction<T>::step() {
  addGates();
  if (layer.kind == Kind::Lstm)
    return stepLstm();
  if (layer.kind == Kind::Gru)
    return stepGru();
  for (int64_t i = 0; i < size; ++i)
    h[i] = f[0](clip(sums[i]));
}

template <typename T>
void Direction<T>::run(const BuiltinArgs &args, int64_t row) {
  load(*layer.h0, row, h);
  load(*layer.c0, row, c);
  bool reverse = layer.reverse || index == 1;
  int64_t length = layer.length(row);
  T *y = args.write(0).as<T>();
  for (int64_t t = 0; t < layer.steps; ++t) {
    int64_t time = reverse && t < length ? length - 1 - t : t;
    T *to = y + ((time * layer.directions + index) * layer.batch + row) * size;
    if (t >= length) {
      std::fill_n(to, size, store<T>(0));
      continue;
    }
    const T *from = layer.x->as<T>() + (time * layer.batch + row) * layer.input;
    for (int64_t i = 0; i < layer.input; ++i)
      x[i] = from[i];
    step();
    for (int64_t i = 0; i < size; ++i)
      to[i] = store<T>(h[i]);
  }
  save(args, 1, row, h);
  save(args, 2, row, c);
}

static Status runLayer(const BuiltinArgs &args, Kind kind) {
  Layer layer;
  layer.kind = kind;
  LATHE_TRY(layer.read(args));
  return dispatchFloat(layer.x->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = typename ComputeType<T>::type;
    void *scratch;
    LATHE_TRY(args.scratch(Direction<T>::scratchElements(layer) * sizeof(C),
                           &scratch));
    for (uint32_t d = 0; d < layer.directions; ++d) {
      Direction<T> direction(layer, d, static_cast<C *>(scratch));
      for (int64_t row = 0; row < layer.batch; ++row)
        direction.run(args, row);
    }
    return ok();
  });
}

Status runRnn(const BuiltinArgs &args) { return runLayer(args, Kind::Rnn); }
Status runGru(const BuiltinArgs &args) { return runLayer(args, Kind::Gru); }
Status runLstm(const BuiltinArgs &args) { return runLayer(args, Kind::Lstm); }

} // namespace lathe::rt
