// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The working memory of one run at a time: symbols, shapes, addresses, arenas.
// Everything stays for the next run, and what depends only on symbols that have
// not changed is not computed again. After the first run of a shape, a run
// allocates nothing; arenas only grow.

#ifndef LATHE_RUNTIME_EXEC_CONTEXT_H
#define LATHE_RUNTIME_EXEC_CONTEXT_H

#include "runtime/base/text.h"
#include "runtime/exec/layout.h"
#include "runtime/exec/model.h"
#include "runtime/exec/profile.h"
#include "runtime/exec/record.h"
#include "runtime/exec/residence.h"
#include "runtime/exec/room.h"

struct lathe_results_t {
  lathe::rt::Context *context = nullptr;
};

namespace lathe::rt {

class Context {
public:
  Context(const Allocator &allocator, const lathe_model_t &model, size_t entry);

  ~Context();

  /// Work goes to `queue`, its caller's; without one, to a queue of its own if
  /// the device has queues.
  Status create(Queue *queue);
  void destroy() { deleteObject(allocator, this); }

  /// Runs the program. With `outputs` empty, results go to memory of the
  /// context.
  Status run(Span<const lathe_tensor_t> inputs,
             Span<const lathe_tensor_t> outputs,
             const lathe_run_options_t &options);

  /// Runs an internal entry: `given` are the values of its first symbols. The
  /// steps go to `profile` if there is one.
  /// `mirrors`, if there are any, are where the host has what inputs in the
  /// device's memory hold, or NULL.
  Status runInternal(Span<const int64_t> given,
                     Span<const lathe_tensor_t> inputs,
                     Span<const lathe_tensor_t> outputs,
                     lathe_profile_t *profile,
                     Span<uint8_t *const> mirrors = {});

  /// Reads one element of an output of the run that has just ended.
  Status readOutput(size_t output, void *to, size_t size);

  /// Only what the shapes of the inputs decide.
  Status bindShapes(Span<const lathe_tensor_t> inputs, bool needData);
  Status outputShape(size_t output, int64_t *dims, uint32_t *rank);

  /// A graph of the host program has this context's memory, and may run at any
  /// time: no other run may use it.
  bool isHeld() const { return heldFor != nullptr; }
  /// Is it held for the capture that `stream` is in now? Then what the stream
  /// gets next comes after what is in the context's queue.
  bool isHeldFor(void *stream) const;

  size_t entry() const { return entryIndex; }
  const lathe_model_t &model() const { return owner; }
  Span<const lathe_tensor_t> outputTensors() const {
    return {results.data(), results.size()};
  }

  /// Handed out while the results of a run are in use.
  lathe_results_t handle;
  /// The next idle context of the entry.
  Context *next = nullptr;

private:
  struct BufferState {
    uint8_t *address = nullptr;
    uint64_t bytes = 0;
    uint64_t offset = 0; // Alias: bytes from the source. Transient: in arena.
    int64_t elements = 0;
    bool placed = false; // It is the memory of an output.
  };
  struct LaunchState {
    uint32_t kernel = 0;
    int64_t grid[3] = {};
    int64_t programs = 0;
    int64_t flops = -1;
    int64_t bytes = 0;
  };
  struct OutputState {
    Room room;  // for kernels to write to
    Block host; // for results that a device with its own memory computes
    int64_t dims[bundle::maxRank] = {};
    uint64_t bytes = 0;
    uint8_t *address = nullptr;     // where kernels may write it
    uint8_t *destination = nullptr; // where it is in the end
    bool toHost = true;             // the destination is host memory
    bool placed = false; // Steps write it there; else it is copied at the end.
  };
  /// What a loop has collected for one of its results.
  struct Stack {
    Room room;
    uint64_t bytes = 0;
    int64_t dims[bundle::maxRank] = {};
  };

  /// A queue that nobody else has.
  struct OwnQueue {
    ~OwnQueue() {
      if (queue)
        queue->destroy();
    }
    Queue *queue = nullptr;
  };

  // inputs.cpp
  Status checkInput(size_t index, const lathe_tensor_t &tensor, bool needData);
  Status defineSymbols(size_t index, const lathe_tensor_t &tensor);
  Status checkDims(size_t index, const lathe_tensor_t &tensor);
  Status mismatch(size_t input, uint32_t dim, int64_t found) const;
  void setInputSymbol(uint32_t symbol, int64_t value);

  // prepare.cpp
  Status beginPhase(uint32_t phase);
  Status preparePhase(uint32_t phase);
  void evaluatePhase(uint32_t phase);
  Status runChecks(uint32_t phase);
  Status check(const bundle::Check &check) const;
  Status sizeBuffers(uint32_t phase);
  Status sizeBuffer(uint32_t index);
  Status sizeAlias(uint32_t index);
  Status placeOutput(uint32_t buffer, bool *placed);
  Status placeBuffers(uint32_t phase);
  Status prepareLaunches(uint32_t phase);
  /// The offset, from choice `first`, of the alternative the model asks for.
  uint32_t alternativeOf(const bundle::Launch &launch, uint32_t first) const;
  Status choose(const bundle::Launch &launch,
                const bundle::Choice **choice) const;
  Status prepareLaunch(const bundle::Launch &launch, const StepPlan &plan);
  Status assignAddresses(uint32_t phase);
  Status assignAddress(uint32_t index);
  Status outputDims(size_t output);
  Status prepareOutput(size_t output);
  Status checkedValue(int32_t expr, const char *what, int64_t *value) const;
  /// "batch = 1, seq = 128", of the symbols that have a value.
  Text<256> describeSymbols() const;

  // execute.cpp
  Status checkEnqueue(Span<const lathe_tensor_t> inputTensors,
                      Span<const lathe_tensor_t> outputTensors,
                      const lathe_run_options_t &options) const;
  Status followStream(Span<const lathe_tensor_t> inputTensors,
                      Span<const lathe_tensor_t> outputTensors,
                      const lathe_run_options_t &options);
  Status leaveQueue(const lathe_run_options_t &options, bool hasFailed);
  Status runSteps(lathe_profile_t *profile);
  Status runStep(uint32_t index, lathe_profile_t *profile);
  Status launch(const bundle::Launch &launch, const StepPlan &step,
                lathe_profile_t *profile);
  /// Hands the launch to the device, whose memory has the operands.
  Status issue(const bundle::Launch &launch, const StepPlan &step,
               uint32_t *threads);
  Status launchChecked(const bundle::Launch &launch, uint32_t kernel,
                       const LaunchArgs &args) const;
  Status callBuiltin(const bundle::BuiltinCall &call, const StepPlan &step,
                     lathe_profile_t *profile);
  using Indices = const flatbuffers::Vector<uint32_t> *;
  /// Binds symbols from `shapes`, the shapes of `writes`, and begins the phase
  /// after `phase`.
  Status bindResults(Indices binds, Indices writes, uint32_t phase);
  Status findResultDim(Indices writes, uint32_t symbol, int64_t *size) const;
  Status bindFromBuffer(const bundle::Bind &bind);
  Status bindSymbol(uint32_t symbol, int64_t value);
  Status fillOperand(uint32_t buffer, Operand &operand) const;
  Status finishOutputs();
  Status deliver(const OutputState &output, uint32_t buffer);
  uint64_t arenaBytes() const;

  // transfers.cpp, for devices with memory of their own: what steps read and
  // write goes to where they do it.
  Part partOf(uint32_t buffer) const;
  Status settleRoot(uint32_t buffer);
  Status placeInput(uint32_t buffer);
  bool hasRoomFor(Span<const lathe_tensor_t> inputTensors,
                  Span<const lathe_tensor_t> outputTensors) const;
  bool needsRoom(const OutputState &output, const lathe_tensor_t *given) const;
  Status prepareTransfer(size_t output, const lathe_tensor_t *given);
  Status moveOperands(const bundle::Launch &launch);
  /// Brings what the step reads to the host, and with it what the host's steps
  /// after it read, if that is small: one wait instead of several.
  Status bringToHost(const StepPlan &step);
  Status fetchReads(uint32_t step, bool isAhead, uint32_t phase);
  Status writeOnHost(Indices writes, bool done);
  uint8_t *hostAddress(uint32_t buffer) const;
  /// `size` bytes to memory of the device, from wherever the tensor is.
  Status copyTensor(uint8_t *to, const lathe_tensor_t &from, uint64_t size);

  // record.cpp
  Status runRecorded(const RecordedRange &range);
  Status recordRange(const RecordedRange &range, void **recording);
  Status issueRange(const RecordedRange &range);
  bool describeRange(const RecordedRange &range);

  // control.cpp
  Status call(const bundle::Call &call, const StepPlan &step,
              lathe_profile_t *profile);
  Status chooseCallee(const bundle::Call &call, uint32_t *chosen) const;
  Status loop(const bundle::Loop &loop, const StepPlan &step,
              lathe_profile_t *profile);
  Status iterate(const bundle::Loop &loop, const StepPlan &step,
                 int64_t *iterations, lathe_profile_t *profile);
  Status collect(const bundle::Loop &loop, const StepPlan &step, int64_t number,
                 Span<const lathe_tensor_t> outputs);
  Status finishLoop(const bundle::Loop &loop, const StepPlan &step,
                    int64_t iterations);
  Status child(uint32_t index, uint32_t entry, Context **context);
  Status giveSymbols(const flatbuffers::Vector<int32_t> *exprs);
  Status describeBuffer(uint32_t buffer, uint32_t tensor, bool toWrite);
  Status copyResult(const lathe_tensor_t &from, uint32_t buffer);

  ExprValue value(int32_t expr) const {
    return exprs[static_cast<size_t>(expr)];
  }

  Allocator allocator;
  const lathe_model_t &owner;
  const size_t entryIndex;
  const ProgramPlan &plan;
  uint64_t runNumber = 0;
  // Of a device with memory of its own; what follows gives memory back to it.
  OwnQueue ownQueue;
  Queue *queue = nullptr;
  Residences residences;
  Recordings recordings;

  Array<ExprValue> symbols;
  Array<uint64_t> definedBy; // per symbol: the last run that defined it
  Array<ExprValue> exprs;
  Array<BufferState> buffers;
  Array<LaunchState> launches;
  Array<int64_t> scalars;
  Array<void *> pointers; // of one launch's operands
  Array<uint64_t> sizes;  // and their bytes
  Array<Operand> operands;
  Array<ResultShape> shapes; // of one built-in
  Array<LayoutItem> items;
  Array<uint32_t> itemOrder;
  Array<Room> arenas;     // one per phase
  Array<Room> inputRooms; // for inputs that are elsewhere
  Block scratch;
  // Of calls and loops.
  Array<Context *> children;
  Array<Stack> stacks;
  Array<int64_t> given; // to the callee of one step
  Array<lathe_tensor_t> tensors;
  Array<uint8_t *> mirrors;  // of `tensors`, on the host
  Array<int64_t> tensorDims; // of `tensors`, maxRank each
  Array<OutputState> outputs;
  Array<lathe_tensor_t> results;
  // Phases below this are prepared for the symbols as they are.
  uint32_t numPrepared = 0;
  bool isComplete = false; // The last run came to its end.
  void *heldFor = nullptr; // the stream whose capture took this context in

  // Of the run that is going on.
  Span<const lathe_tensor_t> callerInputs;
  Span<const lathe_tensor_t> callerOutputs;
  Span<uint8_t *const> callerMirrors; // of inputs; may be empty
  Span<const int64_t> givenSymbols;
  bool keepResults = false; // in the memory of the device
  bool isTimed = false;     // by marks in the queue
  bool isCaptured = false;  // by the host program, in a graph of its own
};

/// Can the device read and write where the tensor is?
Status checkMemory(const lathe_tensor_t &tensor, const Device &device);

/// The number of elements, or an error when it is negative or its size in bytes
/// cannot be represented.
Status countElements(const int64_t *dims, uint32_t rank, size_t elementSize,
                     int64_t *elements);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_EXEC_CONTEXT_H
