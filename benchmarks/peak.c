// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What this core can do at most, measured beside the models: fused
// multiply-adds on f32 vectors held in registers, and reads of memory beyond
// the caches. benchmarks/harness.py compiles it with -march=native.

#include <stddef.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

#if defined(__AVX512F__)
#define WIDTH 16
#else
#define WIDTH 8
#endif
typedef float vector __attribute__((vector_size(WIDTH * 4)));

// GFLOP/s of one core: 12 chains of FMAs hide their latency on every x86 core
// with two units.
double peak_gflops(int rounds) {
  enum { chains = 12, steps = 4096 };
  vector sum[chains], factor;
  for (int i = 0; i < WIDTH; ++i)
    factor[i] = 0.999f + (float)i * 1e-6f;
  for (int c = 0; c < chains; ++c)
    sum[c] = factor;
  double best = 1e9;
  for (int round = 0; round < rounds; ++round) {
    double start = now();
    for (int s = 0; s < steps; ++s) {
#pragma clang loop unroll(full)
      for (int c = 0; c < chains; ++c) {
        sum[c] = sum[c] * factor + factor;
        __asm__ volatile("" : "+v"(sum[c]));
      }
    }
    double seconds = now() - start;
    if (seconds < best)
      best = seconds;
  }
  return 2.0 * chains * WIDTH * steps / best * 1e-9;
}

// GB/s of one core reading `bytes` at `data`, a multiple of 512.
double peak_read(const void *data, size_t bytes, int rounds) {
  const vector *at = data;
  size_t count = bytes / sizeof(vector);
  double best = 1e9;
  for (int round = 0; round < rounds; ++round) {
    vector sum[8] = {{0}};
    double start = now();
    for (size_t i = 0; i < count; i += 8)
      for (int c = 0; c < 8; ++c)
        sum[c] += at[i + c];
    double seconds = now() - start;
    for (int c = 0; c < 8; ++c)
      __asm__ volatile("" : "+v"(sum[c]));
    if (seconds < best)
      best = seconds;
  }
  return (double)bytes / best * 1e-9;
}
