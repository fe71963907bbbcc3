// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Calls one built-in through a bundle, for test/runtime/builtins.py. Reads
//
//   callee NAME
//   int NAME VALUE | float NAME VALUE | string NAME VALUE
//   ints NAME COUNT VALUES... | floats NAME COUNT VALUES...
//   in DTYPE RANK DIMS... VALUES...      (bytes of floats as hex numbers)
//   out DTYPE RANK DIMS...               (-1: a dim that the call binds)
//
// and writes one line per result: RANK DIMS... BYTES in hex.

#include "TestBundle.h"

#include <cstdio>
#include <iostream>
#include <iterator>

using namespace lathe::test;
using namespace lathe::bundle;

namespace {
struct Input {
  DType dtype;
  std::vector<int64_t> dims;
  Bytes bytes;
};

std::vector<int64_t> readInts(std::istream &in) {
  size_t count = 0;
  in >> count;
  std::vector<int64_t> values(count);
  for (int64_t &value : values)
    in >> value;
  return values;
}

DType readDtype(std::istream &in) {
  std::string name;
  in >> name;
  for (int i = 1; i <= LATHE_DTYPE_F64; ++i)
    if (name == lathe_dtype_name(static_cast<lathe_dtype_t>(i)))
      return static_cast<DType>(i);
  return DType::None;
}

Bytes readHex(std::istream &in) {
  std::string text;
  in >> text; // "x" and the digits, so that nothing is a word too.
  Bytes bytes;
  for (size_t i = 1; i + 1 < text.size(); i += 2)
    bytes.push_back(
        static_cast<uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

class Driver {
public:
  int run(std::istream &in) {
    std::string word;
    while (in >> word)
      read(in, word);
    call.label = call.callee;
    StepT step;
    step.body.Set(std::move(call));
    bundle.program().steps.emplace_back(new StepT(std::move(step)));
    for (uint32_t buffer : results)
      bundle.output("y" + std::to_string(buffer), buffer);
    return execute();
  }

private:
  void read(std::istream &in, const std::string &word) {
    std::string name;
    if (word == "callee") {
      in >> call.callee;
    } else if (word == "in") {
      Input input = {readDtype(in), readInts(in), readHex(in)};
      std::vector<int32_t> dims;
      for (int64_t dim : input.dims)
        dims.push_back(bundle.constant(dim));
      call.reads.push_back(
          bundle.input("x" + std::to_string(inputs.size()), input.dtype, dims));
      inputs.push_back(std::move(input));
    } else if (word == "out") {
      DType dtype = readDtype(in);
      std::vector<int32_t> dims;
      for (int64_t dim : readInts(in))
        dims.push_back(dim < 0 ? bindDim() : bundle.constant(dim));
      results.push_back(bundle.transient(dtype, dims));
      call.writes.push_back(results.back());
    } else {
      readOption(in, word);
    }
  }

  int32_t bindDim() {
    call.binds.push_back(static_cast<uint32_t>(call.binds.size()));
    return bundle.symbol("s" + std::to_string(call.binds.size()));
  }

  void readOption(std::istream &in, const std::string &kind) {
    auto option = std::make_unique<OptionT>();
    in >> option->name;
    if (kind == "int")
      in >> option->int_value;
    else if (kind == "float")
      in >> option->float_value;
    else if (kind == "string")
      in >> option->string_value;
    else if (kind == "ints")
      option->ints = readInts(in);
    else if (kind == "floats") {
      size_t count;
      in >> count;
      option->floats.resize(count);
      for (double &value : option->floats)
        in >> value;
    }
    call.options.push_back(std::move(option));
  }

  int execute() {
    LoadedModel loaded(bundle);
    std::vector<lathe_tensor_t> tensors;
    std::vector<AlignedBytes> memory;
    for (Input &input : inputs) {
      memory.emplace_back(input.bytes);
      tensors.push_back(
          {memory.back().data(), static_cast<lathe_dtype_t>(input.dtype),
           static_cast<uint32_t>(input.dims.size()), input.dims.data()});
    }
    lathe_results_t *raw = nullptr;
    std::string message = take(lathe_model_run(
        loaded.model.get(), nullptr, tensors.size(), tensors.data(), &raw));
    ResultsPtr owner(raw);
    if (!message.empty()) {
      std::cerr << message << "\n";
      return 1;
    }
    for (size_t i = 0; i < results.size(); ++i)
      print(*lathe_results_tensor(raw, i));
    return 0;
  }

  static void print(const lathe_tensor_t &tensor) {
    size_t size = lathe_dtype_size(tensor.dtype);
    printf("%u", tensor.rank);
    for (uint32_t d = 0; d < tensor.rank; ++d) {
      printf(" %lld", static_cast<long long>(tensor.dims[d]));
      size *= static_cast<size_t>(tensor.dims[d]);
    }
    printf(" x");
    for (size_t i = 0; i < size; ++i)
      printf("%02x", static_cast<const uint8_t *>(tensor.data)[i]);
    printf("\n");
  }

  TestBundle bundle;
  BuiltinCallT call;
  std::vector<Input> inputs;
  std::vector<uint32_t> results;
};
} // namespace

int main() { return Driver().run(std::cin); }
