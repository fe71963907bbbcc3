// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Commands.h"
#include "tools/lathe/Console.h"
#include "tools/lathe/Inputs.h"
#include "tools/lathe/SessionArguments.h"

using namespace llvm;

namespace lathe::tool {

static cl::SubCommand parser("run", "Run a bundle on inputs from a file");

static SessionArguments arguments(parser);
static cl::opt<std::string>
    inputsPath("inputs", cl::value_desc("IN.npz"),
               cl::desc("Arrays named as the model's inputs"), cl::sub(parser),
               cl::cat(optionCategory));
static cl::opt<std::string>
    outputsPath("outputs", cl::value_desc("OUT.npz"),
                cl::desc("Where the outputs go; appears whole or not at all"),
                cl::sub(parser), cl::cat(optionCategory));
static cl::opt<bool> verbose("v", cl::desc("Say what took how long"),
                             cl::sub(parser), cl::cat(optionCategory));

static Error writeResults(const Session &session,
                          const lathe_results_t *results) {
  std::vector<NpzItem> items;
  for (size_t i = 0; i < lathe_results_count(results); ++i) {
    const lathe_tensor_t *tensor = lathe_results_tensor(results, i);
    auto info = get<lathe_tensor_info_t>(
        lathe_bundle_output, session.bundle.get(), session.entry, i);
    items.push_back({info.name,
                     getNpyType(tensor->dtype),
                     {tensor->dims, tensor->rank},
                     tensor->data});
  }
  return writeNpz(outputsPath, items);
}

static Error run() {
  if (Error error = requireArguments({{"BUNDLE", arguments.getBundle()},
                                      {"--inputs", inputsPath},
                                      {"--outputs", outputsPath}}))
    return error;
  if (Error error =
          checkOutput(outputsPath, {arguments.getBundle(), inputsPath}))
    return error;
  auto note = [](const Twine &what, double seconds) {
    if (verbose)
      errs() << what << ": " << formatSeconds(seconds) << '\n';
  };
  Stopwatch loading;
  Expected<SessionOptions> where = arguments.getOptions();
  if (!where)
    return where.takeError();
  Expected<Session> session = openSession(*where);
  if (!session)
    return session.takeError();
  note("load", loading.seconds());
  Stopwatch reading;
  Expected<Inputs> inputs = loadInputs(*session, inputsPath);
  if (!inputs)
    return inputs.takeError();
  note("read " + Twine(inputsPath), reading.seconds());

  Stopwatch running;
  lathe_run_options_t options = LATHE_INIT(lathe_run_options_t);
  options.entry = session->entry;
  lathe_results_t *raw = nullptr;
  if (Error error = toError(lathe_model_run(session->model.get(), &options,
                                            inputs->tensors.size(),
                                            inputs->tensors.data(), &raw),
                            arguments.getBundle()))
    return error;
  ResultsPtr results(raw);
  note("run", running.seconds());
  Stopwatch writing;
  if (Error error = writeResults(*session, results.get()))
    return error;
  note("write " + Twine(outputsPath), writing.seconds());
  return Error::success();
}

const Command runCommand = {&parser, R"(
Examples:
  lathe run model.lathe --inputs in.npz --outputs out.npz
  lathe run model.lathe --inputs in.npz --outputs out.npz --threads 1 -v

  The .npz files are NumPy's: numpy.savez('in.npz', input_ids=..., ...).
  'lathe inspect model.lathe' tells the inputs' names, types and dims. bfloat16
  travels as the package ml_dtypes saves it.
)",
                            run};

} // namespace lathe::tool
