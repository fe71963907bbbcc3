/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Runs any bundle from C: all symbols are 1 unless given, all inputs zero.
 *
 *   embed model.lathe [seq=128 ...]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lathe-c/runtime.h>

/* Prints an error and ends the program: nothing in the library does that. */
static void check(lathe_status_t status) {
  if (!status)
    return;
  fprintf(stderr, "embed: %s\n", lathe_status_message(status));
  lathe_status_destroy(status);
  exit(1);
}

/* "seq" is 128 when there is an argument seq=128. */
static int64_t symbol_value(const char *name, int argc, char **argv) {
  size_t length = strlen(name);
  for (int i = 2; i < argc; ++i)
    if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=')
      return strtoll(argv[i] + length + 1, NULL, 10);
  return 1;
}

/* A tensor of zeros for an input; the caller frees data and dims. */
static lathe_tensor_t make_input(const lathe_bundle_t *bundle, size_t index,
                                 int argc, char **argv) {
  lathe_tensor_info_t info = LATHE_INIT(lathe_tensor_info_t);
  check(lathe_bundle_input(bundle, 0, index, &info));
  int64_t *dims = calloc(info.rank + 1, sizeof(*dims));
  size_t size = lathe_dtype_size(info.dtype);
  printf("input  %s: %s", info.name, lathe_dtype_name(info.dtype));
  for (uint32_t d = 0; d < info.rank; ++d) {
    dims[d] = info.dims[d].size >= 0
                  ? info.dims[d].size
                  : symbol_value(info.dims[d].text, argc, argv);
    size *= (size_t)dims[d];
    if (info.dims[d].size < 0)
      printf(" %s=%" PRId64, info.dims[d].text, dims[d]);
    else
      printf(" %" PRId64, dims[d]);
  }
  printf("\n");
  lathe_tensor_t tensor = {.data = calloc(size + 1, 1),
                           .dtype = info.dtype,
                           .rank = info.rank,
                           .dims = dims};
  return tensor;
}

static void print_output(const lathe_bundle_t *bundle,
                         const lathe_results_t *results, size_t index) {
  lathe_tensor_info_t info = LATHE_INIT(lathe_tensor_info_t);
  check(lathe_bundle_output(bundle, 0, index, &info));
  const lathe_tensor_t *tensor = lathe_results_tensor(results, index);
  int64_t count = 1;
  printf("output %s: %s", info.name, lathe_dtype_name(info.dtype));
  for (uint32_t d = 0; d < tensor->rank; ++d) {
    printf(" %" PRId64, tensor->dims[d]);
    count *= tensor->dims[d];
  }
  if (tensor->dtype == LATHE_DTYPE_F32)
    for (int64_t i = 0; i < count && i < 4; ++i)
      printf("%s %g", i ? "," : ":", ((const float *)tensor->data)[i]);
  printf("\n");
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: embed BUNDLE [SYMBOL=VALUE ...]\n");
    return 2;
  }
  lathe_bundle_t *bundle = NULL;
  lathe_model_t *model = NULL;
  check(lathe_bundle_open(argv[1], NULL, &bundle));
  check(lathe_model_create(bundle, NULL, &model));

  lathe_entry_info_t entry = LATHE_INIT(lathe_entry_info_t);
  check(lathe_bundle_entry(bundle, 0, &entry));
  lathe_tensor_t *inputs = calloc(entry.num_inputs + 1, sizeof(*inputs));
  for (size_t i = 0; i < entry.num_inputs; ++i)
    inputs[i] = make_input(bundle, i, argc, argv);

  lathe_results_t *results = NULL;
  check(lathe_model_run(model, NULL, entry.num_inputs, inputs, &results));
  for (size_t i = 0; i < entry.num_outputs; ++i)
    print_output(bundle, results, i);

  lathe_results_destroy(results);
  for (size_t i = 0; i < entry.num_inputs; ++i) {
    free(inputs[i].data);
    free((void *)inputs[i].dims);
  }
  free(inputs);
  lathe_model_destroy(model);
  lathe_bundle_destroy(bundle);
  return 0;
}
