// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stage 5: plan, constants and code to a bundle. Weights that several variants
// read in the same layout are stored once: the writer knows equal bytes.

#include "lib/Pipeline/Calibration.h"
#include "lib/Pipeline/Manifest.h"
#include "lib/Pipeline/Stages.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"

using namespace mlir;
using namespace lathe;
using llvm::Error;
using llvm::Expected;

static void addProvenance(bundle::ManifestT &manifest, StringRef key,
                          StringRef value) {
  auto pair = std::make_unique<bundle::KeyValueT>();
  pair->key = key.str();
  pair->value = value.str();
  manifest.provenance.push_back(std::move(pair));
}

/// Records the SHA-256 of an option's file, whose name says nothing of it.
static Error addFile(bundle::ManifestT &manifest, StringRef key,
                     const std::string &path) {
  auto file = llvm::MemoryBuffer::getFile(path);
  if (!file)
    return llvm::createStringError(file.getError(),
                                   path + ": " + file.getError().message());
  addProvenance(manifest, key,
                llvm::toHex(llvm::SHA256::hash(llvm::arrayRefFromStringRef(
                                (*file)->getBuffer())),
                            /*LowerCase=*/true));
  return Error::success();
}

/// Facts about the input that hold on any machine: no path, no time.
static Error describe(bundle::ManifestT &manifest, StringRef model,
                      const CompileOptions &options) {
  manifest.producer = options.producer;
  manifest.model = llvm::sys::path::stem(model).str();
  addProvenance(manifest, "source", llvm::sys::path::filename(model));
  addProvenance(manifest, "precision", options.precision);
  addProvenance(manifest, "weights",
                options.weights.empty()
                    ? "keep"
                    : llvm::sys::path::filename(options.weights));
  if (llvm::sys::fs::is_regular_file(options.weights)) // A plan.
    if (Error error = addFile(manifest, "weights-sha256", options.weights))
      return error;
  if (!options.attentionPattern.empty())
    addProvenance(manifest, "attention-pattern", options.attentionPattern);
  if (!options.tuning.empty())
    if (Error error = addFile(manifest, "tuning-sha256", options.tuning))
      return error;
  if (!options.calibration.empty())
    if (Error error =
            addFile(manifest, "calibration-sha256", options.calibration))
      return error;
  if (options.plainSums)
    addProvenance(manifest, "plain-sums", "yes");
  if (options.uncheckedIndices)
    addProvenance(manifest, "unchecked-indices", "yes");
  if (options.allSchedules)
    addProvenance(manifest, "all-schedules", "yes");
  for (const auto &[symbol, value] : options.specialize)
    addProvenance(manifest, "specialize", symbol + "=" + std::to_string(value));
  return Error::success();
}

static Error writeVariant(CompiledVariant &compiled, unsigned rank,
                          bundle::ManifestT &manifest,
                          ArrayRef<std::unique_ptr<ExpressionTable>> tables,
                          const llvm::StringMap<uint32_t> &entries,
                          bundle::Writer &writer, Calibration *calibration) {
  auto variant = std::make_unique<bundle::VariantT>();
  variant->target = compiled.target->getName().str();
  variant->level = compiled.level.name;
  variant->features = compiled.level.features;
  variant->rank = rank;
  variant->kernels = std::move(compiled.kernels);
  llvm::StringMap<uint32_t> kernels;
  for (auto [i, kernel] : llvm::enumerate(variant->kernels))
    kernels[kernel->symbol] = i;
  for (auto [i, program] :
       llvm::enumerate(compiled.plan->getOps<plan::ProgramOp>())) {
    ProgramWriter programWriter(*manifest.entries[i], *tables[i], entries,
                                kernels, writer, /*emitRemarks=*/rank == 0,
                                calibration);
    Expected<std::unique_ptr<bundle::ProgramT>> table =
        programWriter.write(program);
    if (!table)
      return table.takeError();
    variant->programs.push_back(std::move(*table));
  }
  variant->code = writer.addCode(
      llvm::SmallVector<char, 0>(compiled.code.begin(), compiled.code.end()));
  manifest.variants.push_back(std::move(variant));
  return Error::success();
}

/// Says which layers a calibration did nothing for; an error if that is all.
static Error checkUse(const Calibration &calibration, bool hasWeights) {
  if (!calibration.isUsed())
    return makeError(calibration.getPath() +
                     (hasWeights
                          ? ": no tensor is named as a layer with encoded "
                            "weights"
                          : ": moments are for weights in formats that round "
                            "by them, and no --weights is given"));
  for (Location layer : calibration.ignored)
    emitWarning(layer) << "moments in " << calibration.getPath()
                       << " are not used: weights in this format round to "
                          "nearest";
  return Error::success();
}

Error lathe::writeBundle(StringRef output,
                         MutableArrayRef<CompiledVariant> variants,
                         StringRef model, const CompileOptions &options,
                         Calibration *calibration, CompileReport &report) {
  Expected<std::unique_ptr<bundle::Writer>> writer =
      bundle::Writer::create(output);
  if (!writer)
    return writer.takeError();
  bundle::ManifestT manifest;
  if (Error error = describe(manifest, model, options))
    return error;

  std::vector<std::unique_ptr<ExpressionTable>> tables;
  llvm::StringMap<uint32_t> entries;
  for (plan::ProgramOp program :
       variants.front().plan->getOps<plan::ProgramOp>()) {
    entries[program.getSymName()] = manifest.entries.size();
    manifest.entries.push_back(std::make_unique<bundle::EntryT>());
    tables.push_back(
        std::make_unique<ExpressionTable>(*manifest.entries.back()));
  }
  for (auto [rank, variant] : llvm::enumerate(variants)) {
    report.kernels += variant.kernels.size();
    if (Error error = writeVariant(variant, rank, manifest, tables, entries,
                                   **writer, calibration))
      return error;
  }
  if (calibration)
    if (Error error = checkUse(*calibration, !options.weights.empty()))
      return error;
  report.variants = variants.size();
  report.constantBytes = (*writer)->getConstantBytes();
  Expected<uint64_t> size = (*writer)->finish(manifest);
  if (!size)
    return size.takeError();
  report.bundleBytes = *size;
  return Error::success();
}
