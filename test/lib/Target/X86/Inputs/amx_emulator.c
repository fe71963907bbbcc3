// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// AMX for machines without it, so that its kernels can be tested anywhere: a
// library that, loaded into a process, executes the tile instructions that our
// code uses whenever the processor refuses one. Intel's "Intel Architecture
// Instruction Set Extensions", chapter 3, defines them; sums of bf16 products
// are rounded here as there, pair by pair and to nearest even, with subnormals
// as zero. Slow: a signal for each instruction.

#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

typedef struct {
  uint8_t rows;
  uint16_t bytes;
  uint8_t data[16][64];
} tile_t;

static __thread tile_t tiles[8];

/// What follows the three bytes of a VEX prefix, decoded.
typedef struct {
  uint8_t opcode, prefix; ///< prefix: 0 none, 1 66, 2 F3, 3 F2.
  int reg, rm, vvvv, is_register;
  uint8_t *address;
  uint64_t stride;
  int length;
} instruction_t;

/// Where the kernel keeps general register `n`, by the numbers of ModRM.
static greg_t register_of(ucontext_t *context, int n) {
  static const int places[16] = {
      REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
      REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return context->uc_mcontext.gregs[places[n]];
}

static int decode(ucontext_t *context, instruction_t *out) {
  const uint8_t *code = (const uint8_t *)context->uc_mcontext.gregs[REG_RIP];
  if (code[0] != 0xC4 || (code[1] & 0x1F) != 2)
    return 0;
  int r = !(code[1] & 0x80), x = !(code[1] & 0x40), b = !(code[1] & 0x20);
  out->prefix = code[2] & 3;
  out->vvvv = (~code[2] >> 3) & 15;
  out->opcode = code[3];
  uint8_t modrm = code[4];
  int mod = modrm >> 6;
  out->reg = (modrm >> 3 & 7) | r << 3;
  out->rm = (modrm & 7) | b << 3;
  out->is_register = mod == 3;
  out->length = 5;
  if (out->is_register)
    return 1;
  int64_t address = 0;
  out->stride = 0;
  if ((modrm & 7) == 4) {
    uint8_t sib = code[out->length++];
    int index = (sib >> 3 & 7) | x << 3, base = (sib & 7) | b << 3;
    if (index != 4)
      out->stride = (uint64_t)register_of(context, index) << (sib >> 6);
    if ((sib & 7) == 5 && mod == 0)
      mod = 4; // No base, four bytes.
    else
      address = register_of(context, base);
  } else {
    if (mod == 0 && (modrm & 7) == 5)
      return 0; // Relative to the instruction: we emit none.
    address = register_of(context, out->rm);
  }
  if (mod == 1) {
    address += (int8_t)code[out->length++];
  } else if (mod == 2 || mod == 4) {
    int32_t wide;
    memcpy(&wide, code + out->length, 4);
    address += wide;
    out->length += 4;
  }
  out->address = (uint8_t *)address;
  return 1;
}

static void configure(const uint8_t *from) {
  for (int i = 0; i < 8; ++i) {
    memset(&tiles[i], 0, sizeof(tile_t));
    memcpy(&tiles[i].bytes, from + 16 + 2 * i, 2);
    tiles[i].rows = from[48 + i];
  }
}

static float flushed(float x) {
  return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

static float half_of(const uint8_t *at) {
  uint16_t bits;
  memcpy(&bits, at, 2);
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, 4);
  return flushed(value);
}

static void multiply_floats(tile_t *sum, const tile_t *a, const tile_t *b) {
  for (int m = 0; m < sum->rows; ++m)
    for (int n = 0; n < sum->bytes / 4; ++n) {
      float odd = 0, even = 0, total;
      for (int k = 0; k < a->bytes / 4; ++k) {
        even = flushed(fmaf(half_of(&a->data[m][4 * k]),
                            half_of(&b->data[k][4 * n]), even));
        odd = flushed(fmaf(half_of(&a->data[m][4 * k + 2]),
                           half_of(&b->data[k][4 * n + 2]), odd));
      }
      memcpy(&total, &sum->data[m][4 * n], 4);
      total = flushed(flushed(total) + flushed(even + odd));
      memcpy(&sum->data[m][4 * n], &total, 4);
    }
}

static int32_t byte_of(uint8_t byte, int is_unsigned) {
  return is_unsigned ? byte : (int8_t)byte;
}

static void multiply_bytes(tile_t *sum, const tile_t *a, const tile_t *b,
                           int unsigned_a, int unsigned_b) {
  for (int m = 0; m < sum->rows; ++m)
    for (int n = 0; n < sum->bytes / 4; ++n) {
      int32_t total;
      memcpy(&total, &sum->data[m][4 * n], 4);
      for (int k = 0; k < a->bytes; ++k)
        total += byte_of(a->data[m][k], unsigned_a) *
                 byte_of(b->data[k / 4][4 * n + k % 4], unsigned_b);
      memcpy(&sum->data[m][4 * n], &total, 4);
    }
}

static void copy_rows(const instruction_t *in, int to_memory) {
  tile_t *tile = &tiles[in->reg];
  if (!to_memory)
    memset(tile->data, 0, sizeof tile->data);
  for (int m = 0; m < tile->rows; ++m) {
    uint8_t *line = in->address + (int64_t)in->stride * m;
    if (to_memory)
      memcpy(line, tile->data[m], tile->bytes);
    else
      memcpy(tile->data[m], line, tile->bytes);
  }
}

static int execute(const instruction_t *in) {
  tile_t *sum = &tiles[in->reg & 7];
  const tile_t *a = &tiles[in->rm & 7], *b = &tiles[in->vvvv & 7];
  switch (in->opcode) {
  case 0x49:
    if (in->prefix == 0 && !in->is_register)
      configure(in->address);
    else if (in->prefix == 0)
      memset(tiles, 0, sizeof tiles); // tilerelease
    else if (in->prefix == 3 && in->is_register)
      memset(sum->data, 0, sizeof sum->data); // tilezero
    else
      return 0;
    return 1;
  case 0x4B:
    if (in->is_register || in->prefix == 0)
      return 0;
    copy_rows(in, in->prefix == 2);
    return 1;
  case 0x5C:
    if (in->prefix != 2)
      return 0;
    multiply_floats(sum, a, b);
    return 1;
  case 0x5E: // uu, us, su, ss
    multiply_bytes(sum, a, b, in->prefix < 2, in->prefix % 2 == 0);
    return 1;
  default:
    return 0;
  }
}

static void handle(int number, siginfo_t *info, void *raw) {
  (void)info;
  ucontext_t *context = raw;
  instruction_t instruction;
  if (decode(context, &instruction) && execute(&instruction)) {
    context->uc_mcontext.gregs[REG_RIP] += instruction.length;
    return;
  }
  signal(number, SIG_DFL); // Comes again, and ends the process.
}

__attribute__((constructor)) static void install(void) {
  struct sigaction action = {0};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGILL, &action, NULL);
}
