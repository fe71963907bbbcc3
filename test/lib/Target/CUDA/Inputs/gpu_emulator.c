// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs the threads of a program as fibers of one host thread, so that lowered
// kernels can be tested without a GPU. A fiber runs until it meets a barrier or
// a shuffle; then the next one does. Within a round they run in ascending order
// or, with `descending`, in the opposite one: a missing barrier shows in one of
// the two. emulator.py renames the kernel's intrinsics to these functions.

#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { kMostThreads = 1024, kStackBytes = 1 << 18, kWarpSize = 32 };

// What the kernels name.
_Alignas(128) char lathe_shared[1 << 20];

static ucontext_t scheduler, contexts[kMostThreads];
static char *stacks[kMostThreads];
static int current, done[kMostThreads];
static uint32_t posted[kMostThreads];
static int32_t block[3], grid[3];
static void (*entry)(void);

int32_t emu_tid_x(void) { return current; }
int32_t emu_ctaid_x(void) { return block[0]; }
int32_t emu_ctaid_y(void) { return block[1]; }
int32_t emu_ctaid_z(void) { return block[2]; }
int32_t emu_nctaid_y(void) { return grid[1]; }
int32_t emu_nctaid_z(void) { return grid[2]; }

static void yield(void) { swapcontext(&contexts[current], &scheduler); }

void emu_barrier(void) { yield(); }

// All lanes post, then all read: two rounds.
int32_t emu_shfl_bfly(int32_t mask, int32_t value, int32_t lanes,
                      int32_t clamp) {
  int me = current;
  if (mask != -1 || clamp != kWarpSize - 1)
    abort();
  posted[me] = (uint32_t)value;
  yield();
  int32_t result = (int32_t)posted[me ^ lanes];
  yield();
  return result;
}

static void run(void) {
  entry();
  done[current] = 1;
  swapcontext(&contexts[current], &scheduler);
}

// The blocks of the launch that programs are run of from now on.
void emu_launch(int x, int y, int z) { grid[0] = x, grid[1] = y, grid[2] = z; }

// Runs one program: `call` calls the kernel with arguments that it knows.
// Nonzero if threads wait at different barriers.
int emu_program(void (*call)(void), int threads, int x, int y, int z,
                int descending, int garbage) {
  entry = call;
  block[0] = x, block[1] = y, block[2] = z;
  memset(lathe_shared, garbage, sizeof(lathe_shared));
  for (int i = 0; i < threads; ++i) {
    if (!stacks[i])
      stacks[i] = malloc(kStackBytes);
    getcontext(&contexts[i]);
    contexts[i].uc_stack.ss_sp = stacks[i];
    contexts[i].uc_stack.ss_size = kStackBytes;
    makecontext(&contexts[i], run, 0);
    done[i] = 0;
  }
  for (int left = threads; left > 0;) {
    int ended = 0;
    for (int i = 0; i < threads; ++i) {
      current = descending ? threads - 1 - i : i;
      swapcontext(&scheduler, &contexts[current]);
      ended += done[current];
    }
    if (ended && ended != threads)
      return 1;
    left -= ended;
  }
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
