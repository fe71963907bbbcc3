// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One model shared by several threads, each with results of its own.
//
//   embed_cpp model.lathe [threads]

#include <iostream>
#include <lathe/runtime.hpp>
#include <thread>

/// Zeros for an input, every symbol taken as 1.
static std::vector<int64_t> dimsOf(const lathe_tensor_info_t &info) {
  std::vector<int64_t> dims;
  for (uint32_t d = 0; d < info.rank; ++d)
    dims.push_back(info.dims[d].size < 0 ? 1 : info.dims[d].size);
  return dims;
}

static void run(const std::string &path, int numThreads) {
  lathe::Bundle bundle(path);
  lathe::Model model(bundle);

  std::vector<std::vector<char>> memory;
  std::vector<lathe::Tensor> inputs;
  for (size_t i = 0; i < bundle.entry().num_inputs; ++i) {
    lathe_tensor_info_t info = bundle.input(i);
    lathe::Tensor shape(nullptr, info.dtype, dimsOf(info));
    memory.emplace_back(static_cast<size_t>(shape.size()) *
                        lathe_dtype_size(info.dtype));
    inputs.emplace_back(memory.back().data(), info.dtype, dimsOf(info));
  }

  std::vector<std::thread> threads;
  std::vector<int64_t> sizes(static_cast<size_t>(numThreads));
  for (int64_t &size : sizes)
    threads.emplace_back([&] {
      try {
        size = model.run(inputs)[0].size();
      } catch (const lathe::Error &error) {
        std::cerr << "embed_cpp: " << error.what() << "\n";
        size = -1;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  for (int64_t size : sizes)
    std::cout << "a thread got " << size << " elements\n";
}

int main(int argc, char **argv) {
  if (argc < 2) {
    std::cerr << "usage: embed_cpp BUNDLE [THREADS]\n";
    return 2;
  }
  try {
    run(argv[1], argc > 2 ? std::stoi(argv[2]) : 2);
  } catch (const lathe::Error &error) {
    std::cerr << "embed_cpp: " << error.what() << "\n";
    return 1;
  }
}
