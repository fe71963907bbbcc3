/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Lathe's runtime: opens a bundle that `lathe compile` wrote and runs it.
 *
 *   lathe_bundle_t   a verified file: what is inside, and its bytes
 *   lathe_model_t    a bundle on a device, ready to run; shared by threads
 *   lathe_results_t  the outputs of one run
 *   lathe_profile_t  where the time of one run went
 *
 *   lathe_bundle_t *bundle = NULL;
 *   lathe_model_t *model = NULL;
 *   lathe_results_t *results = NULL;
 *   int64_t dims[2] = {1, 128};
 *   lathe_tensor_t ids = {data, LATHE_DTYPE_I64, 2, dims};
 *   CHECK(lathe_bundle_open("model.lathe", NULL, &bundle));
 *   CHECK(lathe_model_create(bundle, NULL, &model));
 *   CHECK(lathe_model_run(model, NULL, 1, &ids, &results));
 *   const lathe_tensor_t *y = lathe_results_tensor(results, 0);
 *   ...
 *   lathe_results_destroy(results);
 *   lathe_model_destroy(model);
 *   lathe_bundle_destroy(bundle);
 *
 * Conventions of this header:
 *  - A function that can fail returns a status (status.h) and writes its
 *    out-parameters, which come last, only on success.
 *  - Every create or open has a destroy, which takes NULL too. Objects keep
 *    what they need alive: the order of destruction is free.
 *  - `options` may be NULL, which means all defaults. Option and info structs
 *    begin with `struct_size`, set by the caller to the size it was compiled
 *    with, so that either side may be older: LATHE_INIT does that and zeroes
 *    the rest, and zero is the default everywhere.
 *  - Strings are UTF-8 and NUL-terminated. Strings and structs that a getter
 *    returns belong to the object and live as long as it does.
 *  - Getters take indices; an index that is out of range yields NULL, 0 or
 *    LATHE_INVALID_ARGUMENT.
 *
 * A bundle holds native code, which runs with the rights of the process. The
 * checks made on opening find damage; they can't find malice. Open only
 * bundles that you trust as you would a shared library.
 */
#ifndef LATHE_C_RUNTIME_H
#define LATHE_C_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include "lathe-c/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* lathe_model_options_t options = LATHE_INIT(lathe_model_options_t); */
#ifdef __cplusplus
extern "C++" template <typename T> inline T lathe_init() {
  T value = T();
  value.struct_size = sizeof(T);
  return value;
}
#define LATHE_INIT(type) lathe_init<type>()
#else
#define LATHE_INIT(type) {.struct_size = sizeof(type)}
#endif

/*===----------------------------------------------------------------------===
 * Memory and tensors
 *===----------------------------------------------------------------------===*/

/* Where an object's memory comes from. Both functions may be called from any
 * thread that uses the object. Messages of statuses do not use it. It must not
 * give page-locked memory, which a GPU reads after a copy has returned. */
typedef struct lathe_allocator_t {
  size_t struct_size;
  /* Returns `size` bytes at a multiple of `alignment` (a power of two), or
   * NULL. `size` is never 0. */
  void *(*allocate)(void *context, size_t size, size_t alignment);
  /* Takes back what allocate returned, with the same size and alignment. */
  void (*deallocate)(void *context, void *memory, size_t size,
                     size_t alignment);
  void *context;
} lathe_allocator_t;

/* Element types; the numbers are those of the bundle. LATHE_DTYPE_BOOL is one
 * byte, 0 or 1. */
typedef enum lathe_dtype_t {
  LATHE_DTYPE_NONE = 0,
  LATHE_DTYPE_BOOL = 1,
  LATHE_DTYPE_I8 = 2,
  LATHE_DTYPE_U8 = 3,
  LATHE_DTYPE_I16 = 4,
  LATHE_DTYPE_U16 = 5,
  LATHE_DTYPE_I32 = 6,
  LATHE_DTYPE_U32 = 7,
  LATHE_DTYPE_I64 = 8,
  LATHE_DTYPE_U64 = 9,
  LATHE_DTYPE_F16 = 10,
  LATHE_DTYPE_BF16 = 11,
  LATHE_DTYPE_F32 = 12,
  LATHE_DTYPE_F64 = 13,
  LATHE_DTYPE_F8E4M3 = 14, /* of which 0x7f and 0xff are NaN, none infinite */
  LATHE_DTYPE_F8E5M2 = 15
} lathe_dtype_t;

/* Bytes of an element; 0 for a number that is no dtype. */
LATHE_API size_t lathe_dtype_size(lathe_dtype_t dtype);

/* "f32", "i64", "bool", ...; "none" for a number that is no dtype. */
LATHE_API const char *lathe_dtype_name(lathe_dtype_t dtype);

/* No tensor of a bundle has more dims. */
#define LATHE_MAX_RANK 16

/* Where bytes are. The numbers are those of DLPack (DLDeviceType), with 0 for
 * the memory of the process, which DLPack calls 1. */
typedef enum lathe_memory_t {
  LATHE_MEMORY_HOST = 0,
  LATHE_MEMORY_CUDA = 2, /* an address of the CUDA driver (CUdeviceptr) */
  LATHE_MEMORY_ROCM = 10 /* an address of HIP */
} lathe_memory_t;

/* A tensor in memory, row-major and without gaps. It owns nothing: `data` and
 * `dims` are borrowed for the call they are passed to. `data` may be NULL when
 * the tensor has no elements. Any address that suits the dtype will do; 64-byte
 * alignment is fastest, and in a device's memory, tensors at multiples of 16
 * are used in place. What is left out of an initializer means host memory; who
 * fills in the fields one by one must fill in all of them. */
typedef struct lathe_tensor_t {
  void *data;
  lathe_dtype_t dtype;
  uint32_t rank;
  const int64_t *dims;
  lathe_memory_t memory; /* as DLDevice.device_type, but 0 for the host */
  int32_t device_index;  /* as DLDevice.device_id: which of several devices */
} lathe_tensor_t;

/*===----------------------------------------------------------------------===
 * Devices
 *===----------------------------------------------------------------------===*/

/* A device that a bundle may have code for. */
typedef struct lathe_device_info_t {
  size_t struct_size;
  char name[16];         /* as in lathe_model_options_t: "cpu", "cuda:0" */
  char description[240]; /* the product, or why the device can't be used */
  int usable;
  lathe_memory_t memory;
  int32_t device_index;
  uint64_t memory_bytes; /* of its own memory; 0 for the host's */
  /* What the vendor's figures come to at the highest clocks, to compare
   * profiles with; 0: not known. */
  uint64_t memory_bandwidth; /* bytes a second */
  uint64_t matrix_flops; /* a second: products of 16-bit floats, sums in f32 */
} lathe_device_info_t;

/* The devices of this machine, the preferred first. A kind of device that the
 * library knows and the machine lacks is listed once, as not usable. Asks the
 * drivers anew each time. */
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_device_info(size_t index, lathe_device_info_t *info);

/* How many lathe_device_info has. */
LATHE_API size_t lathe_device_count(void);

/*===----------------------------------------------------------------------===
 * Bundles
 *===----------------------------------------------------------------------===*/

/* A bundle, verified and immutable. All functions on it are thread-safe. */
typedef struct lathe_bundle_t lathe_bundle_t;

/* Which segments are hashed while a bundle is opened. The manifest always is,
 * and every index, range and expression in it is always checked. */
typedef enum lathe_verify_t {
  /* Code, but not weights, which are then read as they are used: the start
   * stays fast however large the model is. */
  LATHE_VERIFY_CODE = 0,
  /* Every byte. */
  LATHE_VERIFY_ALL = 1
} lathe_verify_t;

typedef struct lathe_bundle_options_t {
  size_t struct_size;
  const lathe_allocator_t *allocator; /* NULL: malloc. Copied. */
  lathe_verify_t verify;
} lathe_bundle_options_t;

/* Maps the file at `path`, which must not be changed while it is in use
 * (replacing it by rename is fine). Weights are read in place. */
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_bundle_open(const char *path, const lathe_bundle_options_t *options,
                  lathe_bundle_t **bundle);

/* The same for `size` bytes in memory, which must outlive the bundle and all
 * that is made from it, at a multiple of 64. */
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_bundle_from_memory(
    const void *data, size_t size, const lathe_bundle_options_t *options,
    lathe_bundle_t **bundle);

/* Hashes every segment. The message names the one that differs. */
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_bundle_verify(const lathe_bundle_t *bundle);

/* Releases the caller's hold; models made from the bundle keep theirs. */
LATHE_API void lathe_bundle_destroy(lathe_bundle_t *bundle);

/* What is inside. */

typedef struct lathe_bundle_info_t {
  size_t struct_size;
  uint32_t version;       /* of the format */
  const char *producer;   /* as in "lathe 0.1.0" */
  const char *model;      /* name */
  uint64_t file_size;     /* bytes */
  uint64_t manifest_size; /* bytes */
  size_t num_provenance;
  size_t num_entries;
  size_t num_constants;
  size_t num_segments;
  size_t num_variants;
} lathe_bundle_info_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_bundle_info(const lathe_bundle_t *bundle, lathe_bundle_info_t *info);

/* A fact about where the bundle came from: source file, its hash, options. */
typedef struct lathe_key_value_t {
  size_t struct_size;
  const char *key;
  const char *value;
} lathe_key_value_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_bundle_provenance(
    const lathe_bundle_t *bundle, size_t index, lathe_key_value_t *pair);

/* A function of the model. Its symbols are the named dims; the inputs' shapes
 * define the first `num_input_symbols`, the rest come up during a run. */
typedef struct lathe_entry_info_t {
  size_t struct_size;
  const char *name;
  size_t num_symbols;
  size_t num_input_symbols;
  size_t num_inputs;
  size_t num_outputs;
} lathe_entry_info_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_bundle_entry(
    const lathe_bundle_t *bundle, size_t entry, lathe_entry_info_t *info);

/* The index of the entry called `name`; the message lists those there are. */
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_bundle_find_entry(
    const lathe_bundle_t *bundle, const char *name, size_t *entry);

/* The name of a symbol, or NULL. */
LATHE_API const char *lathe_bundle_symbol(const lathe_bundle_t *bundle,
                                          size_t entry, size_t symbol);

/* A dim: its size, or -1 where it depends on symbols; and how it is written:
 * "384", "seq", "seq + 1". */
typedef struct lathe_dim_t {
  int64_t size;
  const char *text;
} lathe_dim_t;

typedef struct lathe_tensor_info_t {
  size_t struct_size;
  const char *name;
  lathe_dtype_t dtype;
  uint32_t rank;
  const lathe_dim_t *dims;
} lathe_tensor_info_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_bundle_input(const lathe_bundle_t *bundle, size_t entry, size_t input,
                   lathe_tensor_info_t *info);
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_bundle_output(const lathe_bundle_t *bundle, size_t entry, size_t output,
                    lathe_tensor_info_t *info);

/* A weight as it is stored. */
typedef struct lathe_constant_info_t {
  size_t struct_size;
  const char *name;     /* in the model; may be "" */
  const char *encoding; /* "dense" or the encoding's attribute */
  size_t segment;
  uint64_t offset; /* in the segment */
  uint64_t size;   /* bytes */
} lathe_constant_info_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_bundle_constant(
    const lathe_bundle_t *bundle, size_t constant, lathe_constant_info_t *info);

typedef struct lathe_segment_info_t {
  size_t struct_size;
  const char *kind; /* "data", "code" */
  uint64_t offset;  /* in the file */
  uint64_t size;
  const uint8_t *sha256; /* 32 bytes */
  const void *data;      /* the bytes themselves */
} lathe_segment_info_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_bundle_segment(
    const lathe_bundle_t *bundle, size_t segment, lathe_segment_info_t *info);

/* The code for one kind of machine. */
typedef struct lathe_variant_info_t {
  size_t struct_size;
  const char *target; /* "x86", ... */
  const char *level;  /* "x86-64-v3", "avx512-vnni", ... */
  uint32_t rank;      /* of those that fit, the highest is taken */
  size_t code;        /* segment */
  size_t num_features;
  size_t num_kernels;
  int fits;            /* 1 if this machine can run it */
  const char *missing; /* features this machine lacks, comma-separated, or "" */
} lathe_variant_info_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_bundle_variant(
    const lathe_bundle_t *bundle, size_t variant, lathe_variant_info_t *info);

/* The name of a feature that a variant needs, or NULL. */
LATHE_API const char *lathe_bundle_variant_feature(const lathe_bundle_t *bundle,
                                                   size_t variant,
                                                   size_t feature);

typedef struct lathe_kernel_info_t {
  size_t struct_size;
  const char *symbol;
  const char *schedule; /* printed; may be "" */
  uint32_t num_buffers;
  uint32_t num_scalars;
  /* What it computes, for which class of sizes; kernels that share it differ in
   * their schedule only. "" if it has no alternatives. */
  const char *workload;
  /* Of one program, on a device with threads; else 0. */
  uint32_t threads;
  /* Memory that the threads of a program share, in bytes, beside what the code
   * itself reserves. */
  uint32_t shared_bytes;
  /* How many programs in a row run together as a cluster; 1: each alone. */
  uint32_t cluster;
  /* "plain"; "given": the kernel knows its grid, which may be of any size;
   * "persistent": a few programs, which stay, do the work of all. */
  const char *grid;
  /* Views that the device's copy engine reads from. */
  size_t num_tensor_maps;
} lathe_kernel_info_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_bundle_kernel(const lathe_bundle_t *bundle, size_t variant, size_t kernel,
                    lathe_kernel_info_t *info);

typedef struct lathe_tensor_map_info_t {
  size_t struct_size;
  uint32_t buffer; /* of the kernel */
  lathe_dtype_t dtype;
  uint32_t rank;
  uint32_t box[5];  /* what one copy takes, the contiguous dim first */
  uint32_t swizzle; /* bytes; 0: none */
} lathe_tensor_map_info_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_bundle_tensor_map(
    const lathe_bundle_t *bundle, size_t variant, size_t kernel, size_t map,
    lathe_tensor_map_info_t *info);

/*===----------------------------------------------------------------------===
 * Models
 *===----------------------------------------------------------------------===*/

/* A bundle loaded on a device. Immutable; any number of threads may run it at
 * the same time, each run with working memory of its own, which the model
 * keeps for later runs. */
typedef struct lathe_model_t lathe_model_t;

typedef struct lathe_model_options_t {
  size_t struct_size;
  const lathe_allocator_t *allocator; /* NULL: malloc. Copied. */
  /* "cpu", "cuda", "cuda:1". NULL: the first in the order of lathe_device_info
   * for which the bundle has code. */
  const char *device;
  /* How many threads work on one run, the caller's included; 0: one for each
   * core that the process may use. The threads belong to the model. */
  uint32_t num_threads;
  /* The level of the variant to take, as in "x86-64-v3". NULL: the best. */
  const char *variant;
  /* For tuners: which of the kernels that a launch may choose from for the same
   * sizes runs, modulo how many there are. 0: the one the compiler prefers. */
  uint32_t alternative;
  /* Not 0: looks for kernels that read or write outside of their operands. Each
   * launch runs twice, on copies that begin or end at a page that may not be
   * touched; a kernel that does ends the run with LATHE_INTERNAL, which names
   * it and the operand. Takes SIGSEGV over while such a launch runs. Slow. */
  uint32_t guard;
  /* Not 0: a GPU is used through the context that is current in the thread that
   * creates the model, as a host program has made it, and which must outlive
   * the model. 0: through the device's primary context, which is what the CUDA
   * runtime and the frameworks above it use. */
  uint32_t adopt_context;
  uint32_t reserved; /* 0 */
} lathe_model_options_t;

/* Picks the best variant that this machine can run and loads its code. When
 * none fits, the message lists each with what it lacks here. */
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_model_create(const lathe_bundle_t *bundle,
                   const lathe_model_options_t *options, lathe_model_t **model);

/* No run may be going on. Results keep what they need alive. */
LATHE_API void lathe_model_destroy(lathe_model_t *model);

typedef struct lathe_model_info_t {
  size_t struct_size;
  const char *device; /* "cpu", "cuda" */
  size_t variant;     /* that was taken */
  uint32_t num_threads;
  lathe_memory_t memory;   /* that the device works in */
  int32_t device_index;    /* which of several */
  const char *description; /* of the device, for people */
  uint64_t constant_bytes; /* of weights copied to memory of the device */
} lathe_model_info_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_model_info(const lathe_model_t *model, lathe_model_info_t *info);

/* The bundle that the model was made from; lives as long as the model. */
LATHE_API const lathe_bundle_t *lathe_model_bundle(const lathe_model_t *model);

/* The shape of output `output` for inputs of the given shapes (`data` is not
 * looked at): `rank` dims are written. A dim that depends on the inputs' values
 * is -1. Fails as a run would when the shapes do not fit the entry. */
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_model_output_shape(
    const lathe_model_t *model, size_t entry, size_t num_inputs,
    const lathe_tensor_t *inputs, size_t output, int64_t dims[LATHE_MAX_RANK],
    uint32_t *rank);

/*===----------------------------------------------------------------------===
 * Runs
 *===----------------------------------------------------------------------===*/

typedef struct lathe_results_t lathe_results_t;
typedef struct lathe_profile_t lathe_profile_t;

typedef struct lathe_run_options_t {
  size_t struct_size;
  size_t entry;
  lathe_profile_t *profile; /* Filled anew when not NULL; slows the run. */
  /* Not 0: the results of lathe_model_run stay in the memory of the device, and
   * their tensors say so. 0: they are in host memory. */
  uint32_t device_results;
  /* NULL, or a stream of the device's driver (CUstream): the run begins when
   * what is queued in it by now is done. NULL is no stream here: CUDA's default
   * one is CU_STREAM_LEGACY, (void *)1. */
  void *stream;
  /* NULL, or where to write how long the run took: on a device with a clock of
   * its own, from its first work there to its last. */
  uint64_t *device_ns;
  /* Not 0: the call returns when the run is queued, and what is queued in
   * `stream` from then on begins after it. All inputs and outputs must be in
   * the device's memory and stay there until the run is done, as must the
   * model; there is no profile and no device_ns. Steps of the host, if the
   * model has any, are waited for. Errors of kernels come from later calls.
   * If `stream` is being captured, the run becomes a part of that graph, which
   * must not be used after the model is destroyed: its working memory is the
   * model's, and is kept for it. That must be there, so run once with the same
   * shapes and options before each capture. After an error, the capture has a
   * part of the run and is of no use. */
  uint32_t enqueue;
  uint32_t reserved; /* 0 */
} lathe_run_options_t;

/* Runs an entry. `inputs` are in the entry's order; dtypes, ranks and dims are
 * checked, and a message names the input, the dim and both sizes. Inputs in
 * host memory are copied to a device that has its own; inputs in the device's
 * memory are used in place: what computes them must be done, or queued in
 * `stream`. When the call returns, its own work is done. The memory of
 * the results belongs to the model: it is used again once they are destroyed,
 * so a loop that does so allocates nothing after the first run of a shape. */
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_model_run(
    const lathe_model_t *model, const lathe_run_options_t *options,
    size_t num_inputs, const lathe_tensor_t *inputs, lathe_results_t **results);

/* The same into buffers of the caller, one per output, with the dtype and the
 * exact dims of the output (lathe_model_output_shape). They must not overlap
 * with each other or with inputs. Their contents are unspecified after an
 * error. */
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_model_run_into(
    const lathe_model_t *model, const lathe_run_options_t *options,
    size_t num_inputs, const lathe_tensor_t *inputs, size_t num_outputs,
    const lathe_tensor_t *outputs);

/* How many outputs there are. */
LATHE_API size_t lathe_results_count(const lathe_results_t *results);

/* An output, or NULL; valid until the results are destroyed. An output that the
 * model passes through from an input points to a copy of it. */
LATHE_API const lathe_tensor_t *
lathe_results_tensor(const lathe_results_t *results, size_t index);

/* Gives the memory back to the model. */
LATHE_API void lathe_results_destroy(lathe_results_t *results);

/*===----------------------------------------------------------------------===
 * Buffers
 *===----------------------------------------------------------------------===*/

/* Memory that a model's device works in, for inputs and outputs that stay there
 * between runs. Programs that use the device by themselves need none: they give
 * addresses of their own. */
typedef struct lathe_buffer_t lathe_buffer_t;

LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_buffer_create(
    const lathe_model_t *model, uint64_t size, lathe_buffer_t **buffer);
/* Keeps the model alive until then. No run may be using the buffer. */
LATHE_API void lathe_buffer_destroy(lathe_buffer_t *buffer);

/* What goes into lathe_tensor_t.data, at a multiple of 64. */
LATHE_API void *lathe_buffer_data(const lathe_buffer_t *buffer);

/* Copy `size` bytes to or from the buffer's bytes from `offset` on, and return
 * when that is done. */
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_buffer_write(
    lathe_buffer_t *buffer, uint64_t offset, const void *from, uint64_t size);
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_buffer_read(
    const lathe_buffer_t *buffer, uint64_t offset, void *to, uint64_t size);

/*===----------------------------------------------------------------------===
 * Profiles
 *===----------------------------------------------------------------------===*/

/* An empty profile. One profile serves one run at a time. */
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_profile_create(
    const lathe_allocator_t *allocator, lathe_profile_t **profile);
LATHE_API void lathe_profile_destroy(lathe_profile_t *profile);

typedef struct lathe_profile_info_t {
  size_t struct_size;
  uint64_t total_ns;    /* the whole run, wall time */
  uint64_t arena_bytes; /* working memory, results included */
  size_t num_steps;
} lathe_profile_info_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t
lathe_profile_info(const lathe_profile_t *profile, lathe_profile_info_t *info);

/* One launch or built-in of the last run, in order. Strings belong to the
 * bundle and live as long as it or a model of it does. */
typedef struct lathe_profile_step_t {
  size_t struct_size;
  const char *label;    /* leads back to nodes of the source model */
  const char *kernel;   /* symbol of the kernel or name of the built-in */
  const char *schedule; /* of the kernel, or "" */
  uint64_t ns;
  int64_t flops; /* -1: not known */
  int64_t bytes; /* size of all operands */
  int64_t programs;
  uint32_t num_threads; /* that the launch was offered to */
  /* When it began, on the same clock as `ns`: the first of these is not 0. What
   * lies between the end of one step and the start of the next is a gap. */
  uint64_t start_ns;
} lathe_profile_step_t;
LATHE_API LATHE_MUST_CHECK lathe_status_t lathe_profile_step(
    const lathe_profile_t *profile, size_t index, lathe_profile_step_t *step);

#ifdef __cplusplus
}
#endif

#endif /* LATHE_C_RUNTIME_H */
