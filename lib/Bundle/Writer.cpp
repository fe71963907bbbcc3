// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Bundle/Writer.h"
#include "runtime/bundle/callees.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace lathe::bundle;
using llvm::ArrayRef;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;

static constexpr uint64_t kHeaderSize = 64;
static constexpr uint64_t kSegmentAlignment = 4096;
static constexpr uint64_t kConstantAlignment = 64;
static constexpr char kMagic[8] = {'L', 'A', 'T', 'H', 'E', 0, 0, 1};

/// The data segment comes first, so that it can be streamed.
static constexpr uint32_t kDataSegment = 0;

bool lathe::bundle::isKnownCallee(StringRef callee) {
  return llvm::is_contained(callees, callee);
}

static ArrayRef<uint8_t> asBytes(ArrayRef<char> bytes) {
  return {reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()};
}

template <typename Hash> static std::vector<uint8_t> toVector(Hash &&hash) {
  return std::vector<uint8_t>(hash.begin(), hash.end());
}

Expected<std::unique_ptr<Writer>> Writer::create(StringRef path) {
  // The finished file takes its place: that of a device or folder as well.
  if (llvm::sys::fs::exists(path) && !llvm::sys::fs::is_regular_file(path))
    return llvm::createStringError(
        "cannot write '%s': it exists and is no regular file",
        path.str().c_str());
  Expected<llvm::sys::fs::TempFile> file = llvm::sys::fs::TempFile::create(
      path + ".%%%%%%%%.partial",
      llvm::sys::fs::all_read | llvm::sys::fs::all_write);
  if (!file)
    return llvm::createStringError("cannot write '%s': %s", path.str().c_str(),
                                   toString(file.takeError()).c_str());
  return std::unique_ptr<Writer>(new Writer(path, std::move(*file)));
}

Writer::Writer(StringRef path, llvm::sys::fs::TempFile file)
    : path(path), file(std::move(file)),
      stream(std::make_unique<llvm::raw_fd_ostream>(
          this->file.FD, /*shouldClose=*/false, /*unbuffered=*/false)) {
  stream->SetBufferSize(1 << 20);
  // The header's place; what it says is known at the end.
  stream->write_zeros(kSegmentAlignment);
}

Writer::~Writer() {
  if (finished)
    return;
  // What went wrong has been reported, or will be: nobody finished the file.
  stream->clear_error();
  stream.reset();
  llvm::consumeError(file.discard());
}

void Writer::write(ArrayRef<char> bytes) {
  stream->write(bytes.data(), bytes.size());
}

void Writer::padTo(uint64_t alignment) {
  stream->write_zeros(
      llvm::offsetToAlignment(stream->tell(), llvm::Align(alignment)));
}

Error Writer::checkStream() {
  stream->flush();
  if (!stream->has_error())
    return Error::success();
  std::error_code code = stream->error();
  stream->clear_error();
  return llvm::createStringError(code, "cannot write '%s': %s", path.c_str(),
                                 code.message().c_str());
}

Expected<uint32_t> Writer::addConstant(StringRef name, StringRef encoding,
                                       ArrayRef<char> bytes) {
  auto hash = llvm::SHA256::hash(asBytes(bytes));
  StringRef key(reinterpret_cast<const char *>(hash.data()), hash.size());
  auto [known, isNew] = constantsByHash.try_emplace(key, constants.size());
  if (!isNew)
    return known->second;

  uint64_t padding =
      llvm::offsetToAlignment(dataSize, llvm::Align(kConstantAlignment));
  static const char zeros[kConstantAlignment] = {};
  write({zeros, padding});
  dataHash.update(asBytes({zeros, padding}));
  dataSize += padding;

  auto constant = std::make_unique<ConstantT>();
  constant->segment = kDataSegment;
  constant->offset = dataSize;
  constant->size = bytes.size();
  constant->name = name.str();
  constant->encoding = encoding.str();
  constants.push_back(std::move(constant));

  write(bytes);
  dataHash.update(asBytes(bytes));
  dataSize += bytes.size();
  if (stream->has_error())
    return checkStream();
  return known->second;
}

uint32_t Writer::addCode(llvm::SmallVector<char, 0> bytes) {
  code.push_back(std::move(bytes));
  return code.size(); // Segment 0 is the data.
}

Error Writer::writeSegment(ManifestT &manifest, SegmentKind kind,
                           ArrayRef<char> bytes) {
  padTo(kSegmentAlignment);
  auto segment = std::make_unique<SegmentT>();
  segment->kind = kind;
  segment->offset = stream->tell();
  segment->size = bytes.size();
  segment->sha256 = toVector(llvm::SHA256::hash(asBytes(bytes)));
  manifest.segments.push_back(std::move(segment));
  write(bytes);
  return checkStream();
}

/// Does a launch take more than buffers, scalars, threads and shared memory?
static bool isSinceVersion3(const KernelT &kernel) {
  return kernel.grid != GridKind::Plain || kernel.cluster != 1 ||
         !kernel.maps.empty();
}

/// The lowest version of the format that says what the manifest does.
static uint32_t getVersion(const ManifestT &manifest) {
  for (const auto &variant : manifest.variants)
    for (const auto &kernel : variant->kernels)
      if (isSinceVersion3(*kernel))
        return 3;
  // Runtimes of version 1 know no entries that run entries.
  return llvm::any_of(manifest.entries,
                      [](const auto &entry) { return entry->internal; })
             ? 2
             : 1;
}

Expected<uint64_t> Writer::finish(ManifestT &manifest) {
  auto data = std::make_unique<SegmentT>();
  data->kind = SegmentKind::Data;
  data->offset = kSegmentAlignment;
  data->size = dataSize;
  data->sha256 = toVector(dataHash.final());
  manifest.segments.push_back(std::move(data));
  for (const auto &bytes : code)
    if (Error error = writeSegment(manifest, SegmentKind::Code, bytes))
      return error;
  manifest.version = getVersion(manifest);
  manifest.constants = std::move(constants);

  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(Manifest::Pack(builder, &manifest), ManifestIdentifier());
  ArrayRef<char> body(reinterpret_cast<char *>(builder.GetBufferPointer()),
                      builder.GetSize());
  padTo(kSegmentAlignment);
  uint64_t offset = stream->tell(), size = body.size();
  write(body);
  uint64_t fileSize = stream->tell();

  char header[kHeaderSize] = {};
  std::memcpy(header, kMagic, sizeof(kMagic));
  std::memcpy(header + 8, &offset, sizeof(offset));
  std::memcpy(header + 16, &size, sizeof(size));
  auto hash = llvm::SHA256::hash(asBytes(body));
  std::memcpy(header + 24, hash.data(), hash.size());
  stream->flush();
  if (!stream->has_error())
    stream->pwrite(header, sizeof(header), 0);
  if (Error error = checkStream())
    return error;
  stream.reset();
  finished = true;
  if (Error error = file.keep(path))
    return llvm::createStringError("cannot write '%s': %s", path.c_str(),
                                   toString(std::move(error)).c_str());
  return fileSize;
}
