// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The model and result functions of the C API.

#include "runtime/base/options.h"
#include "runtime/exec/context.h"

using namespace lathe::rt;

lathe_status_t lathe_model_create(const lathe_bundle_t *bundle,
                                  const lathe_model_options_t *options,
                                  lathe_model_t **model) {
  return lathe_model_t::create(bundle, options, model).release();
}

void lathe_model_destroy(lathe_model_t *self) {
  if (self)
    self->release();
}

lathe_status_t lathe_model_info(const lathe_model_t *self,
                                lathe_model_info_t *info) {
  lathe_model_info_t value = {sizeof(value),
                              self->deviceType().name,
                              self->variant(),
                              self->numThreads(),
                              self->device().memory,
                              self->device().index,
                              self->device().description.c_str(),
                              self->constantBytes()};
  return copyInfo(value, "lathe_model_info_t", info).release();
}

const lathe_bundle_t *lathe_model_bundle(const lathe_model_t *self) {
  return &self->bundle();
}

lathe_status_t lathe_model_output_shape(const lathe_model_t *self, size_t entry,
                                        size_t numInputs,
                                        const lathe_tensor_t *inputs,
                                        size_t output, int64_t *dims,
                                        uint32_t *rank) {
  Context *context;
  Status status = self->acquire(entry, nullptr, &context);
  if (status.failed())
    return status.release();
  status = context->bindShapes({inputs, numInputs}, false);
  if (!status.failed())
    status = context->outputShape(output, dims, rank);
  self->giveBack(context);
  return status.release();
}

/// Runs in a context; the caller gives the context back unless that fails.
static Status runIn(const lathe_model_t *model,
                    const lathe_run_options_t *options,
                    Span<const lathe_tensor_t> inputs,
                    Span<const lathe_tensor_t> outputs, Context **result) {
  lathe_run_options_t copy;
  LATHE_TRY(readOptions(options, "lathe_run_options_t", &copy));
  Context *context;
  LATHE_TRY(model->acquire(copy.entry, copy.enqueue ? copy.stream : nullptr,
                           &context));
  Status status = context->run(inputs, outputs, copy);
  if (status.failed())
    model->giveBack(context);
  else
    *result = context;
  return status;
}

lathe_status_t lathe_model_run(const lathe_model_t *self,
                               const lathe_run_options_t *options,
                               size_t numInputs, const lathe_tensor_t *inputs,
                               lathe_results_t **results) {
  Context *context;
  Status status = runIn(self, options, {inputs, numInputs}, {}, &context);
  if (status.failed())
    return status.release();
  self->retain();
  *results = &context->handle;
  return nullptr;
}

static Status runInto(const lathe_model_t *model,
                      const lathe_run_options_t *options,
                      Span<const lathe_tensor_t> inputs,
                      Span<const lathe_tensor_t> outputs) {
  lathe_run_options_t copy;
  LATHE_TRY(readOptions(options, "lathe_run_options_t", &copy));
  if (copy.entry < model->numEntries()) {
    size_t expected = sizeOf(model->plan(copy.entry).entry().outputs());
    if (outputs.size() != expected)
      return error(LATHE_INVALID_ARGUMENT,
                   "%zu buffers were given for %zu outputs", outputs.size(),
                   expected);
  }
  Context *context;
  LATHE_TRY(runIn(model, options, inputs, outputs, &context));
  model->giveBack(context);
  return ok();
}

lathe_status_t lathe_model_run_into(const lathe_model_t *self,
                                    const lathe_run_options_t *options,
                                    size_t numInputs,
                                    const lathe_tensor_t *inputs,
                                    size_t numOutputs,
                                    const lathe_tensor_t *outputs) {
  return runInto(self, options, {inputs, numInputs}, {outputs, numOutputs})
      .release();
}

size_t lathe_results_count(const lathe_results_t *self) {
  return self->context->outputTensors().size();
}

const lathe_tensor_t *lathe_results_tensor(const lathe_results_t *self,
                                           size_t index) {
  Span<const lathe_tensor_t> tensors = self->context->outputTensors();
  return index < tensors.size() ? &tensors[index] : nullptr;
}

void lathe_results_destroy(lathe_results_t *self) {
  if (!self)
    return;
  const lathe_model_t &model = self->context->model();
  model.giveBack(self->context);
  model.release();
}
