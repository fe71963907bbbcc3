/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Lathe's compiler: turns a model file into a bundle that runtime.h executes.
 * What `lathe compile` and `lathe check` do, for programs that embed it. Link
 * liblathe_compiler.so, which brings LLVM and MLIR; a program that only runs
 * bundles needs liblathe_runtime.so alone.
 *
 *   lathe_compile_options_t options = LATHE_INIT(lathe_compile_options_t);
 *   options.weights = "int8";
 *   lathe_status_t status =
 *       lathe_compile("model.onnx", "model.lathe", &options);
 *
 * The conventions are those of runtime.h. Calls are independent of each other
 * and may run at the same time in several threads; each keeps its memory to
 * itself and gives it back before it returns.
 */
#ifndef LATHE_C_COMPILER_H
#define LATHE_C_COMPILER_H

#include "lathe-c/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How bad a message is. A remark says what an optimization did, or why not. */
typedef enum lathe_severity_t {
  LATHE_REMARK = 0,
  LATHE_WARNING = 1,
  LATHE_ERROR = 2
} lathe_severity_t;

/* A size of a symbol (a named dim of the model) that gets a version of its
 * own; several of one symbol are several versions, several symbols combine. */
typedef struct lathe_specialization_t {
  const char *symbol;
  int64_t size;
} lathe_specialization_t;

/* All strings and arrays are borrowed for the call. */
typedef struct lathe_compile_options_t {
  size_t struct_size;
  /* What the bundle is to run on: a name and options, as in "x86" or
   * "x86:cpu=native". None: "x86", with code for every level of it. */
  const char *const *targets;
  size_t num_targets;
  /* "keep" (NULL too): types as the model says. "bf16", "f16": f32 weights of
   * linear layers and f32 activations between kernels are kept so. */
  const char *precision;
  /* How linear weights are stored, as in "int4:64", or a file with a layer
   * pattern and a format a line (docs/Weights.md); NULL: as they are. */
  const char *weights;
  const lathe_specialization_t *specializations;
  size_t num_specializations;
  /* The IR after each numbered stage is left in this folder; NULL: nowhere. */
  const char *dump_directory;
  /* Threads that compile; 0: one for each core. Has no effect on the bytes. */
  uint32_t num_jobs;
  /* Who asked, recorded in the bundle; NULL: "lathe" and its version. */
  const char *producer;
  /* Called with progress in [0, 1] and what is going on, and with each message:
   * the model's node and what was found there. Both may be NULL. They are
   * called by one thread at a time, not always the caller's. */
  void (*progress)(void *context, double fraction, const char *what);
  void (*message)(void *context, lathe_severity_t severity, const char *text);
  void *context;
  /* Sparse pattern of self-attention, as in "window:block=64,local=8,sink=1";
   * NULL: as the model says. `lathe compile --help` has the patterns. */
  const char *attention_pattern;
  /* Moments of layers' inputs, a safetensors file, by which weights of a few
   * bits round (docs/Weights.md); NULL: they round to nearest. */
  const char *calibration;
  /* A table that `lathe tune` wrote (docs/Tuning.md); NULL: the cost model's
   * schedules. */
  const char *tuning;
  /* Not 0: 3x3 convolutions as the sums that they are, not by Winograd. */
  uint32_t plain_sums;
} lathe_compile_options_t;

/* Compiles `model`, the path of an .onnx file or of a Hugging Face folder, into
 * a bundle at `output`, which appears whole or not at all. The status names the
 * place that failed; details went to `message`. LATHE_INVALID_ARGUMENT means a
 * wrong option, LATHE_UNIMPLEMENTED a target that is not built in, and
 * LATHE_FAILED_PRECONDITION a model that can't be read or compiled. */
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_compile(const char *model, const char *output,
              const lathe_compile_options_t *options);

/* What lathe_check found. */
typedef struct lathe_check_info_t {
  size_t struct_size;
  size_t num_findings;
  uint64_t weight_bytes;
  uint64_t num_nodes;
} lathe_check_info_t;

/* Calls `finding` (which may be NULL) for everything in the model that would
 * not compile, all of it: `place` is a node or tensor, `op` its operator with
 * domain and opset, `what` what was found and what is allowed. Writes nothing.
 * A model with findings is no failure of this function. */
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_check(const char *model, const lathe_compile_options_t *options,
            void (*finding)(void *context, const char *place, const char *op,
                            const char *what),
            void *context, lathe_check_info_t *info);

/* The name of a target that is built in ("x86"), or NULL past the last. */
LATHE_API const char *lathe_compiler_target(size_t index);

#ifdef __cplusplus
}
#endif

#endif /* LATHE_C_COMPILER_H */
