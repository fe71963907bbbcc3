// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs the threads of a program as fibers of one host thread, so that lowered
// kernels can be tested without a GPU. A warp runs from barrier to barrier
// before the next one does; within it a fiber runs until it meets a barrier or
// what the lanes of a warp do together (a shuffle, a product), then the next
// one does. Warps and lanes run in ascending order or, with `descending`, in
// the opposite one: a missing barrier shows in one of the two. Asynchronous
// copies are done when they are asked for in one, when they are waited for in
// the other. emulator.py renames the kernel's intrinsics to these functions.

#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { kMostThreads = 1024, kStackBytes = 1 << 18, kWarpSize = 32 };

// What the kernels name.
_Alignas(128) char lathe_shared[1 << 20];

enum Wait { kEnd, kBarrier, kWarp };

static ucontext_t scheduler, contexts[kMostThreads];
static char *stacks[kMostThreads];
static int current, isDescending;
static enum Wait waits[kMostThreads];
static int32_t block[3], grid[3];
static void (*entry)(void);

int32_t emu_tid_x(void) { return current; }
int32_t emu_ctaid_x(void) { return block[0]; }
int32_t emu_ctaid_y(void) { return block[1]; }
int32_t emu_ctaid_z(void) { return block[2]; }
int32_t emu_nctaid_y(void) { return grid[1]; }
int32_t emu_nctaid_z(void) { return grid[2]; }

// Kernels run one after the other.
void emu_nothing(void) {}

static void yield(enum Wait wait) {
  waits[current] = wait;
  swapcontext(&contexts[current], &scheduler);
}

// The blocks of the launch that programs are run of from now on.
void emu_launch(int x, int y, int z) { grid[0] = x, grid[1] = y, grid[2] = z; }

void emu_barrier(void) { yield(kBarrier); }

//===-- What the lanes of a warp do together ------------------------------===//

enum { kMostWords = 16 };
static uint32_t posted[kMostThreads][kMostWords];

// All lanes post, then all read: two rounds. The words of the warp's lanes.
static uint32_t (*meet(const void *words, int count)) [kMostWords] {
  memcpy(posted[current], words, 4 * count);
  yield(kWarp);
  return posted + current / kWarpSize * kWarpSize;
}

int32_t
    emu_shfl_bfly(int32_t mask, int32_t value, int32_t lanes, int32_t clamp) {
  if (mask != -1 || clamp != kWarpSize - 1)
    abort();
  int32_t result = (int32_t)meet(&value, 1)[current % kWarpSize ^ lanes][0];
  yield(kWarp);
  return result;
}

// Lane 8i + j has the address of row j of matrix i; a lane gets two elements of
// a row, or of a column of the transposed matrix.
void emu_ldmatrix(char *row, uint32_t *result, int count, int isTransposed) {
  if ((uintptr_t)row % 16)
    abort();
  int lane = current % kWarpSize;
  uint32_t (*all)[kMostWords] = meet(&row, 2);
  for (int i = 0; i < count; ++i)
    for (int half = 0; half < 2; ++half) {
      int line = lane / 4, column = lane % 4 * 2 + half;
      char *from;
      memcpy(&from, all[8 * i + (isTransposed ? column : line)], sizeof(from));
      memcpy((char *)&result[i] + 2 * half,
             from + 2 * (isTransposed ? line : column), 2);
    }
  yield(kWarp);
}

static float toFloat(uint16_t bits, int isBF16) {
  uint32_t wide = (uint32_t)bits << 16;
  float result;
  if (isBF16)
    return memcpy(&result, &wide, 4), result;
  _Float16 half;
  return memcpy(&half, &bits, 2), (float)half;
}

enum Kind { kF16, kBF16, kS8S8, kS8U8, kU8S8, kU8U8 };

// Element `k` of one of a fragment's words, in f32 or as an integer.
static double elementOf(uint32_t word, int at, int kind, int isB) {
  if (kind == kF16 || kind == kBF16)
    return toFloat((uint16_t)(word >> 16 * at), kind == kBF16);
  int isSigned =
      isB ? kind == kS8S8 || kind == kU8S8 : kind == kS8S8 || kind == kS8U8;
  uint8_t byte = (uint8_t)(word >> 8 * at);
  return isSigned ? (int8_t)byte : byte;
}

// m16n8 over 32 bytes of k: `words` has four of A, two of B, four sums.
void emu_mma(const uint32_t *words, uint32_t *result, int kind) {
  int lane = current % kWarpSize, isFloat = kind == kF16 || kind == kBF16;
  int perWord = isFloat ? 2 : 4;
  uint32_t (*all)[kMostWords] = meet(words, 10);
  for (int i = 0; i < 4; ++i) {
    int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    double sum;
    float wide;
    int32_t whole;
    memcpy(&wide, &words[6 + i], 4);
    memcpy(&whole, &words[6 + i], 4);
    sum = isFloat ? wide : whole;
    for (int word = 0; word < 8; ++word)
      for (int at = 0; at < perWord; ++at)
        sum += elementOf(all[row % 8 * 4 + word % 4][word / 4 * 2 + row / 8],
                         at, kind, 0) *
               elementOf(all[column * 4 + word % 4][4 + word / 4], at, kind, 1);
    wide = (float)sum, whole = isFloat ? 0 : (int32_t)sum;
    memcpy(&result[i], isFloat ? (void *)&wide : (void *)&whole, 4);
  }
  yield(kWarp);
}

//===-- Asynchronous copies -----------------------------------------------===//

enum { kMostCopies = 1024 };
static struct {
  char *to;
  const char *from;
  int bytes, group;
} copies[kMostThreads][kMostCopies];
static int copyCount[kMostThreads], groupCount[kMostThreads];

static void copy(char *to, const char *from, int bytes) {
  memcpy(to, from, bytes);
  memset(to + bytes, 0, 16 - bytes);
}

void emu_copy(char *to, const char *from, int32_t bytes) {
  int i = copyCount[current]++;
  if (i == kMostCopies || (uintptr_t)to % 16 || (uintptr_t)from % 16 ||
      bytes < 0 || bytes > 16)
    abort();
  copies[current][i].to = to, copies[current][i].from = from;
  copies[current][i].bytes = bytes;
  copies[current][i].group = groupCount[current];
  if (!isDescending)
    copy(to, from, bytes);
  else
    memset(to, 0xFF, 16);
}

void emu_copy_all(char *to, const char *from) { emu_copy(to, from, 16); }

void emu_commit(void) { ++groupCount[current]; }

// Until at most `left` groups of this thread are not done.
void emu_wait(int32_t left) {
  int kept = 0;
  for (int i = 0; i < copyCount[current]; ++i) {
    if (copies[current][i].group >= groupCount[current] - left)
      copies[current][kept++] = copies[current][i];
    else if (isDescending)
      copy(copies[current][i].to, copies[current][i].from,
           copies[current][i].bytes);
  }
  copyCount[current] = kept;
}

//===-- Programs ----------------------------------------------------------===//

static void run(void) {
  entry();
  yield(kEnd);
}

static int pick(int i, int count) { return isDescending ? count - 1 - i : i; }

// Runs a warp until its lanes end or meet a barrier of the program; what they
// wait for, or -1 if that differs.
static int runWarp(int warp, int lanes) {
  for (;;) {
    for (int i = 0; i < lanes; ++i) {
      current = warp * kWarpSize + pick(i, lanes);
      swapcontext(&scheduler, &contexts[current]);
    }
    enum Wait wait = waits[warp * kWarpSize];
    for (int i = 1; i < lanes; ++i)
      if (waits[warp * kWarpSize + i] != wait)
        return -1;
    if (wait != kWarp)
      return wait;
  }
}

// Runs one program: `call` calls the kernel with arguments that it knows.
// Nonzero if threads wait at different places, or end before their copies.
int emu_program(void (*call)(void), int threads, int x, int y, int z,
                int descending, int garbage) {
  entry = call;
  isDescending = descending;
  block[0] = x, block[1] = y, block[2] = z;
  memset(lathe_shared, garbage, sizeof(lathe_shared));
  for (int i = 0; i < threads; ++i) {
    if (!stacks[i])
      stacks[i] = malloc(kStackBytes);
    getcontext(&contexts[i]);
    contexts[i].uc_stack.ss_sp = stacks[i];
    contexts[i].uc_stack.ss_size = kStackBytes;
    makecontext(&contexts[i], run, 0);
    copyCount[i] = groupCount[i] = 0;
  }
  int warps = threads / kWarpSize;
  for (int wait = kBarrier; wait != kEnd;) {
    for (int i = 0; i < warps; ++i) {
      int its = runWarp(pick(i, warps), kWarpSize);
      if (its < 0 || (i > 0 && its != wait))
        return 1;
      wait = its;
    }
  }
  for (int i = 0; i < threads; ++i)
    if (copyCount[i])
      return 2;
  return 0;
}

// libdevice by libm.
#define UNARY(name)                                                            \
  float __nv_##name##f(float x) { return name##f(x); }                         \
  double __nv_##name(double x) { return name(x); }
UNARY(acos)
UNARY(acosh)
UNARY(asin)
UNARY(asinh)
UNARY(atan)
UNARY(atanh)
UNARY(cbrt)
UNARY(cos)
UNARY(cosh)
UNARY(erf)
UNARY(exp)
UNARY(exp2)
UNARY(expm1)
UNARY(log)
UNARY(log1p)
UNARY(log2)
UNARY(round)
UNARY(sin)
UNARY(sinh)
UNARY(tan)
UNARY(tanh)
#define BINARY(name)                                                           \
  float __nv_##name##f(float x, float y) { return name##f(x, y); }             \
  double __nv_##name(double x, double y) { return name(x, y); }
BINARY(atan2) BINARY(fmod) BINARY(pow) float __nv_rsqrtf(float x) {
  return 1 / sqrtf(x);
}
double __nv_rsqrt(double x) { return 1 / sqrt(x); }
