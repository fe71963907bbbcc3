// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe-fuzz/Isolation.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace lathe::fuzz;

namespace {
/// What parent and child share.
struct Board {
  std::atomic<uint64_t> round;
  Totals totals;
  char problem[2048];
};
} // namespace

static constexpr int kProblemStatus = 97;

[[noreturn]] static void giveUp(Board &board, const char *problem) {
  snprintf(board.problem, sizeof(board.problem), "%s", problem);
  _exit(kProblemStatus);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LATHE_FUZZ_HOOKS
#endif
#endif

#ifdef LATHE_FUZZ_HOOKS
#include <sanitizer/allocator_interface.h>

// Hooks take no context: process-wide by nature.
static std::atomic<int64_t> live, peak;
static int64_t allowed = INT64_MAX;
static Board *watched;

static void onAllocate(const volatile void *, size_t size) {
  int64_t now = live += int64_t(size);
  if (now > peak)
    peak = now;
  if (now <= allowed)
    return;
  allowed = INT64_MAX;
  char text[128];
  snprintf(text, sizeof(text), "%lld bytes in use after an allocation of %zu",
           static_cast<long long>(now), size);
  giveUp(*watched, text);
}

static void onFree(const volatile void *memory) {
  live -=
      int64_t(__sanitizer_get_allocated_size(const_cast<const void *>(memory)));
}

static void watchMemory(Board &board) {
  watched = &board;
  __sanitizer_install_malloc_and_free_hooks(onAllocate, onFree);
}

/// Counts from what is in use now: with older memory freed, below zero.
static void limitMemory(size_t bytes) {
  live = peak = 0;
  allowed = int64_t(bytes);
}

static uint64_t getPeak() { return uint64_t(peak); }

#else

static void watchMemory(Board &) {}

/// Writable private memory: an allocation beyond it fails.
static void limitMemory(size_t bytes) {
  size_t total, resident, shared, text, library, data = 0;
  std::ifstream("/proc/self/statm") >> total >> resident >> shared >> text >>
      library >> data;
  rlimit limit;
  getrlimit(RLIMIT_DATA, &limit);
  limit.rlim_cur = data * size_t(sysconf(_SC_PAGESIZE)) + bytes;
  setrlimit(RLIMIT_DATA, &limit);
}

static uint64_t getPeak() { return 0; }

#endif

//===----------------------------------------------------------------------===//
// Processes
//===----------------------------------------------------------------------===//

/// SIGPROF ends a round that takes too long.
static void limitTime() {
  itimerval timer = {};
  timer.it_value.tv_sec = kMaxSeconds;
  setitimer(ITIMER_PROF, &timer, nullptr);
}

static void runChild(Subject &subject, uint64_t seed, uint64_t first,
                     uint64_t end, Board &board) {
  watchMemory(board);
  for (uint64_t round = first; round < end; ++round) {
    board.round = round;
    Damage damage(seed, round);
    subject.damage(damage);
    limitTime();
    limitMemory(subject.getSize() * kMaxBytesPerByte + kMaxBytes);
    Outcome outcome = subject.run();
    board.totals.peakBytes = std::max(board.totals.peakBytes, getPeak());
    if (!outcome.problem.empty())
      giveUp(board, outcome.problem.c_str());
    ++(outcome.refused ? board.totals.refused : board.totals.accepted);
    if (first + 1 == end && !outcome.message.empty())
      fprintf(stderr, "%s\n", outcome.message.c_str());
  }
  // A normal exit, which looks for leaks.
  itimerval never = {};
  setitimer(ITIMER_PROF, &never, nullptr);
  exit(0);
}

/// What the way in which the child ended means; empty if all is well.
static std::string explain(int status, const Board &board) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return "";
  if (WIFEXITED(status) && WEXITSTATUS(status) == kProblemStatus)
    return board.problem;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
    return "took more than " + std::to_string(kMaxSeconds) + " s";
  if (WIFSIGNALED(status))
    return strsignal(WTERMSIG(status));
  return "exit status " + std::to_string(WEXITSTATUS(status));
}

Totals lathe::fuzz::runRounds(Subject &subject, const Rounds &rounds) {
  void *memory = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    abort();
  Board &board = *new (memory) Board();
  uint64_t next = rounds.first, end = rounds.first + rounds.count;
  // A child is no older than this, so that a leak is noticed while it is small.
  constexpr uint64_t generation = 2000;
  while (next < end) {
    uint64_t stop = std::min(end, next + generation);
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0)
      runChild(subject, rounds.seed, next, stop, board);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
      abort();
    std::string problem = explain(status, board);
    next = problem.empty() ? stop : board.round + 1;
    if (problem.empty())
      continue;
    ++board.totals.problems;
    fprintf(stderr, "round %llu: %s\n",
            static_cast<unsigned long long>(board.round), problem.c_str());
  }
  Totals totals = board.totals;
  munmap(memory, sizeof(Board));
  return totals;
}
