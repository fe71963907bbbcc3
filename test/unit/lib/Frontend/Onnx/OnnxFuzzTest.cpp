// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Damaged ONNX files give an error with a message, or a module that verifies;
// never a crash, a hang or a huge allocation (meaningful under ASan).
//
//   LATHE_FUZZ_RUNS=25000 LATHE_FUZZ_SEEDS=DIR OnnxImportTests
//     --gtest_filter=OnnxFuzz.*
//
// takes more rounds, and every *.onnx in DIR as a seed.

#include "OnnxTestModels.h"
#include "lib/Frontend/Onnx/OnnxImport.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"
#include <chrono>
#include <random>

using namespace lathe;

namespace {
class Mutator {
public:
  explicit Mutator(uint32_t seed) : random(seed) {}

  std::string mutate(const std::vector<std::string> &seeds) {
    std::string bytes = seeds[below(seeds.size())];
    for (size_t rounds = 1 + below(4); rounds-- > 0 && !bytes.empty();)
      mutateOnce(bytes, seeds);
    return bytes;
  }
  size_t below(size_t limit) { return limit ? random() % limit : 0; }

private:
  void mutateOnce(std::string &bytes, const std::vector<std::string> &seeds) {
    size_t at = below(bytes.size());
    switch (below(6)) {
    case 0:
      bytes[at] ^= char(1 << below(8));
      break;
    case 1:
      bytes[at] = char(random());
      break;
    case 2:
      bytes.resize(at);
      break;
    case 3: // A number with many bits, as a length or a dim.
      bytes.replace(at, std::min<size_t>(4, bytes.size() - at),
                    "\xff\xff\xff\x7f");
      break;
    case 4: { // A piece of another file.
      const std::string &other = seeds[below(seeds.size())];
      size_t from = below(other.size());
      bytes.insert(at, other.substr(from, below(64)));
      break;
    }
    default: // Repeat or drop a piece of this one.
      if (below(2))
        bytes.insert(at, bytes.substr(below(bytes.size()), below(32)));
      else
        bytes.erase(at, below(16));
    }
  }

  std::mt19937 random;
};
} // namespace

static std::vector<std::string> getSeeds() {
  std::vector<std::string> seeds = test::makeSeedModels();
  const char *folder = std::getenv("LATHE_FUZZ_SEEDS");
  std::error_code code;
  if (folder)
    for (llvm::sys::fs::directory_iterator it(folder, code), end;
         it != end && !code; it.increment(code))
      if (llvm::StringRef(it->path()).ends_with(".onnx"))
        if (auto buffer = llvm::MemoryBuffer::getFile(it->path()))
          seeds.push_back((*buffer)->getBuffer().str());
  return seeds;
}

TEST(OnnxFuzz, DamagedFilesAreRefusedOrValid) {
  const char *runs = std::getenv("LATHE_FUZZ_RUNS");
  size_t count = runs ? std::strtoull(runs, nullptr, 10) : 400;
  const char *first = std::getenv("LATHE_FUZZ_FIRST");
  size_t start = first ? std::strtoull(first, nullptr, 10) : 0;
  std::vector<std::string> seeds = getSeeds();
  llvm::SmallString<128> path;
  int file;
  ASSERT_FALSE(
      llvm::sys::fs::createTemporaryFile("lathe-fuzz", "onnx", file, path));
  llvm::sys::fs::closeFile(file);
  size_t accepted = 0;
  for (size_t i = start; i < start + count; ++i) {
    // Every round can be repeated alone: LATHE_FUZZ_FIRST=i.
    std::string bytes = Mutator(i).mutate(seeds);
    std::error_code code;
    llvm::raw_fd_ostream(path, code) << bytes;
    ASSERT_FALSE(code);
    if (runs)
      llvm::raw_fd_ostream(path.str().str() + ".round", code) << i;
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    llvm::SmallVector<OnnxUnsupported> unsupported;
    auto begin = std::chrono::steady_clock::now();
    auto module = importOnnx(context, path, {}, unsupported);
    std::chrono::duration<double> time =
        std::chrono::steady_clock::now() - begin;
    EXPECT_LT(time.count(), 5.0) << "round " << i;
    if (module) {
      ++accepted;
      EXPECT_TRUE(mlir::succeeded(mlir::verify(**module))) << "round " << i;
    } else {
      std::string message = llvm::toString(module.takeError());
      EXPECT_NE(message.find(path.str().str()), std::string::npos)
          << "round " << i << ": " << message;
    }
  }
  llvm::sys::fs::remove(path);
  llvm::sys::fs::remove(path + ".round");
  RecordProperty("accepted", int(accepted));
}
