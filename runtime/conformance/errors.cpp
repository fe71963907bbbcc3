// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What cannot be done is said, and leaves the model as it was.

#include "runtime/conformance/conformance.h"

namespace lathe::test {
namespace {

TEST_P(Conformance, SaysWhatAVariantLacks) {
  TestBundle b = port(addAndScale());
  b.variant().features = {"teleport"};
  lathe_model_options_t options = getOptions();
  lathe_status_t status = createModel(OpenedBundle(b), &options);
  EXPECT_EQ(lathe_status_code(status), LATHE_INCOMPATIBLE);
  EXPECT_NE(take(status).find("lacking here: teleport"), std::string::npos);
}

TEST_P(Conformance, CodeThatIsNoneIsRefused) {
  lathe_model_options_t options = getOptions();
  for (Bytes code : {Bytes(), Bytes(64, 0x7F), Bytes(5000, 0)}) {
    TestBundle b = port(addAndScale());
    b.code = code;
    EXPECT_NE(take(createModel(OpenedBundle(b), &options)), "");
  }
}

TEST_P(Conformance, AKernelThatIsNotThereIsRefused) {
  TestBundle b = port(addAndScale());
  b.variant().kernels[0]->symbol = "divine";
  lathe_model_options_t options = getOptions();
  EXPECT_NE(take(createModel(OpenedBundle(b), &options)).find("divine"),
            std::string::npos);
}

TEST_P(Conformance, AFailedRunLeavesNothingBehind) {
  LoadedModel loaded = load(addAndScale());
  Tensor<float> x = ramp(2, 0), y = ramp(3, 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(runMessage(loaded, {x.view(), y.view()}), "");
    EXPECT_NE(runMessage(loaded, {x.view()}), "");
    ResultsPtr results = runModel(loaded, {x.view(), x.view()});
    EXPECT_EQ(elements<float>(*lathe_results_tensor(results.get(), 0)),
              expected(x, x));
  }
}

} // namespace
} // namespace lathe::test
