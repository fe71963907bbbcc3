// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// runtime/bundle: what is read, and what is refused.

#include "TestBundle.h"

#include <cstring>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <unistd.h>

namespace lathe::test {
namespace {

using namespace bundle;

/// y = x + w, one of each thing that a manifest can hold.
TestBundle sample() {
  TestBundle b;
  int32_t n = b.symbol("n"), four = b.constant(4);
  int32_t count = b.binary(ExprOp::Mul, n, four);
  int32_t programs = b.binary(ExprOp::CeilDiv, count, b.constant(16));
  uint32_t x = b.input("x", DType::F32, {n, four});
  float values[4] = {1, 2, 3, 4};
  uint32_t w = b.weight(DType::F32, {four}, values, sizeof(values));
  uint32_t sum = b.transient(DType::F32, {n, four});
  uint32_t y = b.alias(sum, DType::F32, {count});
  b.check({n}, "n must not be negative");
  b.launch(b.kernel("add", 3, 1), programs, {count}, {x, x}, {sum});
  b.launch(b.kernel("scale", 2, 2), b.constant(1), {four, four}, {w}, {sum});
  b.variant().kernels[1]->threads = 128;
  b.variant().kernels[1]->shared = 4096;
  b.output("y", y);
  b.manifest.provenance.emplace_back(new KeyValueT);
  b.manifest.provenance[0]->key = "source";
  b.manifest.provenance[0]->value = "model.onnx";
  b.variant().features = {"sse2"};
  b.variant().rank = 3;
  return b;
}

std::string openBytes(const Bytes &bytes, bool all = true) {
  AlignedBytes aligned(bytes);
  lathe_bundle_options_t options = LATHE_INIT(lathe_bundle_options_t);
  options.verify = all ? LATHE_VERIFY_ALL : LATHE_VERIFY_CODE;
  lathe_bundle_t *bundle = nullptr;
  std::string message = take(lathe_bundle_from_memory(
      aligned.data(), aligned.size(), &options, &bundle));
  lathe_bundle_destroy(bundle);
  return message;
}

TEST(Bundle, TellsWhatIsInside) {
  OpenedBundle opened(sample());
  const lathe_bundle_t *raw = opened.bundle.get();
  EXPECT_EQ(take(lathe_bundle_verify(raw)), "");

  auto info = LATHE_INIT(lathe_bundle_info_t);
  ASSERT_EQ(take(lathe_bundle_info(raw, &info)), "");
  EXPECT_EQ(info.version, formatVersion);
  EXPECT_STREQ(info.model, "model");
  EXPECT_EQ(info.file_size, opened.bytes.size());
  EXPECT_EQ(info.num_segments, 2u);

  auto fact = LATHE_INIT(lathe_key_value_t);
  ASSERT_EQ(take(lathe_bundle_provenance(raw, 0, &fact)), "");
  EXPECT_STREQ(fact.value, "model.onnx");

  auto entry = LATHE_INIT(lathe_entry_info_t);
  ASSERT_EQ(take(lathe_bundle_entry(raw, 0, &entry)), "");
  EXPECT_EQ(entry.num_input_symbols, 1u);
  EXPECT_STREQ(lathe_bundle_symbol(raw, 0, 0), "n");
  EXPECT_EQ(lathe_bundle_symbol(raw, 0, 1), nullptr);

  auto input = LATHE_INIT(lathe_tensor_info_t);
  ASSERT_EQ(take(lathe_bundle_input(raw, 0, 0, &input)), "");
  ASSERT_EQ(input.rank, 2u);
  EXPECT_EQ(input.dims[0].size, -1);
  EXPECT_STREQ(input.dims[0].text, "n");
  EXPECT_EQ(input.dims[1].size, 4);
  auto output = LATHE_INIT(lathe_tensor_info_t);
  ASSERT_EQ(take(lathe_bundle_output(raw, 0, 0, &output)), "");
  EXPECT_STREQ(output.dims[0].text, "n * 4");

  auto constant = LATHE_INIT(lathe_constant_info_t);
  ASSERT_EQ(take(lathe_bundle_constant(raw, 0, &constant)), "");
  EXPECT_EQ(constant.size, 16u);
  auto segment = LATHE_INIT(lathe_segment_info_t);
  ASSERT_EQ(take(lathe_bundle_segment(raw, constant.segment, &segment)), "");
  EXPECT_STREQ(segment.kind, "data");
  EXPECT_EQ(memcmp(segment.data, "\0\0\x80\x3f", 4), 0);

  auto variant = LATHE_INIT(lathe_variant_info_t);
  ASSERT_EQ(take(lathe_bundle_variant(raw, 0, &variant)), "");
  EXPECT_TRUE(variant.fits);
  EXPECT_STREQ(lathe_bundle_variant_feature(raw, 0, 0), "sse2");
  auto kernel = LATHE_INIT(lathe_kernel_info_t);
  ASSERT_EQ(take(lathe_bundle_kernel(raw, 0, 1, &kernel)), "");
  EXPECT_STREQ(kernel.symbol, "scale");
  EXPECT_EQ(kernel.threads, 128u);
  EXPECT_EQ(kernel.shared_bytes, 4096u);
  EXPECT_STREQ(kernel.grid, "plain");
  EXPECT_EQ(kernel.cluster, 1u);
  EXPECT_EQ(kernel.num_tensor_maps, 0u);
  EXPECT_NE(take(lathe_bundle_kernel(raw, 0, 2, &kernel)), "");

  size_t index;
  EXPECT_EQ(take(lathe_bundle_find_entry(raw, "main", &index)), "");
  EXPECT_EQ(take(lathe_bundle_find_entry(raw, "other", &index)),
            "bundle: no entry 'other'; there are: 'main'");
}

TEST(Bundle, InfoStructsOfOtherSizes) {
  OpenedBundle opened(sample());
  const lathe_bundle_t *raw = opened.bundle.get();
  lathe_bundle_info_t info;
  memset(&info, 0xAB, sizeof(info));
  info.struct_size = offsetof(lathe_bundle_info_t, producer);
  ASSERT_EQ(take(lathe_bundle_info(raw, &info)), "");
  EXPECT_EQ(info.version, formatVersion);
  EXPECT_EQ(info.struct_size, offsetof(lathe_bundle_info_t, producer));
  EXPECT_EQ(info.file_size, 0xABABABABABABABAB); // An old caller's own memory.
  info.struct_size = 0;
  EXPECT_EQ(take(lathe_bundle_info(raw, &info)),
            "lathe_bundle_info_t: struct_size is not set");
}

TEST(Bundle, OpensFiles) {
  char path[] = "/tmp/lathe-bundle-XXXXXX";
  int descriptor = mkstemp(path);
  ASSERT_GE(descriptor, 0);
  close(descriptor);
  lathe_bundle_t *raw = nullptr;
  EXPECT_EQ(take(lathe_bundle_open(path, nullptr, &raw)),
            std::string(path) + ": the file is empty");
  Bytes bytes = sample().write();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char *>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  EXPECT_EQ(take(lathe_bundle_open(path, nullptr, &raw)), "");
  lathe_bundle_destroy(raw);
  unlink(path);
  lathe_status_t status = lathe_bundle_open(path, nullptr, &raw);
  EXPECT_EQ(lathe_status_code(status), LATHE_NOT_FOUND);
  EXPECT_EQ(take(status), std::string(path) + ": No such file or directory");
  EXPECT_NE(take(lathe_bundle_open("/tmp", nullptr, &raw)), "");
}

TEST(Bundle, RefusesBrokenHeaders) {
  Bytes good = sample().write();
  EXPECT_EQ(openBytes(good), "");
  auto broken = [&](size_t at, uint8_t value) {
    Bytes bytes = good;
    bytes[at] = value;
    return openBytes(bytes);
  };
  EXPECT_EQ(broken(0, 'M'), "bundle: not a Lathe bundle: wrong magic");
  EXPECT_NE(broken(8, 1).find("does not end the file"), std::string::npos);
  EXPECT_NE(broken(16, 1).find("does not end the file"), std::string::npos);
  EXPECT_EQ(broken(30, good[30] ^ 1),
            "bundle: manifest: its bytes differ from its SHA-256");
  EXPECT_EQ(broken(60, 1), "bundle: header: reserved bytes are not zero");
  EXPECT_EQ(broken(100, 1), "bundle: byte 100, between segments, is not zero");
  EXPECT_EQ(broken(4096, 9),
            "bundle: segment 0: its bytes differ from its SHA-256");
  for (size_t size : {0, 1, 63, 64, 4096})
    EXPECT_NE(openBytes(Bytes(good.begin(), good.begin() + long(size))), "");
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_NE(openBytes(longer), "");
}

TEST(Bundle, HashesWeightsOnlyWhenAsked) {
  Bytes bytes = sample().write();
  bytes[4096] ^= 1; // A weight.
  EXPECT_EQ(openBytes(bytes, /*all=*/false), "");
  EXPECT_NE(openBytes(bytes, /*all=*/true), "");
}

//===----------------------------------------------------------------------===//
// Manifests that are well-formed and wrong
//===----------------------------------------------------------------------===//

struct Refusal {
  const char *message; // a part of it
  std::function<void(TestBundle &)> damage;
};

LaunchT &firstLaunch(TestBundle &b) {
  return *b.program().steps[1]->body.AsLaunch();
}

TEST(Bundle, RefusesWrongManifests) {
  const Refusal refusals[] = {
      {"format version 4; this runtime reads up to 3",
       [](TestBundle &b) { b.manifest.version = 4; }},
      {"format version 0", [](TestBundle &b) { b.manifest.version = 0; }},
      {"constant 0 ('w0'): segment 7 is out of range",
       [](TestBundle &b) { b.manifest.constants[0]->segment = 7; }},
      {"segment 1 holds code",
       [](TestBundle &b) { b.manifest.constants[0]->segment = 1; }},
      {"offset 8 is no multiple of 64",
       [](TestBundle &b) { b.manifest.constants[0]->offset = 8; }},
      {"exceed segment 0",
       [](TestBundle &b) { b.manifest.constants[0]->size = 1u << 20; }},
      {"exceed segment 0",
       [](TestBundle &b) { b.manifest.constants[0]->offset = ~uint64_t(63); }},
      {"earlier expression 2 is out of range",
       [](TestBundle &b) { b.entry().exprs[2] = Expr(0, 2, 0, ExprOp::Add); }},
      {"symbol 9 is out of range",
       [](TestBundle &b) {
         b.entry().exprs[0] = Expr(9, 0, 0, ExprOp::Symbol);
       }},
      {"unknown operation 77",
       [](TestBundle &b) { b.entry().exprs[0] = Expr(0, 0, 0, ExprOp(77)); }},
      {"input 0: it has no name",
       [](TestBundle &b) { b.entry().inputs[0]->name = ""; }},
      {"unknown dtype 99",
       [](TestBundle &b) { b.entry().inputs[0]->dtype = DType(99); }},
      {"rank 17 is above 16",
       [](TestBundle &b) { b.entry().inputs[0]->dims.assign(17, 0); }},
      {"dim 0: expression -1 is out of range",
       [](TestBundle &b) { b.entry().inputs[0]->dims[0] = -1; }},
      {"'m' comes from an input and stands after 'n'",
       [](TestBundle &b) { b.entry().inputs[0]->dims[0] = b.symbol("m"); }},
      {"kernel 0 has no symbol",
       [](TestBundle &b) { b.variant().kernels[0]->symbol = ""; }},
      {"kernel 'add': it asks for 1025 threads and 0 bytes",
       [](TestBundle &b) { b.variant().kernels[0]->threads = 1025; }},
      {"kernel 'scale': it asks for 128 threads and 1048577 bytes",
       [](TestBundle &b) { b.variant().kernels[1]->shared = 1048577; }},
      {"0 programs for 1 entries",
       [](TestBundle &b) { b.variant().programs.clear(); }},
      {"buffer 0: input 5 is out of range",
       [](TestBundle &b) { b.program().buffers[0]->index = 5; }},
      {"buffer 0: its dtype is not that of input 'x'",
       [](TestBundle &b) { b.program().buffers[0]->dtype = DType::I32; }},
      {"buffer 3: earlier buffer 3 is out of range",
       [](TestBundle &b) { b.program().buffers[3]->index = 3; }},
      {"differs in width from buffer 2",
       [](TestBundle &b) { b.program().buffers[3]->dtype = DType::F64; }},
      {"unknown kind 9",
       [](TestBundle &b) { b.program().buffers[2]->kind = BufferKind(9); }},
      {"it has no kernel",
       [](TestBundle &b) { firstLaunch(b).choices.clear(); }},
      {"kernel 8 is out of range",
       [](TestBundle &b) { firstLaunch(b).choices[0]->kernel = 8; }},
      {"kernel 'add' takes 3 buffers and is given 2",
       [](TestBundle &b) { firstLaunch(b).reads.pop_back(); }},
      {"kernel 'add' takes 1 scalars and is given 0",
       [](TestBundle &b) { firstLaunch(b).scalars.clear(); }},
      {"the grid has 2 dims",
       [](TestBundle &b) { firstLaunch(b).choices[0]->grid.pop_back(); }},
      {"write 0: buffer 0 is read-only",
       [](TestBundle &b) { firstLaunch(b).writes[0] = 0; }},
      {"write 0: buffer 1 is read-only",
       [](TestBundle &b) { firstLaunch(b).writes[0] = 1; }},
      {"read 0: buffer 2 is read before it is written",
       [](TestBundle &b) { firstLaunch(b).reads[0] = 2; }},
      {"2 outputs instead of 1",
       [](TestBundle &b) { b.program().outputs.push_back(0); }},
      {"output 'y': its buffer is of another dtype",
       [](TestBundle &b) { b.entry().outputs[0]->dtype = DType::I32; }},
      {"uses a symbol that is not bound yet",
       [](TestBundle &b) { firstLaunch(b).scalars[0] = b.symbol("unbound"); }},
      {"symbol 'n' is bound twice", [](TestBundle &b) { b.bind(0, 0, 0); }},
      {"holds neither i64 nor i32",
       [](TestBundle &b) {
         b.symbol("k");
         b.bind(1, 0, 0);
       }},
      {"the shape of buffer 4 is not known yet",
       [](TestBundle &b) {
         uint32_t late = b.transient(DType::F32, {b.symbol("k")});
         firstLaunch(b).writes[0] = late;
       }},
      {"step 0 is of no kind",
       [](TestBundle &b) { b.program().steps[0]->body.Reset(); }},
  };
  for (const Refusal &refusal : refusals) {
    TestBundle b = sample();
    refusal.damage(b);
    std::string message = openBytes(b.write());
    EXPECT_NE(message.find(refusal.message), std::string::npos)
        << "expected: " << refusal.message << "\nfound: " << message;
  }
}

/// Kernel 'scale' (2 buffers, 2 scalars, 128 threads) with a map that is right.
TensorMapT &addMap(TestBundle &b) {
  KernelT &kernel = *b.variant().kernels[1];
  auto map = std::make_unique<TensorMapT>();
  map->dtype = DType::F16;
  map->offset = std::make_unique<LaunchValue>(0, -1);
  map->sizes = {{384, -1}, {1, 0}, {2, 1}};
  map->strides = {{384, -1}, {1, 1}};
  map->box = {64, 128, 1};
  map->swizzle = 128;
  kernel.maps.push_back(std::move(map));
  return *kernel.maps[0];
}

TEST(Bundle, RefusesWrongTensorMaps) {
  TestBundle good = sample();
  good.manifest.version = 3;
  addMap(good);
  EXPECT_EQ(openBytes(good.write()), "");
  struct Damage {
    const char *message;
    std::function<void(TensorMapT &)> make;
  };
  const Damage damages[] = {
      {"buffer 2 is out of range", [](TensorMapT &m) { m.buffer = 2; }},
      {"unknown dtype 0", [](TensorMapT &m) { m.dtype = DType::None; }},
      {"unknown dtype 77", [](TensorMapT &m) { m.dtype = DType(77); }},
      {"0 sizes, 2 strides", [](TensorMapT &m) { m.sizes.clear(); }},
      {"3 sizes, 1 strides", [](TensorMapT &m) { m.strides.pop_back(); }},
      {"2 sizes of its box", [](TensorMapT &m) { m.box.pop_back(); }},
      {"6 sizes, 5 strides and 6 sizes",
       [](TensorMapT &m) {
         m.sizes.resize(6, {1, -1});
         m.strides.resize(5, {8, -1});
         m.box.resize(6, 1);
       }},
      {"and no offset", [](TensorMapT &m) { m.offset.reset(); }},
      {"its offset: -8 is not between",
       [](TensorMapT &m) { *m.offset = LaunchValue(-8, -1); }},
      {"a size: scalar 2 is out of range",
       [](TensorMapT &m) { m.sizes[1] = LaunchValue(1, 2); }},
      {"a size: scalar -2 is out of range",
       [](TensorMapT &m) { m.sizes[1] = LaunchValue(1, -2); }},
      {"a size: 4294967297 is not between 0 and 4294967296",
       [](TensorMapT &m) {
         m.sizes[0] = LaunchValue((int64_t(1) << 32) + 1, -1);
       }},
      {"a stride: -1 is not between",
       [](TensorMapT &m) { m.strides[0] = LaunchValue(-1, -1); }},
      {"0 elements in dim 1; 1 to 256", [](TensorMapT &m) { m.box[1] = 0; }},
      {"257 elements in dim 1", [](TensorMapT &m) { m.box[1] = 257; }},
      {"has 120 bytes, no multiple of 16",
       [](TensorMapT &m) { m.box[0] = 60; }},
      {"has 256 bytes, more than the swizzle's 128",
       [](TensorMapT &m) { m.box[0] = 128; }},
      {"its box has more than 1048576 bytes",
       [](TensorMapT &m) { m.box = {64, 256, 256}; }},
      {"a swizzle of 96 bytes", [](TensorMapT &m) { m.swizzle = 96; }},
  };
  for (const Damage &damage : damages) {
    TestBundle b = sample();
    b.manifest.version = 3;
    damage.make(addMap(b));
    std::string message = openBytes(b.write());
    EXPECT_NE(message.find("kernel 'scale': tensor map 0: "), std::string::npos)
        << message;
    EXPECT_NE(message.find(damage.message), std::string::npos)
        << "expected '" << damage.message << "', got '" << message << "'";
  }
}

TEST(Bundle, RefusesWrongGrids) {
  const Refusal refusals[] = {
      {"kernel 'scale': unknown kind of grid 3",
       [](TestBundle &b) { b.variant().kernels[1]->grid = GridKind(3); }},
      {"clusters of 2 programs, without being given the grid",
       [](TestBundle &b) { b.variant().kernels[1]->cluster = 2; }},
      {"clusters of 9 programs",
       [](TestBundle &b) {
         b.variant().kernels[1]->grid = GridKind::Given;
         b.variant().kernels[1]->cluster = 9;
       }},
      {"clusters of 0 programs",
       [](TestBundle &b) { b.variant().kernels[1]->cluster = 0; }},
      {"it has no threads, and asks for the grid",
       [](TestBundle &b) {
         b.variant().kernels[1]->threads = 0;
         b.variant().kernels[1]->grid = GridKind::Given;
       }},
      {"515 parameters and 0 tensor maps",
       [](TestBundle &b) {
         b.variant().kernels[1]->threads = 32;
         b.variant().kernels[1]->grid = GridKind::Given;
         b.variant().kernels[1]->buffers = 256;
         b.variant().kernels[1]->scalars = 256;
       }},
      {"17 tensor maps; 16 are allowed",
       [](TestBundle &b) {
         for (int i = 0; i < 17; ++i)
           addMap(b);
       }},
  };
  for (const Refusal &refusal : refusals) {
    TestBundle b = sample();
    b.manifest.version = 3;
    refusal.damage(b);
    std::string message = openBytes(b.write());
    EXPECT_NE(message.find(refusal.message), std::string::npos)
        << "expected '" << refusal.message << "', got '" << message << "'";
  }
}

TEST(Bundle, SharedVectorsDoNotMakeEndlessWork) {
  // Ten thousand inputs that share one long list of dims cannot be written
  // with the object API; a long list of launches of one kernel can, and must
  // open fast.
  TestBundle b = sample();
  for (int i = 0; i < 2000; ++i)
    b.launch(0, 0, {0}, {0, 0}, {2});
  EXPECT_EQ(openBytes(b.write()), "");
}

TEST(Bundle, LongExpressionsAreCutInText) {
  TestBundle b = sample();
  int32_t expr = 0;
  for (int i = 0; i < 64; ++i) // 2^64 leaves when written out.
    expr = b.binary(ExprOp::Max, expr, expr);
  b.entry().outputs[0]->dims[0] = expr;
  OpenedBundle opened(b);
  const lathe_bundle_t *raw = opened.bundle.get();
  auto output = LATHE_INIT(lathe_tensor_info_t);
  ASSERT_EQ(take(lathe_bundle_output(raw, 0, 0, &output)), "");
  std::string text = output.dims[0].text;
  EXPECT_LT(text.size(), 200u);
  EXPECT_EQ(text.substr(text.size() - 3), "...");
}

} // namespace
} // namespace lathe::test
