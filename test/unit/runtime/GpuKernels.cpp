// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "FakeDriver.h"
#include "TestBundle.h"

namespace lathe::test {

/// A kernel whose thread has the index of an element in %rd0 and returns if
/// that is not below the scalar `count`, a parameter as are all the others.
static std::string makeKernel(const std::string &name, int numParameters,
                              int count, const std::string &body) {
  std::string text = ".visible .entry " + name + "(";
  for (int i = 0; i < numParameters; ++i)
    text += (i ? ", .param .b64 p" : ".param .b64 p") + std::to_string(i);
  text += R"() {
  .reg .pred %p<2>;
  .reg .b32 %r<12>;
  .reg .f32 %f<4>;
  .reg .b64 %rd<16>;
  mov.u32 %r0, %ctaid.x;
  mov.u32 %r1, %ctaid.y;
  mov.u32 %r2, %ctaid.z;
  mov.u32 %r3, %nctaid.x;
  mov.u32 %r4, %nctaid.y;
  mad.lo.u32 %r5, %r2, %r4, %r1;
  mad.lo.u32 %r5, %r5, %r3, %r0;
  mov.u32 %r6, %tid.x;
  mul.wide.u32 %rd0, %r5, 16;
  cvt.u64.u32 %rd1, %r6;
  add.s64 %rd0, %rd0, %rd1;
  shl.b64 %rd2, %rd0, 2;
  shl.b64 %rd3, %rd0, 3;
)";
  for (int i = 0; i < numParameters; ++i)
    text += "  ld.param.b64 %rd" + std::to_string(10 + i) + ", [p" +
            std::to_string(i) + "];\n";
  text += "  setp.ge.s64 %p0, %rd0, %rd" + std::to_string(10 + count) +
          ";\n  @%p0 ret;\n";
  return text + body + "  ret;\n}\n";
}

const Bytes &ptxKernels() {
  static const std::string text =
      ".version 7.0\n.target sm_80\n.address_size 64\n" +
      makeKernel("add", 4, 3, R"(
  add.s64 %rd4, %rd10, %rd2;
  add.s64 %rd5, %rd11, %rd2;
  add.s64 %rd6, %rd12, %rd2;
  ld.global.f32 %f0, [%rd4];
  ld.global.f32 %f1, [%rd5];
  add.f32 %f2, %f0, %f1;
  st.global.f32 [%rd6], %f2;
)") + makeKernel("scale", 4, 2, R"(
  add.s64 %rd4, %rd10, %rd2;
  add.s64 %rd5, %rd11, %rd2;
  ld.global.f32 %f0, [%rd4];
  cvt.rn.f32.s64 %f1, %rd13;
  mul.f32 %f2, %f0, %f1;
  st.global.f32 [%rd5], %f2;
)") + makeKernel("iota", 2, 1, R"(
  add.s64 %rd4, %rd10, %rd3;
  st.global.b64 [%rd4], %rd0;
)") + makeKernel("fill", 3, 1, R"(
  add.s64 %rd4, %rd10, %rd3;
  st.global.b64 [%rd4], %rd12;
)") + makeKernel("below", 3, 2, R"(
  setp.ne.s64 %p1, %rd0, 0;
  @%p1 ret;
  ld.global.b64 %rd4, [%rd10];
  add.s64 %rd4, %rd4, 1;
  setp.lt.s64 %p1, %rd4, %rd12;
  selp.u32 %r7, 1, 0, %p1;
  st.global.u8 [%rd11], %r7;
)");
  static const Bytes code(text.begin(), text.end());
  return code;
}

} // namespace lathe::test
