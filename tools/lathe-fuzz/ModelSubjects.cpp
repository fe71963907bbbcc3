// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Models: ONNX files, and Hugging Face folders with damage in a checkpoint or
// in config.json. All are imported. Of those that pass some are optimized, too,
// and a few compiled to the end, which costs a thousand rounds.

#include "lib/Pipeline/Compiler.h"
#include "lib/Pipeline/Stages.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "tools/lathe-fuzz/Files.h"
#include "tools/lathe-fuzz/Subject.h"

using namespace lathe;
using namespace lathe::fuzz;

namespace fs = std::filesystem;

namespace {
/// How far a model that passes is taken.
enum class Depth { Import, Check, Compile };

/// How many of those that pass are checked and compiled: one in so many.
struct Frequency {
  size_t check;
  size_t compile;
};
} // namespace

static constexpr Frequency kOfFiles = {2, 64};
static constexpr Frequency kOfFolders = {16, 512}; // They are larger.

static Depth drawDepth(Damage &damage, Frequency frequency) {
  size_t number = damage.below(frequency.compile);
  if (number == 0)
    return Depth::Compile;
  return number % frequency.check == 0 ? Depth::Check : Depth::Import;
}

/// A message must say where: the file, or a node of the model and what it has.
static void judge(Outcome &outcome, const std::string &path) {
  outcome.refused = true;
  if (outcome.message.find(path) == std::string::npos &&
      outcome.message.find(": ") == std::string::npos)
    outcome.problem = "the message names no place: " + outcome.message;
}

static void judge(Outcome &outcome, const std::vector<Finding> &findings) {
  for (const Finding &finding : findings) {
    outcome.refused = true;
    outcome.message += finding.place + ": " + finding.op + ": " + finding.what;
    if (finding.op.empty() || finding.what.empty())
      outcome.problem = "a finding says nothing: " + outcome.message;
  }
}

static Outcome import(const std::string &path,
                      const mlir::DialectRegistry &registry) {
  Outcome outcome;
  std::vector<Finding> findings;
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  mlir::ScopedDiagnosticHandler quiet(
      &context, [](mlir::Diagnostic &) { return mlir::success(); });
  auto module = importModel(context, path, findings);
  if (module) {
    if (failed(mlir::verify(**module)))
      outcome.problem = "the importer made IR that is not valid";
    return outcome;
  }
  outcome.message = toString(module.takeError());
  judge(outcome, path);
  judge(outcome, findings);
  return outcome;
}

static Outcome checkModel(const std::string &path) {
  Outcome outcome;
  CompileOptions options;
  options.jobs = 1;
  llvm::Expected<CheckReport> report = check(path, options, {});
  if (report) {
    judge(outcome, report->findings);
    return outcome;
  }
  outcome.message = toString(report.takeError());
  judge(outcome, path);
  return outcome;
}

static Outcome compileModel(const std::string &path,
                            const std::string &output) {
  Outcome outcome;
  CompileOptions options;
  options.jobs = 1;
  options.targets = {{"x86", {{"cpu", "x86-64-v3"}}}};
  llvm::Expected<CompileReport> report = compile(path, output, options, {});
  if (report)
    return outcome;
  outcome.message = toString(report.takeError());
  judge(outcome, path);
  return outcome;
}

namespace {
/// What all models have in common.
class ModelSubject : public Subject {
public:
  ModelSubject() { registerPipelineDialects(registry); }
  void setFolder(const std::string &path) override { folder = path; }
  size_t getSize() const override { return size; }

  Outcome run() override {
    Outcome outcome = import(getModel(), registry);
    if (outcome.refused || !outcome.problem.empty() || depth == Depth::Import)
      return outcome;
    if (depth == Depth::Check)
      return checkModel(getModel());
    return compileModel(getModel(), folder + "/out.lathe");
  }

protected:
  virtual std::string getModel() const = 0;

  std::string folder;
  size_t size = 0;
  Depth depth = Depth::Import;

private:
  mlir::DialectRegistry registry;
};

class OnnxSubject final : public ModelSubject {
public:
  size_t load(const std::string &corpus) override {
    seeds = readFiles(corpus + "/onnx", ".onnx");
    return seeds.size();
  }

  void damage(Damage &damage) override {
    std::string bytes = seeds[damage.below(seeds.size())];
    damage.apply(bytes, seeds[damage.below(seeds.size())]);
    depth = drawDepth(damage, kOfFiles);
    size = bytes.size();
    writeFile(getModel(), bytes);
  }

private:
  std::string getModel() const override { return folder + "/model.onnx"; }

  std::vector<std::string> seeds;
};

/// One file of a folder is damaged, the others are as they should be.
class FolderSubject final : public ModelSubject {
public:
  explicit FolderSubject(bool (*isDamaged)(const fs::path &))
      : isDamaged(isDamaged) {}

  size_t load(const std::string &corpus) override {
    for (const fs::path &seed : listFolder(corpus + "/folders"))
      for (const fs::path &path : listFolder(seed))
        if (isDamaged(path))
          seeds.push_back({path, readFile(path)});
    return seeds.size();
  }

  void damage(Damage &damage) override {
    const auto &[path, good] = seeds[damage.below(seeds.size())];
    std::string bytes = good;
    damage.apply(bytes, seeds[damage.below(seeds.size())].second,
                 /*head=*/4096);
    depth = drawDepth(damage, kOfFolders);
    fs::remove_all(getModel());
    fs::copy(path.parent_path(), getModel());
    writeFile(fs::path(getModel()) / path.filename(), bytes);
    size = bytes.size();
  }

private:
  std::string getModel() const override { return folder + "/model"; }

  bool (*isDamaged)(const fs::path &);
  std::vector<std::pair<fs::path, std::string>> seeds;
};
} // namespace

std::unique_ptr<Subject> lathe::fuzz::makeOnnxSubject() {
  return std::make_unique<OnnxSubject>();
}

std::unique_ptr<Subject> lathe::fuzz::makeSafetensorsSubject() {
  return std::make_unique<FolderSubject>([](const fs::path &path) {
    return path.extension() == ".safetensors" ||
           path.filename() == "model.safetensors.index.json";
  });
}

std::unique_ptr<Subject> lathe::fuzz::makeConfigSubject() {
  return std::make_unique<FolderSubject>(
      [](const fs::path &path) { return path.filename() == "config.json"; });
}
