// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// lathe-fuzz: damaged files give an error that names the place, or are fine
// after all; never a crash, a hang or a huge allocation.
//
//   lathe-fuzz onnx --corpus DIR [--runs 1000] [--seed 1] [--first 0]
//
// The kinds are bundle, safetensors, config and onnx. fuzz.py, beside this
// file, writes a corpus and runs them all.

#include "tools/lathe-fuzz/Files.h"
#include "tools/lathe-fuzz/Isolation.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"

using namespace lathe::fuzz;

namespace {
namespace cl = llvm::cl;
cl::OptionCategory category("lathe-fuzz");
cl::opt<std::string> kind(cl::Positional, cl::Required,
                          cl::desc("bundle|safetensors|config|onnx"),
                          cl::cat(category));
cl::opt<std::string> corpus("corpus", cl::Required, cl::cat(category),
                            cl::desc("Folder with bundles, folders, onnx"));
cl::opt<std::string> work("work", cl::cat(category),
                          cl::desc("Folder for damaged files, kept"));
cl::opt<unsigned long long> runs("runs", cl::init(1000), cl::cat(category),
                                 cl::desc("How many rounds"));
cl::opt<unsigned long long> seed("seed", cl::init(1), cl::cat(category),
                                 cl::desc("What the rounds are drawn from"));
cl::opt<unsigned long long> first("first", cl::init(0), cl::cat(category),
                                  cl::desc("Number of the first round"));
} // namespace

static std::unique_ptr<Subject> makeSubject() {
  if (kind == "bundle")
    return makeBundleSubject();
  if (kind == "safetensors")
    return makeSafetensorsSubject();
  if (kind == "config")
    return makeConfigSubject();
  if (kind == "onnx")
    return makeOnnxSubject();
  return nullptr;
}

int main(int argc, char **argv) {
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Damages files\n");
  std::unique_ptr<Subject> subject = makeSubject();
  if (!subject) {
    llvm::errs() << "lathe-fuzz: no kind '" << kind << "'\n";
    return 2;
  }
  size_t seeds = subject->load(corpus);
  if (seeds == 0) {
    llvm::errs() << "lathe-fuzz: '" << corpus << "' has no files of kind '"
                 << kind << "'\n";
    return 1;
  }
  // lld, at the end of a compilation, sets every option of the process back.
  Rounds rounds = {seed, first, runs};
  std::string name = kind, folder = work;
  bool temporary = folder.empty();
  if (temporary) {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "lathe-fuzz-XXXXXX").string();
    folder = mkdtemp(pattern.data()) ? pattern : ".";
  }
  std::filesystem::create_directories(folder);
  subject->setFolder(folder);
  Totals totals = runRounds(*subject, rounds);
  if (temporary)
    std::filesystem::remove_all(folder);
  llvm::outs() << name << ": " << rounds.count << " rounds of seed "
               << rounds.seed << " on " << seeds << " files: " << totals.refused
               << " refused, " << totals.accepted << " accepted, "
               << totals.problems << " problems";
  if (totals.peakBytes)
    llvm::outs() << ", at most " << (totals.peakBytes >> 20) << " MB";
  llvm::outs() << "\n";
  return totals.problems != 0;
}
