// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "TestBundle.h"

#include "runtime/base/sha256.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <unistd.h>

namespace lathe::test {

using namespace bundle;

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

static Bytes readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes((std::istreambuf_iterator<char>(file)),
               std::istreambuf_iterator<char>());
}

/// Compiled once per source: test/runtime/builtins.py starts hundreds of
/// processes.
Bytes compileC(const std::string &source, const std::string &flags) {
  std::string folder = LATHE_TEST_KERNELS;
  std::string base =
      folder + "/" + std::to_string(std::hash<std::string>()(source + flags));
  Bytes known = readFile(base + ".so");
  if (!known.empty())
    return known;
  std::string mine = base + "." + std::to_string(getpid());
  std::ofstream(mine + ".c") << source;
  std::string command = std::string(LATHE_TEST_CLANG) + " -shared -fPIC " +
                        flags + " -Wl,--hash-style=gnu -fuse-ld=lld-22 " +
                        mine + ".c -o " + mine + ".so";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  std::rename((mine + ".so").c_str(), (base + ".so").c_str());
  std::remove((mine + ".c").c_str());
  return readFile(base + ".so");
}

const Bytes &commonKernels() {
  static const Bytes code = compileC(R"(
    #include <stdint.h>
    #define KERNEL(name) void name(void *const *b, const int64_t *s, \
        const int64_t *grid, int64_t begin, int64_t end)
    /* One program per 16 elements; s[0] = number of elements. */
    #define RANGE int64_t n = s[0], i = begin * 16, \
        e = end * 16 < n ? end * 16 : n; (void)grid
    KERNEL(add) {
      RANGE;
      for (; i < e; ++i)
        ((float *)b[2])[i] = ((float *)b[0])[i] + ((float *)b[1])[i];
    }
    KERNEL(scale) {
      RANGE;
      for (; i < e; ++i)
        ((float *)b[1])[i] = ((const float *)b[0])[i] * (float)s[1];
    }
    KERNEL(iota) { RANGE; for (; i < e; ++i) ((int64_t *)b[0])[i] = i; }
    KERNEL(below) {
      (void)grid; (void)begin; (void)end;
      *(uint8_t *)b[1] = *(const int64_t *)b[0] + 1 < s[0];
    }
    KERNEL(fill) { RANGE; for (; i < e; ++i) ((int64_t *)b[0])[i] = s[1]; }
  )");
  return code;
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

AlignedBytes::AlignedBytes(const Bytes &bytes) : count(bytes.size()) {
  size_t room = (bytes.size() + 64) / 64 * 64;
  memory.reset(static_cast<uint8_t *>(aligned_alloc(64, room)));
  std::copy(bytes.begin(), bytes.end(), memory.get());
}

TestBundle::TestBundle() {
  manifest.version = formatVersion;
  manifest.producer = "test";
  manifest.model = "model";
  manifest.entries.emplace_back(new EntryT);
  entry().name = "main";
  manifest.variants.emplace_back(new VariantT);
  variant().target = "x86";
  variant().level = "baseline";
  variant().programs.emplace_back(new ProgramT);
}

int32_t TestBundle::add(const Expr &expr) {
  entry().exprs.push_back(expr);
  return static_cast<int32_t>(entry().exprs.size()) - 1;
}

int32_t TestBundle::constant(int64_t value) {
  return add(Expr(value, 0, 0, ExprOp::Const));
}

int32_t TestBundle::symbol(const std::string &name) {
  entry().symbols.push_back(name);
  return add(Expr(static_cast<int64_t>(entry().symbols.size()) - 1, 0, 0,
                  ExprOp::Symbol));
}

int32_t TestBundle::binary(ExprOp op, int32_t lhs, int32_t rhs) {
  return add(Expr(0, lhs, rhs, op));
}

static std::unique_ptr<TensorInfoT>
tensorInfo(const std::string &name, DType dtype, std::vector<int32_t> dims) {
  auto info = std::make_unique<TensorInfoT>();
  info->name = name;
  info->dtype = dtype;
  info->dims = std::move(dims);
  return info;
}

static uint32_t addBuffer(ProgramT &program, BufferKind kind, DType dtype,
                          std::vector<int32_t> dims, int32_t index,
                          int32_t offset) {
  auto buffer = std::make_unique<BufferT>();
  buffer->kind = kind;
  buffer->dtype = dtype;
  buffer->dims = std::move(dims);
  buffer->index = index;
  buffer->offset = offset;
  program.buffers.push_back(std::move(buffer));
  return static_cast<uint32_t>(program.buffers.size()) - 1;
}

uint32_t TestBundle::input(const std::string &name, DType dtype,
                           std::vector<int32_t> dims) {
  entry().inputs.push_back(tensorInfo(name, dtype, dims));
  return addBuffer(program(), BufferKind::Input, dtype, dims,
                   static_cast<int32_t>(entry().inputs.size()) - 1, -1);
}

uint32_t TestBundle::transient(DType dtype, std::vector<int32_t> dims) {
  return addBuffer(program(), BufferKind::Transient, dtype, std::move(dims), -1,
                   -1);
}

uint32_t TestBundle::alias(uint32_t source, DType dtype,
                           std::vector<int32_t> dims, int32_t offset) {
  return addBuffer(program(), BufferKind::Alias, dtype, std::move(dims),
                   static_cast<int32_t>(source), offset);
}

uint32_t TestBundle::weight(DType dtype, std::vector<int32_t> dims,
                            const void *bytes, size_t size) {
  auto constant = std::make_unique<ConstantT>();
  constant->segment = 0;
  constant->offset = data.size();
  constant->size = size;
  constant->name = "w" + std::to_string(manifest.constants.size());
  constant->encoding = "dense";
  const auto *first = static_cast<const uint8_t *>(bytes);
  data.insert(data.end(), first, first + size);
  data.resize((data.size() + 63) / 64 * 64);
  manifest.constants.push_back(std::move(constant));
  return addBuffer(program(), BufferKind::Constant, dtype, std::move(dims),
                   static_cast<int32_t>(manifest.constants.size()) - 1, -1);
}

void TestBundle::output(const std::string &name, uint32_t buffer) {
  const BufferT &source = *program().buffers[buffer];
  entry().outputs.push_back(tensorInfo(name, source.dtype, source.dims));
  program().outputs.push_back(buffer);
}

uint32_t TestBundle::kernel(const std::string &symbol, uint32_t buffers,
                            uint32_t scalars) {
  auto kernel = std::make_unique<KernelT>();
  kernel->symbol = symbol;
  kernel->buffers = buffers;
  kernel->scalars = scalars;
  variant().kernels.push_back(std::move(kernel));
  return static_cast<uint32_t>(variant().kernels.size()) - 1;
}

template <typename Body> static Body &addStep(ProgramT &program, Body body) {
  auto step = std::make_unique<StepT>();
  step->body.Set(std::move(body));
  program.steps.push_back(std::move(step));
  return *static_cast<Body *>(program.steps.back()->body.value);
}

LaunchT &TestBundle::launch(uint32_t kernel, int32_t programs,
                            std::vector<int32_t> scalars,
                            std::vector<uint32_t> reads,
                            std::vector<uint32_t> writes,
                            const std::string &label) {
  auto choice = std::make_unique<ChoiceT>();
  choice->kernel = kernel;
  int32_t one = constant(1);
  choice->grid = {programs, one, one};
  LaunchT launch;
  launch.choices.push_back(std::move(choice));
  launch.scalars = std::move(scalars);
  launch.reads = std::move(reads);
  launch.writes = std::move(writes);
  launch.label = label;
  return addStep(program(), std::move(launch));
}

template <typename Step>
Step &TestBundle::addCall(Step step, std::vector<uint32_t> reads,
                          std::vector<uint32_t> writes,
                          std::vector<uint32_t> binds,
                          const std::string &label) {
  step.reads = std::move(reads);
  step.writes = std::move(writes);
  step.binds = std::move(binds);
  step.label = label;
  return addStep(program(), std::move(step));
}

CallT &
TestBundle::call(std::vector<std::pair<uint32_t, std::vector<int32_t>>> callees,
                 std::vector<int32_t> symbols, std::vector<uint32_t> reads,
                 std::vector<uint32_t> writes, std::vector<uint32_t> binds) {
  CallT call;
  for (auto &[entry, conditions] : callees) {
    auto callee = std::make_unique<CalleeT>();
    callee->entry = entry;
    callee->conditions = conditions;
    call.callees.push_back(std::move(callee));
  }
  call.symbols = std::move(symbols);
  return addCall(std::move(call), std::move(reads), std::move(writes),
                 std::move(binds), "branch");
}

LoopT &TestBundle::loop(uint32_t body, std::vector<int32_t> symbols,
                        std::vector<uint32_t> carried,
                        std::vector<uint32_t> reads,
                        std::vector<uint32_t> writes,
                        std::vector<uint32_t> binds) {
  LoopT loop;
  loop.body = body;
  loop.symbols = std::move(symbols);
  loop.carried = std::move(carried);
  return addCall(std::move(loop), std::move(reads), std::move(writes),
                 std::move(binds), "repeat");
}

uint32_t TestBundle::beginEntry(uint32_t given) {
  current = static_cast<uint32_t>(manifest.entries.size());
  manifest.entries.emplace_back(new EntryT);
  variant().programs.emplace_back(new ProgramT);
  entry().name = "entry" + std::to_string(current);
  entry().internal = true;
  entry().given = given;
  return current;
}

BuiltinCallT &TestBundle::builtin(const std::string &callee,
                                  std::vector<uint32_t> reads,
                                  std::vector<uint32_t> writes,
                                  std::vector<uint32_t> binds) {
  BuiltinCallT call;
  call.callee = callee;
  return addCall(std::move(call), std::move(reads), std::move(writes),
                 std::move(binds), callee);
}

void TestBundle::bind(uint32_t symbol, uint32_t source, uint64_t element) {
  BindT bind;
  bind.symbol = symbol;
  bind.source = source;
  bind.element = element;
  addStep(program(), std::move(bind));
}

CheckT &TestBundle::check(std::vector<int32_t> conditions,
                          const std::string &message) {
  CheckT check;
  check.conditions = std::move(conditions);
  check.message = message;
  return addStep(program(), std::move(check));
}

static OptionT &addOption(BuiltinCallT &call, const std::string &name) {
  call.options.emplace_back(new OptionT);
  call.options.back()->name = name;
  return *call.options.back();
}

void setOption(BuiltinCallT &call, const std::string &name, int64_t value) {
  addOption(call, name).int_value = value;
}
void setOption(BuiltinCallT &call, const std::string &name,
               const std::string &value) {
  addOption(call, name).string_value = value;
}
void setOption(BuiltinCallT &call, const std::string &name,
               std::vector<int64_t> values) {
  addOption(call, name).ints = std::move(values);
}
void setOption(BuiltinCallT &call, const std::string &name,
               std::vector<double> values) {
  addOption(call, name).floats = std::move(values);
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

static void alignTo(Bytes &file, size_t alignment) {
  file.resize((file.size() + alignment - 1) / alignment * alignment);
}

static std::unique_ptr<SegmentT> addSegment(Bytes &file, SegmentKind kind,
                                            const Bytes &bytes) {
  alignTo(file, segmentAlignment);
  auto segment = std::make_unique<SegmentT>();
  segment->kind = kind;
  segment->offset = file.size();
  segment->size = bytes.size();
  segment->sha256.resize(rt::sha256Size);
  rt::sha256(bytes.data(), bytes.size(), segment->sha256.data());
  file.insert(file.end(), bytes.begin(), bytes.end());
  return segment;
}

void rehashManifest(uint8_t *file, size_t size) {
  Header header;
  memcpy(&header, file, sizeof(header));
  if (header.manifestOffset <= size &&
      header.manifestSize <= size - header.manifestOffset)
    rt::sha256(file + header.manifestOffset, header.manifestSize,
               header.manifestSha256);
  memcpy(file, &header, sizeof(header));
}

Bytes TestBundle::write() const {
  Bytes file(sizeof(Header));
  // ManifestT cannot be copied: the segments go in and out of the original.
  auto &target = const_cast<ManifestT &>(manifest);
  bool automatic = target.segments.empty();
  if (automatic) {
    target.segments.push_back(addSegment(file, SegmentKind::Data, data));
    target.segments.push_back(
        addSegment(file, SegmentKind::Code, code ? *code : commonKernels()));
    for (auto &variant : target.variants)
      variant->code = 1;
  }
  alignTo(file, manifestAlignment);
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(Manifest::Pack(builder, &target), ManifestIdentifier());
  if (automatic)
    target.segments.clear();

  Header header = {};
  memcpy(header.magic, magic, sizeof(magic));
  header.manifestOffset = file.size();
  header.manifestSize = builder.GetSize();
  file.insert(file.end(), builder.GetBufferPointer(),
              builder.GetBufferPointer() + builder.GetSize());
  memcpy(file.data(), &header, sizeof(header));
  rehashManifest(file.data(), file.size());
  return file;
}

//===----------------------------------------------------------------------===//
// Loading
//===----------------------------------------------------------------------===//

std::string take(lathe_status_t status) {
  std::string message = lathe_status_message(status);
  lathe_status_destroy(status);
  return message;
}

OpenedBundle::OpenedBundle(const TestBundle &source) : bytes(source.write()) {
  lathe_bundle_options_t options = LATHE_INIT(lathe_bundle_options_t);
  options.verify = LATHE_VERIFY_ALL;
  lathe_bundle_t *raw = nullptr;
  EXPECT_EQ(take(lathe_bundle_from_memory(bytes.data(), bytes.size(), &options,
                                          &raw)),
            "");
  bundle.reset(raw);
}

LoadedModel::LoadedModel(const TestBundle &source, uint32_t threads)
    : OpenedBundle(source) {
  if (!bundle)
    return;
  lathe_model_options_t options = LATHE_INIT(lathe_model_options_t);
  options.num_threads = threads;
  lathe_model_t *raw = nullptr;
  EXPECT_EQ(take(lathe_model_create(bundle.get(), &options, &raw)), "");
  model.reset(raw);
}

lathe_status_t createModel(const OpenedBundle &bundle,
                           const lathe_model_options_t *options) {
  lathe_model_t *model = nullptr;
  lathe_status_t status =
      lathe_model_create(bundle.bundle.get(), options, &model);
  lathe_model_destroy(model);
  return status;
}

} // namespace lathe::test
