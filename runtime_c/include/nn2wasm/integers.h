/* Arithmetic of integers where C leaves something undefined: quotients by zero are zero, what does not
 * fit wraps around. Narrower integers are computed as those of 32 bits. */
#ifndef NN2WASM_INTEGERS_H
#define NN2WASM_INTEGERS_H

#include <stdint.h>

/* Toward zero. */
static inline uint32_t nn_quotient_u32(uint32_t a, uint32_t b) {
  return b == 0 ? 0 : a / b;
}

static inline int32_t nn_quotient_s32(int32_t a, int32_t b) {
  return b == 0 ? 0 : b == -1 ? (int32_t)(0u - (uint32_t)a) : a / b;
}

static inline uint64_t nn_quotient_u64(uint64_t a, uint64_t b) {
  return b == 0 ? 0 : a / b;
}

static inline int64_t nn_quotient_s64(int64_t a, int64_t b) {
  return b == 0 ? 0 : b == -1 ? (int64_t)(0u - (uint64_t)a) : a / b;
}

/* What the quotient leaves over, with the sign of a. */
static inline uint32_t nn_remainder_u32(uint32_t a, uint32_t b) {
  return b == 0 ? 0 : a % b;
}

static inline int32_t nn_remainder_s32(int32_t a, int32_t b) {
  return b == 0 || b == -1 ? 0 : a % b;
}

static inline uint64_t nn_remainder_u64(uint64_t a, uint64_t b) {
  return b == 0 ? 0 : a % b;
}

static inline int64_t nn_remainder_s64(int64_t a, int64_t b) {
  return b == 0 || b == -1 ? 0 : a % b;
}

/* The same with the sign of b, as in Python. */
static inline uint32_t nn_modulo_u32(uint32_t a, uint32_t b) {
  return nn_remainder_u32(a, b);
}

static inline int32_t nn_modulo_s32(int32_t a, int32_t b) {
  const int32_t rest = nn_remainder_s32(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static inline uint64_t nn_modulo_u64(uint64_t a, uint64_t b) {
  return nn_remainder_u64(a, b);
}

static inline int64_t nn_modulo_s64(int64_t a, int64_t b) {
  const int64_t rest = nn_remainder_s64(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* a to the power of n, modulo 2^64. */
static inline uint64_t nn_power_u64(uint64_t a, uint64_t n) {
  uint64_t power = 1;
  for (int bit = 0; bit < 64; ++bit) {
    if (n & 1u) power *= a;
    a *= a;
    n >>= 1;
  }
  return power;
}

/* With n below zero the whole part of 1 / a^-n. */
static inline int64_t nn_power_s64(int64_t a, int64_t n) {
  if (n >= 0) return (int64_t)nn_power_u64((uint64_t)a, (uint64_t)n);
  return a == 1 ? 1 : a == -1 ? (n & 1 ? -1 : 1) : 0;
}

static inline uint32_t nn_power_u32(uint32_t a, uint32_t n) {
  return (uint32_t)nn_power_u64(a, n);
}

static inline int32_t nn_power_s32(int32_t a, int32_t n) {
  return (int32_t)nn_power_s64(a, n);
}

/* Zero where all bits leave; numbers without a sign only. */
static inline uint32_t nn_shift_left_u32(uint32_t a, uint32_t n) {
  return n < 32u ? a << n : 0;
}

static inline uint64_t nn_shift_left_u64(uint64_t a, uint64_t n) {
  return n < 64u ? a << n : 0;
}

static inline int32_t nn_shift_left_s32(int32_t a, int32_t n) {
  return (int32_t)nn_shift_left_u32((uint32_t)a, (uint32_t)n);
}

static inline int64_t nn_shift_left_s64(int64_t a, int64_t n) {
  return (int64_t)nn_shift_left_u64((uint64_t)a, (uint64_t)n);
}

static inline uint32_t nn_shift_right_u32(uint32_t a, uint32_t n) {
  return n < 32u ? a >> n : 0;
}

static inline uint64_t nn_shift_right_u64(uint64_t a, uint64_t n) {
  return n < 64u ? a >> n : 0;
}

/* The sign moves in from the left. */
static inline int64_t nn_shift_right_s64(int64_t a, int64_t n) {
  const uint64_t bits = n >= 0 && n < 64 ? (uint64_t)n : 63u;
  return a < 0 ? (int64_t)~(~(uint64_t)a >> bits) : a >> bits;
}

static inline int32_t nn_shift_right_s32(int32_t a, int32_t n) {
  return (int32_t)nn_shift_right_s64(a, n);
}

#endif
