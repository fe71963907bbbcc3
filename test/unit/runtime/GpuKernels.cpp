// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "FakeDriver.h"
#include "TestBundle.h"

namespace lathe::test {

/// A kernel whose thread has the index of an element in %rd0 and returns if
/// that is not below the scalar `count`, a parameter as are all the others.
static std::string makeKernel(const std::string &name, int numParameters,
                              int count, const std::string &body,
                              const std::string &prologue = "") {
  std::string text = ".visible .entry " + name + "(";
  for (int i = 0; i < numParameters; ++i)
    text += (i ? ", .param .b64 p" : ".param .b64 p") + std::to_string(i);
  text += R"() {
  .reg .pred %p<2>;
  .reg .b32 %r<12>;
  .reg .f32 %f<4>;
  .reg .b64 %rd<16>;
)" + prologue +
          R"(
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

static const char addBody[] = R"(
  add.s64 %rd4, %rd10, %rd2;
  add.s64 %rd5, %rd11, %rd2;
  add.s64 %rd6, %rd12, %rd2;
  ld.global.f32 %f0, [%rd4];
  ld.global.f32 %f1, [%rd5];
  add.f32 %f2, %f0, %f1;
  st.global.f32 [%rd6], %f2;
)";

const Bytes &ptxKernels() {
  static const std::string text =
      ".version 7.0\n.target sm_80\n.address_size 64\n" +
      makeKernel("add", 4, 3, addBody) + makeKernel("scale", 4, 2, R"(
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

/// Kernels of the address of y that are given their grid: blocks number all
/// programs in %rd1 < %rd2, from the block's own on in steps of all blocks.
static std::string makeGridKernel(const std::string &name,
                                  const std::string &directives,
                                  const std::string &body) {
  return ".visible .entry " + name + R"((.param .b64 y, .param .b64 gx,
    .param .b64 gy, .param .b64 gz) )" +
         directives + R"( {
  .reg .pred %p<2>;
  .reg .b32 %r<12>;
  .reg .b64 %rd<12>;
  mov.u32 %r0, %tid.x;
  setp.ne.u32 %p0, %r0, 0;
  @%p0 bra END;
  ld.param.b64 %rd0, [y];
  ld.param.b64 %rd2, [gx];
  ld.param.b64 %rd3, [gy];
  ld.param.b64 %rd4, [gz];
  mul.lo.s64 %rd2, %rd2, %rd3;
  mul.lo.s64 %rd2, %rd2, %rd4;
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ctaid.y;
  mov.u32 %r3, %ctaid.z;
  mov.u32 %r4, %nctaid.x;
  mov.u32 %r5, %nctaid.y;
  mov.u32 %r6, %nctaid.z;
  mad.lo.u32 %r7, %r3, %r5, %r2;
  mad.lo.u32 %r7, %r7, %r4, %r1;
  mul.lo.u32 %r8, %r4, %r5;
  mul.lo.u32 %r8, %r8, %r6;
  cvt.u64.u32 %rd1, %r7;
  cvt.u64.u32 %rd5, %r8;
  shl.b64 %rd6, %rd2, 3;
  add.s64 %rd6, %rd0, %rd6;
  st.global.b64 [%rd6], %rd5;
NEXT:
  setp.ge.u64 %p1, %rd1, %rd2;
  @%p1 bra END;
  shl.b64 %rd6, %rd1, 3;
  add.s64 %rd6, %rd0, %rd6;
)" + body +
         R"(
  st.global.b64 [%rd6], %rd7;
  add.s64 %rd1, %rd1, %rd5;
  bra NEXT;
END:
  ret;
}
)";
}

/// One copy engine's box of 8 rows of 16 floats for each block.
static const char boxKernel[] = R"(
.visible .entry box(.param .b64 x, .param .b64 y, .param .b64 rows,
    .param .b64 columns, .param .b64 left, .param .b64 gx, .param .b64 gy,
    .param .b64 gz, .param .align 64 .b8 map[128]) {
  .reg .pred %p<2>;
  .reg .b32 %r<12>;
  .reg .b64 %rd<12>;
  .reg .f32 %f<2>;
  .shared .align 128 .b8 tile[512];
  .shared .align 8 .b8 barrier[8];
  mov.u32 %r0, %tid.x;
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ctaid.y;
  mov.u32 %r3, %nctaid.x;
  mov.u32 %r4, tile;
  mov.u32 %r5, barrier;
  setp.ne.u32 %p0, %r0, 0;
  @%p0 bra JOIN;
  mbarrier.init.shared.b64 [%r5], 1;
  fence.mbarrier_init.release.cluster;
  fence.proxy.async;
  mbarrier.arrive.expect_tx.shared.b64 %rd0, [%r5], 512;
  mov.b64 %rd1, map;
  cvta.param.u64 %rd1, %rd1;
  shl.b32 %r6, %r1, 4;
  shl.b32 %r7, %r2, 3;
  cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes
      [%r4], [%rd1, {%r6, %r7}], [%r5];
JOIN:
  bar.sync 0;
WAIT:
  mbarrier.try_wait.parity.shared.b64 %p1, [%r5], 0;
  @!%p1 bra WAIT;
  ld.param.b64 %rd2, [y];
  mad.lo.u32 %r8, %r2, %r3, %r1;
  mul.wide.u32 %rd3, %r8, 512;
  add.s64 %rd2, %rd2, %rd3;
  shl.b32 %r9, %r0, 2;
  cvt.u64.u32 %rd4, %r9;
  add.s64 %rd2, %rd2, %rd4;
  add.u32 %r4, %r4, %r9;
  mov.u32 %r10, 0;
NEXT:
  ld.shared.f32 %f0, [%r4];
  st.global.f32 [%rd2], %f0;
  add.u32 %r4, %r4, 64;
  add.s64 %rd2, %rd2, 64;
  add.u32 %r10, %r10, 1;
  setp.lt.u32 %p0, %r10, 8;
  @%p0 bra NEXT;
  ret;
}
)";

const Bytes &ptxGridKernels() {
  static const std::string text =
      ".version 8.0\n.target sm_90\n.address_size 64\n" +
      makeKernel("add", 4, 3, addBody,
                 "  griddepcontrol.wait;\n"
                 "  griddepcontrol.launch_dependents;\n") +
      makeGridKernel("position", "", "  mov.b64 %rd7, %rd1;") +
      makeGridKernel("rank", ".reqntid 16 .reqnctapercluster 2",
                     "  mov.u32 %r9, %cluster_ctarank;\n"
                     "  cvt.u64.u32 %rd7, %r9;") +
      boxKernel;
  static const Bytes code(text.begin(), text.end());
  return code;
}

} // namespace lathe::test
