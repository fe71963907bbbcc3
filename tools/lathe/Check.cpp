// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Commands.h"
#include "tools/lathe/CompileArguments.h"

using namespace llvm;

namespace lathe::tool {

static cl::SubCommand parser("check",
                             "List what would not compile, without compiling");

static cl::opt<std::string> model(cl::Positional, cl::desc("MODEL"),
                                  cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string>
    target("target", cl::init("x86"),
           cl::value_desc("x86[,cuda][:OPTION=V...]"),
           cl::desc("What it would run on (default: x86)"), cl::sub(parser),
           cl::cat(optionCategory));
static cl::list<std::string>
    shape("shape", cl::value_desc("NAME=V[,NAME=V...]"), cl::CommaSeparated,
          cl::desc("Dims to estimate the memory of a run at"), cl::sub(parser),
          cl::cat(optionCategory));
static cl::opt<bool> verbose("v", cl::desc("Print steps and remarks"),
                             cl::sub(parser), cl::cat(optionCategory));

static void printFindings(ArrayRef<Finding> findings) {
  Table table({"place", "op", "problem"});
  for (const Finding &finding : findings)
    table.addRow({finding.place, finding.op, finding.what});
  table.print(outs());
}

static Error run() {
  if (Error error = requireArguments({{"MODEL", model}}))
    return error;
  Expected<std::vector<TargetRequest>> targets = parseTargets(target);
  if (!targets)
    return targets.takeError();
  CompileOptions options;
  options.targets = std::move(*targets);
  auto sizes = parseSizes("--shape", std::vector<std::string>(shape));
  if (!sizes)
    return sizes.takeError();
  MessageLog log(verbose);
  Expected<CheckReport> report = check(model, options, log.listener(), *sizes);
  if (!report)
    return pipelineError(report.takeError(), log);
  std::string problems = log.formatProblems();
  ArrayRef<Finding> findings = report->findings;
  if (!findings.empty()) {
    printFindings(findings);
    outs().flush();
    return failure(model + ": " + formatCount(findings.size(), "problem") +
                   "; the first is at " + escapeControls(findings[0].place) +
                   problems);
  }
  if (!problems.empty())
    errs() << escapeControls(StringRef(problems).drop_front(), true) << '\n';
  // Weights are stored once and mapped, whatever the number of targets.
  outs() << model << ": would compile; " << formatCount(report->nodes, "node")
         << "; weights: " << formatBytes(report->weightBytes)
         << " in the bundle and in memory; a run works in about "
         << formatBytes(report->workingBytes);
  for (const auto &[i, size] : enumerate(report->sizes))
    outs() << (i == 0 ? " at " : ", ") << escapeControls(size.first) << " = "
           << size.second;
  outs() << "\n";
  if (!report->requirements.empty())
    outs() << "Calls fail that do not satisfy:\n";
  for (const std::string &requirement : report->requirements)
    outs() << "  " << requirement << "\n";
  return Error::success();
}

const Command checkCommand = {&parser, R"(
Examples:
  lathe check model.onnx
  lathe check model.onnx --shape batch=8,seq=512

  Lists every node that this build can't compile, all at once: its name, op with
  domain and opset, and what was found and what is allowed. Exit code 1 if there
  is one. Without one it says what sizes calls must have.
)",
                              run};

} // namespace lathe::tool
