// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Device "cuda" on a driver that is none (FakeDriver.h): which copies and waits
// a run takes, recordings, memory of the caller's, and each way to fail.

#include "FakeDriver.h"
#include "TestModels.h"

namespace lathe::test {
namespace {

using bundle::DType;
using bundle::ExprOp;

class CudaTest : public testing::Test {
protected:
  void SetUp() override { driver.reset(); }
  void TearDown() override {
    // A host program finds its own context again: here, none.
    void *current = this;
    driver.function<int (*)(void **)>("cuCtxGetCurrent")(&current);
    EXPECT_EQ(current, nullptr);
    driver.reset();
  }

  static TestBundle port(TestBundle b) {
    b.variant().target = "cuda";
    b.variant().level = "sm_80";
    b.variant().features = {"sm_80"};
    b.code = fakeKernels();
    for (auto &kernel : b.variant().kernels)
      kernel->threads = 16;
    return b;
  }
  static LoadedModel load(TestBundle b) {
    return LoadedModel(port(std::move(b)));
  }
  /// What running the model on two inputs comes to.
  static std::string runSum(const LoadedModel &loaded, int64_t n = 7) {
    Tensor<float> x = ramp(n, 1);
    return runMessage(loaded, {x.view(), x.view()});
  }

  FakeDriver &driver = FakeDriver::get();
};

bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

/// Memory of the model's device that holds a tensor.
class OnDevice {
public:
  OnDevice(const LoadedModel &loaded, Tensor<float> &host, size_t offset = 0)
      : tensor(host.view()) {
    size_t size = host.data.size() * sizeof(float);
    EXPECT_EQ(take(lathe_buffer_create(loaded.model.get(), offset + size + 1,
                                       &buffer)),
              "");
    EXPECT_EQ(take(lathe_buffer_write(buffer, offset, host.data.data(), size)),
              "");
    tensor.data = static_cast<char *>(lathe_buffer_data(buffer)) + offset;
    tensor.memory = LATHE_MEMORY_CUDA;
    this->offset = offset;
  }
  OnDevice(const OnDevice &) = delete;
  ~OnDevice() { lathe_buffer_destroy(buffer); }

  std::vector<float> read(size_t count) const {
    std::vector<float> values(count);
    EXPECT_EQ(take(lathe_buffer_read(buffer, offset, values.data(),
                                     count * sizeof(float))),
              "");
    return values;
  }

  lathe_buffer_t *buffer = nullptr;
  lathe_tensor_t tensor;
  size_t offset;
};

//===----------------------------------------------------------------------===//
// Copies and waits
//===----------------------------------------------------------------------===//

TEST_F(CudaTest, ARunCopiesInputsAndResultsAndWaitsOnce) {
  LoadedModel loaded = load(addAndScale());
  EXPECT_EQ(runSum(loaded), "");
  driver.reset();
  EXPECT_EQ(runSum(loaded), "");
  EXPECT_EQ(driver.count("cuMemcpyHtoDAsync"), 2);
  EXPECT_EQ(driver.count("cuMemcpyDtoHAsync"), 1);
  EXPECT_EQ(driver.count("cuStreamSynchronize"), 1);
}

TEST_F(CudaTest, TensorsOfTheDeviceAreUsedInPlace) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1), y = ramp(9, 5), none = ramp(9, 0);
  OnDevice a(loaded, x), b(loaded, y), result(loaded, none);
  lathe_tensor_t inputs[] = {a.tensor, b.tensor};
  driver.reset();
  EXPECT_EQ(take(lathe_model_run_into(loaded.model.get(), nullptr, 2, inputs, 1,
                                      &result.tensor)),
            "");
  EXPECT_EQ(driver.count("cuMemcpyHtoDAsync"), 0);
  EXPECT_EQ(driver.count("cuMemcpyDtoHAsync"), 0);
  EXPECT_EQ(driver.count("cuMemcpyDtoDAsync"), 0);
  EXPECT_EQ(result.read(45), expected(x, y));
}

TEST_F(CudaTest, TensorsThatKernelsCannotTakeAreCopied) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1), none = ramp(9, 0);
  OnDevice a(loaded, x, 4), result(loaded, none, 12);
  lathe_tensor_t inputs[] = {a.tensor, x.view()};
  EXPECT_EQ(take(lathe_model_run_into(loaded.model.get(), nullptr, 2, inputs, 1,
                                      &result.tensor)),
            "");
  EXPECT_EQ(driver.count("cuMemcpyDtoDAsync"), 2);
  EXPECT_EQ(result.read(45), expected(x, x));
}

TEST_F(CudaTest, ResultsCanStayOnTheDevice) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1);
  lathe_tensor_t inputs[] = {x.view(), x.view()};
  auto options = LATHE_INIT(lathe_run_options_t);
  options.device_results = 1;
  lathe_results_t *raw = nullptr;
  ASSERT_EQ(
      take(lathe_model_run(loaded.model.get(), &options, 2, inputs, &raw)), "");
  ResultsPtr results(raw);
  const lathe_tensor_t &first = *lathe_results_tensor(raw, 0);
  EXPECT_EQ(first.memory, LATHE_MEMORY_CUDA);
  EXPECT_EQ(driver.count("cuMemcpyDtoHAsync"), 0);
  // What one run left there, another takes.
  lathe_tensor_t again[] = {first, first};
  ResultsPtr second = runModel(loaded, {again[0], again[1]});
  std::vector<float> once = expected(x, x), twice;
  for (float value : once)
    twice.push_back((value + value) * 3);
  EXPECT_EQ(elements<float>(*lathe_results_tensor(second.get(), 0)), twice);
}

TEST_F(CudaTest, MemoryOfAnotherDeviceIsRefused) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1);
  lathe_tensor_t elsewhere = x.view();
  elsewhere.memory = LATHE_MEMORY_CUDA;
  elsewhere.device_index = 3;
  EXPECT_PRED2(contains, runMessage(loaded, {x.view(), elsewhere}),
               "input 'other': it is in memory of kind 2 of device 3");
  LoadedModel cpu(addAndScale());
  EXPECT_PRED2(contains, runMessage(cpu, {x.view(), elsewhere}),
               "input 'other': it is in memory of kind 2");
}

TEST_F(CudaTest, WhatTheHostReadsOfItsOwnInputsIsNotFetched) {
  LoadedModel loaded = load(sizesFromData());
  Tensor<int64_t> input = {{2}, {99, 30}};
  ResultsPtr results = runModel(loaded, {input.view()});
  // z for the host's nonzero and as a result; `where` was made on the host.
  EXPECT_EQ(driver.count("cuMemcpyHtoDAsync"), 0);
  EXPECT_EQ(driver.count("cuMemcpyDtoHAsync"), 1);
  EXPECT_EQ(driver.count("cuStreamSynchronize"), 2);
  EXPECT_EQ(lathe_results_tensor(results.get(), 1)->dims[1], 29);
}

TEST_F(CudaTest, SeveralSizesFromTheDeviceTakeOneWait) {
  // Four numbers that kernels compute, each the size of something.
  TestBundle b;
  int32_t one = b.constant(1);
  uint32_t fill = b.kernel("fill", 1, 2);
  std::vector<int32_t> symbols;
  std::vector<uint32_t> scalars;
  for (int i = 0; i < 4; ++i) {
    symbols.push_back(b.symbol("s" + std::to_string(i)));
    scalars.push_back(b.transient(DType::I64, {one}));
    b.launch(fill, one, {one, b.constant(10 + i)}, {}, {scalars.back()});
  }
  for (uint32_t i = 0; i < 4; ++i)
    b.bind(i, scalars[i], 0);
  int32_t sum = symbols[0];
  for (int i = 1; i < 4; ++i)
    sum = b.binary(ExprOp::Add, sum, symbols[size_t(i)]);
  uint32_t y = b.transient(DType::I64, {sum});
  b.launch(b.kernel("iota", 1, 1),
           b.binary(ExprOp::CeilDiv, sum, b.constant(16)), {sum}, {}, {y});
  b.output("y", y);
  LoadedModel loaded = load(std::move(b));
  driver.reset();
  ResultsPtr results = runModel(loaded, {});
  EXPECT_EQ(lathe_results_tensor(results.get(), 0)->dims[0], 46);
  EXPECT_EQ(driver.count("cuStreamSynchronize"), 2);
}

TEST_F(CudaTest, WhatALoopReadsGoesThereOnce) {
  LoadedModel loaded = load(branchAndLoop());
  auto countCopies = [&](int64_t steps) {
    driver.reset();
    Tensor<float> x = {{40}, std::vector<float>(40, 1.5f)};
    Tensor<uint8_t> flag = {{}, {1}};
    Tensor<int64_t> count = {{}, {steps}};
    lathe_tensor_t condition = flag.view();
    condition.dtype = LATHE_DTYPE_BOOL;
    EXPECT_EQ(runMessage(loaded, {x.view(), condition, count.view()}), "");
    return driver.count("cuMemcpyHtoDAsync");
  };
  int few = countCopies(2);
  EXPECT_EQ(countCopies(6) - few, 4); // the numbers of the iterations
}

TEST_F(CudaTest, OutputsThatAreCopiedTakeNoMemoryThere) {
  // An input that is an output, too.
  TestBundle b;
  int32_t n = b.symbol("n");
  uint32_t x = b.input("x", bundle::DType::F32, {n});
  b.output("y", x);
  LoadedModel loaded = load(std::move(b));
  size_t before = driver.live();
  constexpr size_t count = 1 << 20;
  Tensor<float> tensor = {{count}, std::vector<float>(count)};
  ASSERT_EQ(runMessage(loaded, {tensor.view()}), "");
  EXPECT_LT(driver.live() - before, 2 * count * sizeof(float));
}

TEST_F(CudaTest, ConstantsGoThereOnceAndOnlyThoseInUse) {
  TestBundle b = addConstant();
  std::vector<float> large(100, 1.f);
  b.weight(DType::F32, {b.constant(100)}, large.data(), 400); // Nobody's.
  LoadedModel loaded = load(std::move(b));
  auto info = LATHE_INIT(lathe_model_info_t);
  ASSERT_EQ(take(lathe_model_info(loaded.model.get(), &info)), "");
  EXPECT_EQ(info.constant_bytes, 256u);
  EXPECT_EQ(info.memory, LATHE_MEMORY_CUDA);
  EXPECT_STREQ(info.description, "Fake GPU 0");
  driver.reset();
  Tensor<float> x = {{4}, {1, 2, 3, 4}};
  EXPECT_EQ(runMessage(loaded, {x.view()}), "");
  EXPECT_EQ(driver.count("cuMemcpyHtoDAsync"), 1);
}

TEST_F(CudaTest, WeightsLargerThanTheStagingMemory) {
  constexpr int64_t count = 5 << 20; // 20 MB through pieces of 8.
  TestBundle b;
  int32_t n = b.constant(count);
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.f);
  uint32_t w = b.weight(DType::F32, {n}, values.data(), count * sizeof(float));
  uint32_t y = b.transient(DType::F32, {n});
  b.launch(b.kernel("scale", 2, 2), b.constant(count / 16), {n, b.constant(2)},
           {w}, {y});
  b.output("y", y);
  LoadedModel loaded = load(std::move(b));
  ResultsPtr results = runModel(loaded, {});
  const auto *out =
      static_cast<const float *>(lathe_results_tensor(results.get(), 0)->data);
  for (int64_t i = 0; i < count; ++i)
    ASSERT_EQ(out[i], 2 * values[size_t(i)]);
}

TEST_F(CudaTest, MemoryComesBack) {
  size_t before = driver.live();
  {
    LoadedModel loaded = load(addConstant());
    Tensor<float> x = {{4}, {1, 2, 3, 4}};
    ResultsPtr results = runModel(loaded, {x.view()});
    EXPECT_GT(driver.live(), before);
  }
  EXPECT_EQ(driver.live(), before);
}

//===----------------------------------------------------------------------===//
// Recordings
//===----------------------------------------------------------------------===//

TEST_F(CudaTest, AShapeIsRecordedWhenItComesAgain) {
  LoadedModel loaded = load(addAndScale());
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(runSum(loaded), "");
  EXPECT_EQ(driver.count("cuGraphInstantiate"), 1);
  EXPECT_EQ(driver.count("cuGraphLaunch"), 4);
  // Launched twice: the first time, and to be recorded.
  EXPECT_EQ(driver.count("cuLaunchKernel"), 4);
  Tensor<float> x = ramp(7, 3);
  ResultsPtr results = runModel(loaded, {x.view(), x.view()});
  EXPECT_EQ(elements<float>(*lathe_results_tensor(results.get(), 0)),
            expected(x, x));
}

TEST_F(CudaTest, TheShapesUsedLastStayRecorded) {
  LoadedModel loaded = load(addAndScale());
  EXPECT_EQ(runSum(loaded, 100), ""); // The memory does not move after this.
  for (int round = 0; round < 3; ++round)
    for (int64_t n = 1; n <= 8; ++n)
      EXPECT_EQ(runSum(loaded, n), "");
  EXPECT_EQ(driver.count("cuGraphInstantiate"), 8);
  // One that comes once takes the place of one; the others are still there.
  EXPECT_EQ(runSum(loaded, 50), "");
  EXPECT_EQ(runSum(loaded, 60), "");
  driver.reset();
  for (int64_t n = 2; n <= 8; ++n)
    EXPECT_EQ(runSum(loaded, n), "");
  EXPECT_EQ(driver.count("cuGraphLaunch"), 7);
  EXPECT_EQ(driver.count("cuLaunchKernel"), 0);
}

TEST_F(CudaTest, WhatCannotBeRecordedIsLaunched) {
  for (int result : {2, 801}) {
    driver.reset();
    LoadedModel loaded = load(addAndScale());
    EXPECT_EQ(runSum(loaded), "");
    driver.fail("cuGraphInstantiate", 1, result);
    for (int run = 0; run < 3; ++run)
      EXPECT_EQ(runSum(loaded), "");
    // A driver that does not know how is not asked again.
    EXPECT_EQ(driver.count("cuGraphInstantiate"), result == 2 ? 2 : 1);
    EXPECT_EQ(driver.count("cuGraphLaunch"), result == 2 ? 2 : 0);
    EXPECT_EQ(driver.count("cuLaunchKernel"), result == 2 ? 8 : 10);
  }
}

//===----------------------------------------------------------------------===//
// Profiles
//===----------------------------------------------------------------------===//

TEST_F(CudaTest, AProfileHasTimesOfTheDevice) {
  LoadedModel loaded = load(addAndScale());
  lathe_profile_t *raw = nullptr;
  ASSERT_EQ(take(lathe_profile_create(nullptr, &raw)), "");
  ProfilePtr profile(raw);
  auto options = LATHE_INIT(lathe_run_options_t);
  options.profile = raw;
  Tensor<float> x = ramp(1000, 1);
  lathe_tensor_t inputs[] = {x.view(), x.view()};
  for (int i = 0; i < 3; ++i) {
    lathe_results_t *results = nullptr;
    ASSERT_EQ(take(lathe_model_run(loaded.model.get(), &options, 2, inputs,
                                   &results)),
              "");
    lathe_results_destroy(results);
    auto first = LATHE_INIT(lathe_profile_step_t), second = first;
    ASSERT_EQ(take(lathe_profile_step(raw, 0, &first)), "");
    ASSERT_EQ(take(lathe_profile_step(raw, 1, &second)), "");
    EXPECT_STREQ(first.kernel, "add");
    EXPECT_EQ(first.num_threads, 16u);
    EXPECT_LT(first.ns, uint64_t(1e9));
    EXPECT_LE(first.start_ns + first.ns, second.start_ns + 1000);
  }
  EXPECT_EQ(driver.count("cuGraphLaunch"), 0);
}

//===----------------------------------------------------------------------===//
// Failures
//===----------------------------------------------------------------------===//

TEST_F(CudaTest, AFaultOfAKernelIsSaidAndStays) {
  LoadedModel loaded = load(addAndScale());
  EXPECT_EQ(runSum(loaded), "");
  driver.fail("cuLaunchKernel", 1, 700);
  Tensor<float> x = ramp(7, 1);
  lathe_tensor_t inputs[] = {x.view(), x.view()};
  for (int i = 0; i < 2; ++i) {
    lathe_results_t *results = nullptr;
    lathe_status_t status =
        lathe_model_run(loaded.model.get(), nullptr, 2, inputs, &results);
    EXPECT_EQ(lathe_status_code(status), LATHE_DEVICE_LOST);
    EXPECT_PRED2(contains, take(status),
                 "an illegal memory access was encountered "
                 "(CUDA_ERROR_ILLEGAL_ADDRESS)");
  }
}

TEST_F(CudaTest, OutOfMemory) {
  LoadedModel loaded = load(addAndScale());
  driver.limit(driver.live() + 4000);
  EXPECT_PRED2(contains, runSum(loaded, 1000),
               "bytes on the device: cuMemAllocAsync: out of "
               "memory (CUDA_ERROR_OUT_OF_MEMORY)");
  EXPECT_EQ(runSum(loaded, 10), "");
  // The weights, too.
  driver.limit(driver.live() + 100);
  auto options = LATHE_INIT(lathe_model_options_t);
  lathe_status_t status =
      createModel(OpenedBundle(port(addConstant())), &options);
  EXPECT_EQ(lathe_status_code(status), LATHE_OUT_OF_MEMORY);
  EXPECT_PRED2(contains, take(status), "weights: 256 bytes on the device");
}

TEST_F(CudaTest, EachCallOfTheDriverMayFail) {
  size_t before = driver.live();
  for (const char *function :
       {"cuDeviceGetCount", "cuDevicePrimaryCtxRetain", "cuModuleLoadDataEx",
        "cuModuleGetFunction", "cuStreamCreate", "cuEventCreate",
        "cuMemAllocAsync", "cuMemAllocHost", "cuMemcpyHtoDAsync",
        "cuMemcpyDtoHAsync", "cuLaunchKernel", "cuStreamSynchronize",
        "cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate",
        "cuGraphLaunch"}) {
    bool happened = false;
    for (int after = 1; after < 6; ++after) {
      driver.reset();
      driver.fail(function, after, 2);
      OpenedBundle opened(port(addConstant()));
      lathe_model_t *model = nullptr;
      std::string message =
          take(lathe_model_create(opened.bundle.get(), nullptr, &model));
      ModelPtr owner(model);
      Tensor<float> x = {{4}, {1, 2, 3, 4}};
      for (int run = 0; message.empty() && run < 3; ++run) {
        lathe_results_t *results = nullptr;
        lathe_tensor_t input = x.view();
        message = take(lathe_model_run(model, nullptr, 1, &input, &results));
        lathe_results_destroy(results);
      }
      happened |= !message.empty();
      if (!message.empty())
        EXPECT_PRED2(contains, message, "OUT_OF_MEMORY") << function;
    }
    // A single launch is not recorded.
    bool isRecorded =
        std::string(function).find("Graph") != std::string::npos ||
        std::string(function).find("Capture") != std::string::npos;
    EXPECT_NE(happened, isRecorded) << function;
  }
  EXPECT_EQ(driver.live(), before);
}

TEST_F(CudaTest, GridsBeyondTheDevice) {
  TestBundle b;
  int32_t one = b.constant(1);
  uint32_t iota = b.kernel("iota", 1, 1);
  uint32_t y = b.transient(DType::I64, {one});
  uint32_t z = b.transient(DType::I64, {one});
  b.launch(iota, one, {one}, {}, {y});
  auto &launch = b.launch(iota, one, {one}, {}, {z});
  launch.choices[0]->grid = {one, b.constant(70000), one};
  b.output("y", y);
  b.output("z", z);
  LoadedModel loaded = load(std::move(b));
  // The second run begins to record both; the third must not replay one.
  for (int run = 0; run < 3; ++run)
    EXPECT_EQ(runMessage(loaded, {}),
              "launch 'step': kernel 'iota': grid dim 1 is 70000, and the "
              "device takes 65535 at most");
}

TEST_F(CudaTest, CodeIsReadWithCare) {
  auto refuse = [](Bytes code) {
    TestBundle b = port(addAndScale());
    b.code = std::move(code);
    return take(createModel(OpenedBundle(b)));
  };
  Bytes cubin = fakeKernels();
  EXPECT_PRED2(contains, refuse(Bytes(cubin.begin(), cubin.begin() + 40)),
               "the cubin is cut off");
  EXPECT_PRED2(contains, refuse(Bytes(cubin.begin(), cubin.end() - 64)),
               "the cubin's headers are damaged");
  std::string ptx = ".version 7.0\n.target sm_80\n";
  EXPECT_PRED2(contains, refuse(Bytes(ptx.begin(), ptx.end())),
               "a PTX JIT compilation failed (CUDA_ERROR_INVALID_PTX):"
               " ptxas application ptx input, line 1; fatal");
  TestBundle b = port(addAndScale());
  b.variant().kernels[0]->threads = 0;
  EXPECT_PRED2(contains, take(createModel(OpenedBundle(b))),
               "kernel 'add': 0 threads, and its code takes 1 to ");
  b.variant().kernels[0]->threads = 16;
  b.variant().kernels[0]->shared = 1 << 19;
  EXPECT_PRED2(contains, take(createModel(OpenedBundle(b))),
               "kernel 'add': 524288 bytes of shared memory");
}

TEST_F(CudaTest, Features) {
  auto missing = [](const char *feature) {
    TestBundle b = port(addAndScale());
    b.variant().features = {feature};
    OpenedBundle opened(b);
    auto info = LATHE_INIT(lathe_variant_info_t);
    EXPECT_EQ(take(lathe_bundle_variant(opened.bundle.get(), 0, &info)), "");
    return std::string(info.missing);
  };
  // The device is of capability 9.0.
  for (const char *feature : {"sm_50", "sm_80", "sm_90", "sm_90a"})
    EXPECT_EQ(missing(feature), "");
  for (const char *feature : {"sm_80a", "sm_100", "sm_", "sm_80b", "gfx942"})
    EXPECT_EQ(missing(feature), feature);
}

TEST_F(CudaTest, TheFirstDeviceThatAVariantFits) {
  setenv("LATHE_FAKE_DEVICES", "3", 1);
  setenv("LATHE_FAKE_CAPABILITY", "7.5,9.0,8.0", 1);
  OpenedBundle opened(port(addAndScale()));
  auto describe = [&](const char *name) -> std::string {
    auto options = LATHE_INIT(lathe_model_options_t);
    options.device = name;
    lathe_model_t *raw = nullptr;
    std::string message =
        take(lathe_model_create(opened.bundle.get(), &options, &raw));
    ModelPtr model(raw);
    auto info = LATHE_INIT(lathe_model_info_t);
    return raw && take(lathe_model_info(raw, &info)).empty() ? info.description
                                                             : message;
  };
  EXPECT_EQ(describe(nullptr), "Fake GPU 1");
  EXPECT_EQ(describe("cuda"), "Fake GPU 1");
  EXPECT_EQ(describe("cuda:2"), "Fake GPU 2");
  EXPECT_PRED2(contains, describe("cuda:0"),
               "no variant fits this machine; there are: cuda 'sm_80' (lacking "
               "here: sm_80)");
  unsetenv("LATHE_FAKE_DEVICES");
  unsetenv("LATHE_FAKE_CAPABILITY");
}

TEST_F(CudaTest, DevicesByName) {
  OpenedBundle opened(port(addAndScale()));
  auto create = [&](const char *name) {
    auto options = LATHE_INIT(lathe_model_options_t);
    options.device = name;
    return take(createModel(opened, &options));
  };
  EXPECT_EQ(create("cuda"), "");
  EXPECT_EQ(create("cuda:0"), "");
  EXPECT_PRED2(contains, create("cuda:1"),
               "no device cuda:1; this machine has 1");
  for (const char *number : {"x", "+0", " 0", "00", "01", "-1", "1024", ""})
    EXPECT_PRED2(contains, create((std::string("cuda:") + number).c_str()),
                 std::string("its number is '") + number + "'");
  EXPECT_PRED2(contains, create("cud"), "there are: 'cuda', 'cpu'");
  EXPECT_PRED2(contains, create("cpu"),
               "no variant is for device 'cpu'; there are: cuda "
               "'sm_80' (fits)");
  auto options = LATHE_INIT(lathe_model_options_t);
  options.adopt_context = 1;
  EXPECT_PRED2(contains, take(createModel(opened, &options)),
               "no context is current");
}

TEST_F(CudaTest, AHostProgramsContextAndStream) {
  // What the host program does by itself: its calls go to the driver, too.
  auto push = driver.function<int (*)(void *)>("cuCtxPushCurrent_v2");
  auto pop = driver.function<int (*)(void **)>("cuCtxPopCurrent_v2");
  auto current = driver.function<int (*)(void **)>("cuCtxGetCurrent");
  int its = 0;
  void *found = nullptr;
  push(&its);
  auto options = LATHE_INIT(lathe_model_options_t);
  options.adopt_context = 1;
  OpenedBundle opened(port(addAndScale()));
  lathe_model_t *raw = nullptr;
  ASSERT_EQ(take(lathe_model_create(opened.bundle.get(), &options, &raw)), "");
  ModelPtr model(raw);
  EXPECT_EQ(driver.count("cuDevicePrimaryCtxRetain"), 0);
  current(&found);
  EXPECT_EQ(found, &its);
  pop(&found);

  // A run from a thread without it: it is current only meanwhile. The inputs
  // are on their way to the device in the host program's stream.
  Tensor<float> x = ramp(9, 1);
  lathe_buffer_t *buffer = nullptr;
  ASSERT_EQ(take(lathe_buffer_create(raw, 45 * sizeof(float), &buffer)), "");
  auto create = driver.function<int (*)(void **, unsigned)>("cuStreamCreate");
  auto copy = driver.function<int (*)(uint64_t, const void *, size_t, void *)>(
      "cuMemcpyHtoDAsync_v2");
  void *stream = nullptr;
  push(&its);
  EXPECT_EQ(create(&stream, 0), 0);
  pop(&found);
  EXPECT_EQ(copy(reinterpret_cast<uintptr_t>(lathe_buffer_data(buffer)),
                 x.data.data(), 45 * sizeof(float), stream),
            0);
  lathe_tensor_t inputs[] = {x.view(), x.view()};
  inputs[1].data = lathe_buffer_data(buffer);
  inputs[1].memory = LATHE_MEMORY_CUDA;
  auto run = LATHE_INIT(lathe_run_options_t);
  run.stream = stream;
  uint64_t ns = 0;
  run.device_ns = &ns;
  lathe_results_t *results = nullptr;
  ASSERT_EQ(take(lathe_model_run(raw, &run, 2, inputs, &results)), "");
  EXPECT_EQ(elements<float>(*lathe_results_tensor(results, 0)), expected(x, x));
  EXPECT_GT(ns, 0u);
  lathe_results_destroy(results);
  lathe_buffer_destroy(buffer);
  driver.function<int (*)(void *)>("cuStreamDestroy_v2")(stream);
  current(&found);
  EXPECT_EQ(found, nullptr);
}

TEST_F(CudaTest, RunsAreQueuedBetweenAHostProgramsWork) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1), y = ramp(9, 5), none = ramp(9, 0);
  OnDevice a(loaded, x), b(loaded, y), result(loaded, none);
  lathe_tensor_t inputs[] = {a.tensor, b.tensor};
  auto options = LATHE_INIT(lathe_run_options_t);
  options.enqueue = 1;
  auto run = [&] {
    return take(lathe_model_run_into(loaded.model.get(), &options, 2, inputs, 1,
                                     &result.tensor));
  };
  EXPECT_PRED2(contains, run(), "enqueue: no stream is given");
  void *const legacy = reinterpret_cast<void *>(1);
  options.stream = legacy;
  EXPECT_EQ(run(), "");
  driver.reset();
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(run(), "");
  EXPECT_EQ(driver.count("cuStreamSynchronize"), 0);
  EXPECT_EQ(driver.count("cuGraphLaunch"), 3);
  EXPECT_EQ(result.read(45), expected(x, y));

  // What somebody would have to wait for is refused.
  uint64_t ns;
  options.device_ns = &ns;
  EXPECT_PRED2(contains, run(), "no profile and no device_ns");
  options.device_ns = nullptr;
  inputs[1] = y.view();
  EXPECT_PRED2(contains, run(), "input 1 is not in the device's memory");
  LoadedModel cpu(addAndScale());
  EXPECT_PRED2(contains,
               take(lathe_model_run_into(cpu.model.get(), &options, 2, inputs,
                                         1, &result.tensor)),
               "enqueue: the device 'cpu' runs calls as they come");
}

TEST_F(CudaTest, RunsAreAPartOfAHostProgramsGraph) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1), none = ramp(9, 0);
  OnDevice a(loaded, x), result(loaded, none);
  lathe_tensor_t inputs[] = {a.tensor, a.tensor};
  void *stream = nullptr, *graph = nullptr;
  auto push = driver.function<int (*)(void *)>("cuCtxPushCurrent_v2");
  auto pop = driver.function<int (*)(void **)>("cuCtxPopCurrent_v2");
  auto create = driver.function<int (*)(void **, unsigned)>("cuStreamCreate");
  auto begin = driver.function<int (*)(void *, int)>("cuStreamBeginCapture_v2");
  auto end = driver.function<int (*)(void *, void **)>("cuStreamEndCapture");
  int its = 0;
  void *popped;
  push(&its);
  EXPECT_EQ(create(&stream, 0), 0);
  pop(&popped);
  auto options = LATHE_INIT(lathe_run_options_t);
  options.stream = stream;
  auto run = [&] {
    return take(lathe_model_run_into(loaded.model.get(), &options, 2, inputs, 1,
                                     &result.tensor));
  };
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(run(), "");
  driver.reset();
  EXPECT_EQ(begin(stream, 2), 0);
  EXPECT_PRED2(contains, run(), "the stream is being captured");
  options.enqueue = 1;
  EXPECT_EQ(run(), "");
  // Launches one by one: a graph in a graph cannot be captured.
  EXPECT_EQ(driver.count("cuGraphLaunch"), 0);
  EXPECT_EQ(driver.count("cuLaunchKernel"), 2);
  // The next part of the same graph may use the same memory.
  EXPECT_EQ(run(), "");
  EXPECT_EQ(end(stream, &graph), 0);
  driver.function<int (*)(void *)>("cuGraphDestroy")(graph);

  // The graph has that context: the next run makes memory of its own, and no
  // run makes any in a capture.
  driver.reset();
  EXPECT_EQ(begin(stream, 2), 0);
  EXPECT_PRED2(contains, run(), "before each capture, run once");
  EXPECT_EQ(driver.count("cuMemAllocAsync"), 0);
  EXPECT_EQ(driver.count("cuStreamWaitEvent"), 0);
  EXPECT_EQ(end(stream, &graph), 0);
  driver.function<int (*)(void *)>("cuGraphDestroy")(graph);
  EXPECT_EQ(run(), "");
  EXPECT_GT(driver.count("cuMemAllocAsync"), 0);

  // An error leaves a capture that can end, and nobody waits.
  driver.reset();
  driver.fail("cuLaunchKernel", 2, 2);
  EXPECT_EQ(begin(stream, 2), 0);
  EXPECT_PRED2(contains, run(), "cuLaunchKernel");
  EXPECT_EQ(driver.count("cuStreamSynchronize"), 0);
  EXPECT_EQ(driver.count("cuStreamWaitEvent"), 2);
  EXPECT_EQ(runSum(loaded), "");
  EXPECT_EQ(end(stream, &graph), 0);
  driver.function<int (*)(void *)>("cuGraphDestroy")(graph);
  EXPECT_EQ(run(), "");

  // Nobody may wait meanwhile.
  LoadedModel waiting = load(sizesFromData());
  Tensor<int64_t> numbers = {{2}, {99, 30}};
  lathe_tensor_t view = numbers.view();
  lathe_buffer_t *buffer = nullptr;
  ASSERT_EQ(take(lathe_buffer_create(waiting.model.get(), 16, &buffer)), "");
  view.data = lathe_buffer_data(buffer);
  view.memory = LATHE_MEMORY_CUDA;
  options.device_results = 1;
  EXPECT_EQ(begin(stream, 2), 0);
  lathe_results_t *results = nullptr;
  EXPECT_PRED2(
      contains,
      take(lathe_model_run(waiting.model.get(), &options, 1, &view, &results)),
      "the model has steps that run on the host");
  EXPECT_EQ(end(stream, &graph), 0);
  driver.function<int (*)(void *)>("cuGraphDestroy")(graph);
  // Nor in what is called.
  TestBundle b;
  uint32_t in = b.input("sizes", DType::I64, {b.constant(2)});
  uint32_t out = b.transient(DType::I64, {b.constant(1)});
  b.call({{1, {}}}, {}, {in}, {out});
  b.output("out", out);
  b.beginEntry(0);
  in = b.input("sizes", DType::I64, {b.constant(2)});
  int32_t one = b.constant(1), size = b.symbol("size");
  out = b.transient(DType::I64, {one});
  b.bind(static_cast<uint32_t>(0), in, 1);
  b.launch(b.kernel("fill", 1, 2), one, {one, size}, {}, {out});
  b.output("out", out);
  LoadedModel calling = load(std::move(b));
  EXPECT_EQ(begin(stream, 2), 0);
  EXPECT_PRED2(
      contains,
      take(lathe_model_run(calling.model.get(), &options, 1, &view, &results)),
      "the model has steps that run on the host");
  EXPECT_EQ(end(stream, &graph), 0);
  driver.function<int (*)(void *)>("cuGraphDestroy")(graph);
  lathe_buffer_destroy(buffer);
  driver.function<int (*)(void *)>("cuStreamDestroy_v2")(stream);
}

TEST_F(CudaTest, TheListOfDevices) {
  ASSERT_EQ(lathe_device_count(), 2u);
  auto info = LATHE_INIT(lathe_device_info_t);
  ASSERT_EQ(take(lathe_device_info(0, &info)), "");
  EXPECT_STREQ(info.name, "cuda:0");
  EXPECT_PRED2(contains, info.description, "Fake GPU 0, sm_90, 132");
  EXPECT_EQ(info.usable, 1);
  EXPECT_EQ(info.memory, LATHE_MEMORY_CUDA);
  EXPECT_EQ(info.memory_bandwidth, 3352320000000u);
  EXPECT_EQ(info.matrix_flops, 1070530560000000u);
  ASSERT_EQ(take(lathe_device_info(1, &info)), "");
  EXPECT_STREQ(info.name, "cpu");
  EXPECT_PRED2(contains, take(lathe_device_info(2, &info)), "device 2 of 2");
}

} // namespace
} // namespace lathe::test
