// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Devices "cuda" and "hip" on drivers that are none (FakeDriver.h): which
// copies and waits a run takes, recordings, memory of the caller's, and each
// way to fail.

#include "FakeDriver.h"
#include "TestModels.h"

namespace lathe::test {
namespace {

using bundle::DType;
using bundle::ExprOp;

/// What tests need to know of a vendor.
struct Vendor {
  const char *device, *target;
  const char *level; ///< that the fake device has
  lathe_memory_t memory;
  bool isHip;
  const char *object;            ///< a file of code
  std::string fault, noMemory;   ///< names of errors
  const char *allocate, *launch; ///< the driver's names
};

class GpuTest : public testing::TestWithParam<Vendor> {
protected:
  void SetUp() override {
    FakeDriver::cuda();
    FakeDriver::hip();
    driver.reset();
  }
  void TearDown() override {
    // A host program finds its own context again: here, none.
    if (its.isHip) {
      int device = -1;
      driver.function<int (*)(int *)>("getCurrentDevice")(&device);
      EXPECT_EQ(device, 0);
    } else {
      void *current = this;
      driver.function<int (*)(void **)>("getCurrentContext")(&current);
      EXPECT_EQ(current, nullptr);
    }
    driver.reset();
  }

  TestBundle port(TestBundle b) const {
    b.variant().target = its.target;
    b.variant().level = its.level;
    b.variant().features = {its.level};
    b.code = fakeKernels();
    for (auto &kernel : b.variant().kernels)
      kernel->threads = 16;
    return b;
  }
  LoadedModel load(TestBundle b) const {
    return LoadedModel(port(std::move(b)));
  }
  /// "cuda:1"
  std::string number(const std::string &digits) const {
    return std::string(its.device) + ":" + digits;
  }
  /// What running the model on two inputs comes to.
  static std::string runSum(const LoadedModel &loaded, int64_t n = 7) {
    Tensor<float> x = ramp(n, 1);
    return runMessage(loaded, {x.view(), x.view()});
  }

  const Vendor &its = GetParam();
  FakeDriver &driver = its.isHip ? FakeDriver::hip() : FakeDriver::cuda();
};

INSTANTIATE_TEST_SUITE_P(
    Devices, GpuTest,
    testing::Values(Vendor{"cuda", "cuda", "sm_80", LATHE_MEMORY_CUDA, false,
                           "cubin", "CUDA_ERROR_ILLEGAL_ADDRESS",
                           "CUDA_ERROR_OUT_OF_MEMORY", "cuMemAllocAsync",
                           "cuLaunchKernel"},
                    Vendor{"hip", "rocm", "gfx942", LATHE_MEMORY_ROCM, true,
                           "code object", "hipErrorIllegalAddress",
                           "hipErrorOutOfMemory", "hipMallocAsync",
                           "hipModuleLaunchKernel"}),
    [](const testing::TestParamInfo<Vendor> &info) {
      return std::string(info.param.device);
    });

bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

/// Memory of the model's device that holds a tensor.
class OnDevice {
public:
  OnDevice(const LoadedModel &loaded, lathe_memory_t memory,
           Tensor<float> &host, size_t offset = 0)
      : tensor(host.view()) {
    size_t size = host.data.size() * sizeof(float);
    EXPECT_EQ(take(lathe_buffer_create(loaded.model.get(), offset + size + 1,
                                       &buffer)),
              "");
    EXPECT_EQ(take(lathe_buffer_write(buffer, offset, host.data.data(), size)),
              "");
    tensor.data = static_cast<char *>(lathe_buffer_data(buffer)) + offset;
    tensor.memory = memory;
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

TEST_P(GpuTest, ARunCopiesInputsAndResultsAndWaitsOnce) {
  LoadedModel loaded = load(addAndScale());
  EXPECT_EQ(runSum(loaded), "");
  driver.reset();
  EXPECT_EQ(runSum(loaded), "");
  EXPECT_EQ(driver.count("copyToDevice"), 2);
  EXPECT_EQ(driver.count("copyToHost"), 1);
  EXPECT_EQ(driver.count("synchronizeStream"), 1);
}

TEST_P(GpuTest, TensorsOfTheDeviceAreUsedInPlace) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1), y = ramp(9, 5), none = ramp(9, 0);
  OnDevice a(loaded, its.memory, x), b(loaded, its.memory, y),
      result(loaded, its.memory, none);
  lathe_tensor_t inputs[] = {a.tensor, b.tensor};
  driver.reset();
  EXPECT_EQ(take(lathe_model_run_into(loaded.model.get(), nullptr, 2, inputs, 1,
                                      &result.tensor)),
            "");
  EXPECT_EQ(driver.count("copyToDevice"), 0);
  EXPECT_EQ(driver.count("copyToHost"), 0);
  EXPECT_EQ(driver.count("copyOnDevice"), 0);
  EXPECT_EQ(result.read(45), expected(x, y));
}

TEST_P(GpuTest, TensorsThatKernelsCannotTakeAreCopied) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1), none = ramp(9, 0);
  OnDevice a(loaded, its.memory, x, 4), result(loaded, its.memory, none, 12);
  lathe_tensor_t inputs[] = {a.tensor, x.view()};
  EXPECT_EQ(take(lathe_model_run_into(loaded.model.get(), nullptr, 2, inputs, 1,
                                      &result.tensor)),
            "");
  EXPECT_EQ(driver.count("copyOnDevice"), 2);
  EXPECT_EQ(result.read(45), expected(x, x));
}

TEST_P(GpuTest, ResultsCanStayOnTheDevice) {
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
  EXPECT_EQ(first.memory, its.memory);
  EXPECT_EQ(driver.count("copyToHost"), 0);
  // What one run left there, another takes.
  lathe_tensor_t again[] = {first, first};
  ResultsPtr second = runModel(loaded, {again[0], again[1]});
  std::vector<float> once = expected(x, x), twice;
  for (float value : once)
    twice.push_back((value + value) * 3);
  EXPECT_EQ(elements<float>(*lathe_results_tensor(second.get(), 0)), twice);
}

TEST_P(GpuTest, MemoryOfAnotherDeviceIsRefused) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1);
  lathe_tensor_t elsewhere = x.view();
  elsewhere.memory = its.memory;
  elsewhere.device_index = 3;
  EXPECT_PRED2(contains, runMessage(loaded, {x.view(), elsewhere}),
               "input 'other': it is in memory of kind " +
                   std::to_string(its.memory) + " of device 3");
  LoadedModel cpu(addAndScale());
  EXPECT_PRED2(contains, runMessage(cpu, {x.view(), elsewhere}),
               "input 'other': it is in memory of kind " +
                   std::to_string(its.memory));
}

TEST_P(GpuTest, WhatTheHostReadsOfItsOwnInputsIsNotFetched) {
  LoadedModel loaded = load(sizesFromData());
  Tensor<int64_t> input = {{2}, {99, 30}};
  ResultsPtr results = runModel(loaded, {input.view()});
  // z for the host's nonzero and as a result; `where` was made on the host.
  EXPECT_EQ(driver.count("copyToDevice"), 0);
  EXPECT_EQ(driver.count("copyToHost"), 1);
  EXPECT_EQ(driver.count("synchronizeStream"), 2);
  EXPECT_EQ(lathe_results_tensor(results.get(), 1)->dims[1], 29);
}

TEST_P(GpuTest, SeveralSizesFromTheDeviceTakeOneWait) {
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
  EXPECT_EQ(driver.count("synchronizeStream"), 2);
}

TEST_P(GpuTest, WhatALoopReadsGoesThereOnce) {
  LoadedModel loaded = load(branchAndLoop());
  auto countCopies = [&](int64_t steps) {
    driver.reset();
    Tensor<float> x = {{40}, std::vector<float>(40, 1.5f)};
    Tensor<uint8_t> flag = {{}, {1}};
    Tensor<int64_t> count = {{}, {steps}};
    lathe_tensor_t condition = flag.view();
    condition.dtype = LATHE_DTYPE_BOOL;
    EXPECT_EQ(runMessage(loaded, {x.view(), condition, count.view()}), "");
    return driver.count("copyToDevice");
  };
  int few = countCopies(2);
  EXPECT_EQ(countCopies(6) - few, 4); // the numbers of the iterations
}

TEST_P(GpuTest, OutputsThatAreCopiedTakeNoMemoryThere) {
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

TEST_P(GpuTest, ConstantsGoThereOnceAndOnlyThoseInUse) {
  TestBundle b = addConstant();
  std::vector<float> large(100, 1.f);
  b.weight(DType::F32, {b.constant(100)}, large.data(), 400); // Nobody's.
  LoadedModel loaded = load(std::move(b));
  auto info = LATHE_INIT(lathe_model_info_t);
  ASSERT_EQ(take(lathe_model_info(loaded.model.get(), &info)), "");
  EXPECT_EQ(info.constant_bytes, 256u);
  EXPECT_EQ(info.memory, its.memory);
  EXPECT_STREQ(info.description, "Fake GPU 0");
  driver.reset();
  Tensor<float> x = {{4}, {1, 2, 3, 4}};
  EXPECT_EQ(runMessage(loaded, {x.view()}), "");
  EXPECT_EQ(driver.count("copyToDevice"), 1);
}

TEST_P(GpuTest, WeightsLargerThanTheStagingMemory) {
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

TEST_P(GpuTest, MemoryComesBack) {
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

TEST_P(GpuTest, AShapeIsRecordedWhenItComesAgain) {
  LoadedModel loaded = load(addAndScale());
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(runSum(loaded), "");
  EXPECT_EQ(driver.count("instantiateGraph"), 1);
  EXPECT_EQ(driver.count("launchGraph"), 4);
  // Launched twice: the first time, and to be recorded.
  EXPECT_EQ(driver.count("launch"), 4);
  Tensor<float> x = ramp(7, 3);
  ResultsPtr results = runModel(loaded, {x.view(), x.view()});
  EXPECT_EQ(elements<float>(*lathe_results_tensor(results.get(), 0)),
            expected(x, x));
}

TEST_P(GpuTest, TheShapesUsedLastStayRecorded) {
  LoadedModel loaded = load(addAndScale());
  EXPECT_EQ(runSum(loaded, 100), ""); // The memory does not move after this.
  for (int round = 0; round < 3; ++round)
    for (int64_t n = 1; n <= 8; ++n)
      EXPECT_EQ(runSum(loaded, n), "");
  EXPECT_EQ(driver.count("instantiateGraph"), 8);
  // One that comes once takes the place of one; the others are still there.
  EXPECT_EQ(runSum(loaded, 50), "");
  EXPECT_EQ(runSum(loaded, 60), "");
  driver.reset();
  for (int64_t n = 2; n <= 8; ++n)
    EXPECT_EQ(runSum(loaded, n), "");
  EXPECT_EQ(driver.count("launchGraph"), 7);
  EXPECT_EQ(driver.count("launch"), 0);
}

TEST_P(GpuTest, WhatCannotBeRecordedIsLaunched) {
  for (int result : {2, 801}) {
    driver.reset();
    LoadedModel loaded = load(addAndScale());
    EXPECT_EQ(runSum(loaded), "");
    driver.fail("instantiateGraph", 1, result);
    for (int run = 0; run < 3; ++run)
      EXPECT_EQ(runSum(loaded), "");
    // A driver that does not know how is not asked again.
    EXPECT_EQ(driver.count("instantiateGraph"), result == 2 ? 2 : 1);
    EXPECT_EQ(driver.count("launchGraph"), result == 2 ? 2 : 0);
    EXPECT_EQ(driver.count("launch"), result == 2 ? 8 : 10);
  }
}

//===----------------------------------------------------------------------===//
// Profiles
//===----------------------------------------------------------------------===//

TEST_P(GpuTest, AProfileHasTimesOfTheDevice) {
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
  EXPECT_EQ(driver.count("launchGraph"), 0);
}

//===----------------------------------------------------------------------===//
// Failures
//===----------------------------------------------------------------------===//

TEST_P(GpuTest, AFaultOfAKernelIsSaidAndStays) {
  LoadedModel loaded = load(addAndScale());
  EXPECT_EQ(runSum(loaded), "");
  driver.fail("launch", 1, 700);
  Tensor<float> x = ramp(7, 1);
  lathe_tensor_t inputs[] = {x.view(), x.view()};
  for (int i = 0; i < 2; ++i) {
    lathe_results_t *results = nullptr;
    lathe_status_t status =
        lathe_model_run(loaded.model.get(), nullptr, 2, inputs, &results);
    EXPECT_EQ(lathe_status_code(status), LATHE_DEVICE_LOST);
    EXPECT_PRED2(contains, take(status),
                 "an illegal memory access was encountered (" + its.fault +
                     ")");
  }
}

TEST_P(GpuTest, OutOfMemory) {
  LoadedModel loaded = load(addAndScale());
  driver.limit(driver.live() + 4000);
  EXPECT_PRED2(contains, runSum(loaded, 1000),
               std::string("bytes on the device: ") + its.allocate +
                   ": out of memory (" + its.noMemory + ")");
  EXPECT_EQ(runSum(loaded, 10), "");
  // The weights, too.
  driver.limit(driver.live() + 100);
  auto options = LATHE_INIT(lathe_model_options_t);
  lathe_status_t status =
      createModel(OpenedBundle(port(addConstant())), &options);
  EXPECT_EQ(lathe_status_code(status), LATHE_OUT_OF_MEMORY);
  EXPECT_PRED2(contains, take(status), "weights: 256 bytes on the device");
}

TEST_P(GpuTest, EachCallOfTheDriverMayFail) {
  size_t before = driver.live();
  for (const char *function :
       {"getDeviceCount", "retainPrimaryContext", "getProperties", "loadModule",
        "getFunction", "createStream", "createEvent", "allocateAsync",
        "allocateHost", "copyToDevice", "copyToHost", "launch",
        "synchronizeStream", "beginCapture", "endCapture", "instantiateGraph",
        "launchGraph"}) {
    if (strcmp(function,
               its.isHip ? "retainPrimaryContext" : "getProperties") == 0)
      continue; // The other vendor's.
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
        EXPECT_PRED2(contains, message, its.noMemory) << function;
    }
    // A single launch is not recorded.
    bool isRecorded =
        std::string(function).find("Graph") != std::string::npos ||
        std::string(function).find("Capture") != std::string::npos;
    EXPECT_NE(happened, isRecorded) << function;
  }
  EXPECT_EQ(driver.live(), before);
}

TEST_P(GpuTest, GridsBeyondTheDevice) {
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

TEST_P(GpuTest, CodeIsReadWithCare) {
  auto refuse = [&](Bytes code) {
    TestBundle b = port(addAndScale());
    b.code = std::move(code);
    return take(createModel(OpenedBundle(b)));
  };
  Bytes cubin = fakeKernels();
  EXPECT_PRED2(contains, refuse(Bytes(cubin.begin(), cubin.begin() + 40)),
               std::string("the ") + its.object + " is cut off");
  EXPECT_PRED2(contains, refuse(Bytes(cubin.begin(), cubin.end() - 64)),
               std::string("the ") + its.object + "'s headers are damaged");
  std::string ptx = ".version 7.0\n.target sm_80\n";
  EXPECT_PRED2(contains, refuse(Bytes(ptx.begin(), ptx.end())),
               its.isHip
                   ? "the code is no code object"
                   : "a PTX JIT compilation failed (CUDA_ERROR_INVALID_PTX):"
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

TEST_P(GpuTest, Features) {
  auto missing = [&](const char *feature) {
    TestBundle b = port(addAndScale());
    b.variant().features = {feature};
    OpenedBundle opened(b);
    auto info = LATHE_INIT(lathe_variant_info_t);
    EXPECT_EQ(take(lathe_bundle_variant(opened.bundle.get(), 0, &info)), "");
    return std::string(info.missing);
  };
  // A capability serves those before it; an architecture is what it is, with
  // any of the features that its full name may end in.
  using Names = std::vector<const char *>;
  for (const char *feature :
       its.isHip ? Names{"gfx942"} : Names{"sm_50", "sm_80", "sm_90", "sm_90a"})
    EXPECT_EQ(missing(feature), "");
  for (const char *feature :
       its.isHip ? Names{"gfx90a", "gfx94", "gfx9420", "gfx942:xnack-", "sm_80"}
                 : Names{"sm_80a", "sm_100", "sm_", "sm_80b", "gfx942"})
    EXPECT_EQ(missing(feature), feature);
}

TEST_P(GpuTest, TheFirstDeviceThatAVariantFits) {
  setenv("LATHE_FAKE_DEVICES", "3", 1);
  setenv("LATHE_FAKE_CAPABILITY", "7.5,9.0,8.0", 1);
  setenv("LATHE_FAKE_ARCHITECTURE", "gfx1100,gfx942:sramecc-,gfx942", 1);
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
  EXPECT_EQ(describe(its.device), "Fake GPU 1");
  EXPECT_EQ(describe(number("2").c_str()), "Fake GPU 2");
  EXPECT_PRED2(contains, describe(number("0").c_str()),
               std::string("no variant fits this machine; there are: ") +
                   its.target + " '" + its.level +
                   "' (lacking here: " + its.level + ")");
  unsetenv("LATHE_FAKE_DEVICES");
  unsetenv("LATHE_FAKE_CAPABILITY");
  unsetenv("LATHE_FAKE_ARCHITECTURE");
}

TEST_P(GpuTest, DevicesByName) {
  OpenedBundle opened(port(addAndScale()));
  auto create = [&](const std::string &name) {
    auto options = LATHE_INIT(lathe_model_options_t);
    options.device = name.c_str();
    return take(createModel(opened, &options));
  };
  EXPECT_EQ(create(its.device), "");
  EXPECT_EQ(create(number("0")), "");
  EXPECT_PRED2(contains, create(number("1")),
               "no device " + number("1") + "; this machine has 1");
  for (const char *digits : {"x", "+0", " 0", "00", "01", "-1", "1024", ""})
    EXPECT_PRED2(contains, create(number(digits)),
                 std::string("its number is '") + digits + "'");
  EXPECT_PRED2(contains, create("cud"), "there are: 'cuda', 'hip', 'cpu'");
  EXPECT_PRED2(contains, create("cpu"),
               std::string("no variant is for device 'cpu'; there are: ") +
                   its.target + " '" + its.level + "' (fits)");
  if (its.isHip)
    return;
  auto options = LATHE_INIT(lathe_model_options_t);
  options.adopt_context = 1;
  EXPECT_PRED2(contains, take(createModel(opened, &options)),
               "no context is current");
}

TEST_P(GpuTest, TheCurrentDeviceIsTheHostProgramsAgain) {
  if (!its.isHip)
    GTEST_SKIP() << "contexts are current there";
  setenv("LATHE_FAKE_DEVICES", "2", 1);
  auto options = LATHE_INIT(lathe_model_options_t);
  std::string second = number("1");
  options.device = second.c_str();
  OpenedBundle opened(port(addAndScale()));
  auto create = [&](ModelPtr &model) {
    lathe_model_t *raw = nullptr;
    std::string message =
        take(lathe_model_create(opened.bundle.get(), &options, &raw));
    model.reset(raw);
    return message;
  };
  {
    // What is queued for a device that is not current fails.
    ModelPtr model;
    ASSERT_EQ(create(model), "");
    Tensor<float> x = ramp(9, 1);
    lathe_tensor_t inputs[] = {x.view(), x.view()};
    for (int run = 0; run < 3; ++run) {
      lathe_results_t *results = nullptr;
      ASSERT_EQ(
          take(lathe_model_run(model.get(), nullptr, 2, inputs, &results)), "");
      EXPECT_EQ(elements<float>(*lathe_results_tensor(results, 0)),
                expected(x, x));
      lathe_results_destroy(results);
    }
    EXPECT_GT(driver.count("setDevice"), 0);
  }
  ModelPtr model;
  options.adopt_context = 1;
  EXPECT_PRED2(contains, create(model),
               "the current context is of device 0, and the model is for "
               "device 1");
  auto setDevice = driver.function<int (*)(int)>("setDevice");
  setDevice(1);
  EXPECT_EQ(create(model), "");
  model.reset();
  setDevice(0);
  unsetenv("LATHE_FAKE_DEVICES");
}

TEST_P(GpuTest, AHostProgramsContextAndStream) {
  if (its.isHip)
    GTEST_SKIP() << "there are no contexts";
  // What the host program does by itself: its calls go to the driver, too.
  auto push = driver.function<int (*)(void *)>("pushContext");
  auto pop = driver.function<int (*)(void **)>("popContext");
  auto current = driver.function<int (*)(void **)>("getCurrentContext");
  int mine = 0;
  void *found = nullptr;
  push(&mine);
  auto options = LATHE_INIT(lathe_model_options_t);
  options.adopt_context = 1;
  OpenedBundle opened(port(addAndScale()));
  lathe_model_t *raw = nullptr;
  ASSERT_EQ(take(lathe_model_create(opened.bundle.get(), &options, &raw)), "");
  ModelPtr model(raw);
  EXPECT_EQ(driver.count("retainPrimaryContext"), 0);
  current(&found);
  EXPECT_EQ(found, &mine);
  pop(&found);

  // A run from a thread without it: it is current only meanwhile. The inputs
  // are on their way to the device in the host program's stream.
  Tensor<float> x = ramp(9, 1);
  lathe_buffer_t *buffer = nullptr;
  ASSERT_EQ(take(lathe_buffer_create(raw, 45 * sizeof(float), &buffer)), "");
  auto create = driver.function<int (*)(void **, unsigned)>("createStream");
  auto copy = driver.function<int (*)(uint64_t, const void *, size_t, void *)>(
      "copyToDevice");
  void *stream = nullptr;
  push(&mine);
  EXPECT_EQ(create(&stream, 0), 0);
  pop(&found);
  EXPECT_EQ(copy(reinterpret_cast<uintptr_t>(lathe_buffer_data(buffer)),
                 x.data.data(), 45 * sizeof(float), stream),
            0);
  lathe_tensor_t inputs[] = {x.view(), x.view()};
  inputs[1].data = lathe_buffer_data(buffer);
  inputs[1].memory = its.memory;
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
  driver.function<int (*)(void *)>("destroyStream")(stream);
  current(&found);
  EXPECT_EQ(found, nullptr);
}

TEST_P(GpuTest, RunsAreQueuedBetweenAHostProgramsWork) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1), y = ramp(9, 5), none = ramp(9, 0);
  OnDevice a(loaded, its.memory, x), b(loaded, its.memory, y),
      result(loaded, its.memory, none);
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
  EXPECT_EQ(driver.count("synchronizeStream"), 0);
  EXPECT_EQ(driver.count("launchGraph"), 3);
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

TEST_P(GpuTest, RunsAreAPartOfAHostProgramsGraph) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(9, 1), none = ramp(9, 0);
  OnDevice a(loaded, its.memory, x), result(loaded, its.memory, none);
  lathe_tensor_t inputs[] = {a.tensor, a.tensor};
  void *stream = nullptr, *graph = nullptr;
  auto create = driver.function<int (*)(void **, unsigned)>("createStream");
  auto begin = driver.function<int (*)(void *, int)>("beginCapture");
  auto end = driver.function<int (*)(void *, void **)>("endCapture");
  if (its.isHip) {
    EXPECT_EQ(create(&stream, 0), 0);
  } else {
    int context = 0;
    void *popped;
    driver.function<int (*)(void *)>("pushContext")(&context);
    EXPECT_EQ(create(&stream, 0), 0);
    driver.function<int (*)(void **)>("popContext")(&popped);
  }
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
  EXPECT_EQ(driver.count("launchGraph"), 0);
  EXPECT_EQ(driver.count("launch"), 2);
  // The next part of the same graph may use the same memory.
  EXPECT_EQ(run(), "");
  EXPECT_EQ(end(stream, &graph), 0);
  driver.function<int (*)(void *)>("destroyGraph")(graph);

  // The graph has that context: the next run makes memory of its own, and no
  // run makes any in a capture.
  driver.reset();
  EXPECT_EQ(begin(stream, 2), 0);
  EXPECT_PRED2(contains, run(), "before each capture, run once");
  EXPECT_EQ(driver.count("allocateAsync"), 0);
  EXPECT_EQ(driver.count("waitForEvent"), 0);
  EXPECT_EQ(end(stream, &graph), 0);
  driver.function<int (*)(void *)>("destroyGraph")(graph);
  EXPECT_EQ(run(), "");
  EXPECT_GT(driver.count("allocateAsync"), 0);

  // An error leaves a capture that can end, and nobody waits.
  driver.reset();
  driver.fail("launch", 2, 2);
  EXPECT_EQ(begin(stream, 2), 0);
  EXPECT_PRED2(contains, run(), its.launch);
  EXPECT_EQ(driver.count("synchronizeStream"), 0);
  EXPECT_EQ(driver.count("waitForEvent"), 2);
  EXPECT_EQ(runSum(loaded), "");
  EXPECT_EQ(end(stream, &graph), 0);
  driver.function<int (*)(void *)>("destroyGraph")(graph);
  EXPECT_EQ(run(), "");

  // Nobody may wait meanwhile.
  LoadedModel waiting = load(sizesFromData());
  Tensor<int64_t> numbers = {{2}, {99, 30}};
  lathe_tensor_t view = numbers.view();
  lathe_buffer_t *buffer = nullptr;
  ASSERT_EQ(take(lathe_buffer_create(waiting.model.get(), 16, &buffer)), "");
  view.data = lathe_buffer_data(buffer);
  view.memory = its.memory;
  options.device_results = 1;
  EXPECT_EQ(begin(stream, 2), 0);
  lathe_results_t *results = nullptr;
  EXPECT_PRED2(
      contains,
      take(lathe_model_run(waiting.model.get(), &options, 1, &view, &results)),
      "the model has steps that run on the host");
  EXPECT_EQ(end(stream, &graph), 0);
  driver.function<int (*)(void *)>("destroyGraph")(graph);
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
  driver.function<int (*)(void *)>("destroyGraph")(graph);
  lathe_buffer_destroy(buffer);
  driver.function<int (*)(void *)>("destroyStream")(stream);
}

TEST_P(GpuTest, TheListOfDevices) {
  ASSERT_EQ(lathe_device_count(), 3u);
  auto info = LATHE_INIT(lathe_device_info_t);
  ASSERT_EQ(take(lathe_device_info(its.isHip ? 1 : 0, &info)), "");
  EXPECT_EQ(info.name, number("0"));
  EXPECT_PRED2(contains, info.description,
               its.isHip ? "Fake GPU 0, gfx942, 132 multiprocessors; its "
                           "driver is for HIP 6.3"
                         : "Fake GPU 0, sm_90, 132");
  EXPECT_EQ(info.usable, 1);
  EXPECT_EQ(info.memory, its.memory);
  EXPECT_EQ(info.memory_bandwidth, its.isHip ? 6704640000000u : 3352320000000u);
  EXPECT_EQ(info.matrix_flops,
            its.isHip ? 535265280000000u : 1070530560000000u);
  ASSERT_EQ(take(lathe_device_info(2, &info)), "");
  EXPECT_STREQ(info.name, "cpu");
  EXPECT_PRED2(contains, take(lathe_device_info(3, &info)), "device 3 of 3");
}

} // namespace
} // namespace lathe::test
