/* From exact integer sums back to 8-bit integers without floats: the bytes of requantize.h.
 *
 *     v = floor(acc * m / 2^32) + offset        offset = (zero_point + 1/2) * 2^shift
 *     q = clamp(v >> shift)
 *
 * Multipliers are chosen and proven when the network is compiled; see docs/arithmetic.md. A right shift
 * of a negative number must fill with its sign, as that of gcc and clang does.
 */
#ifndef NN2WASM_FIXED_POINT_H
#define NN2WASM_FIXED_POINT_H

#include <stdint.h>

/* Called once in a hundred outputs: not worth its code in every kernel. */
#if defined(__GNUC__)
#define NN_RARE __attribute__((noinline, cold, unused))
#else
#define NN_RARE
#endif

/* floor(a * b / 2^32). */
static inline int32_t nn_high(int32_t a, int32_t b) {
#if defined(NN_SHORT_PRODUCTS) || (defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1)
  /* There products have 32 bits: four of halves. */
  const int32_t a1 = a >> 16, b1 = b >> 16;
  const uint32_t a0 = (uint32_t)a & 0xffffu, b0 = (uint32_t)b & 0xffffu;
  const int32_t middle = a1 * (int32_t)b0 + (int32_t)((a0 * b0) >> 16);
  const int32_t low = (int32_t)a0 * b1 + (middle & 0xffff);
  return a1 * b1 + (middle >> 16) + (low >> 16);
#else
  return (int32_t)(((int64_t)a * b) >> 32);
#endif
}

/* value / 2^bits to the nearest whole number, half to even; bits > 0. */
static inline uint64_t nn_half_even(uint64_t value, int bits) {
  return (value + (UINT64_C(1) << (bits - 1)) - 1u + ((value >> bits) & 1u)) >> bits;
}

/* acc * m / 2^(32 + shift), rounded to 24 significant bits and then to a whole number. */
static NN_RARE int32_t nn_rounded_twice(int32_t acc, int32_t m, int shift) {
  const int64_t product = (int64_t)acc * m;
  const uint64_t size = product < 0 ? 0u - (uint64_t)product : (uint64_t)product;
  int drop = shift + 6; /* near a border |q| is at least 1/4, or else 0 however it is rounded */
  while (size >> drop >= 0x1000000u) ++drop;
  const int32_t q = (int32_t)nn_half_even(nn_half_even(size, drop) << drop, 32 + shift);
  return product < 0 ? -q : q;
}

/* The clamped byte of a proven multiplier. */
static inline int8_t nn_requantize_fixed(
    int32_t acc, int32_t m, int32_t offset, int shift, int32_t lo, int32_t hi) {
  const int32_t q = (nn_high(acc, m) + offset) >> shift;
  return (int8_t)(q < lo ? lo : q > hi ? hi : q);
}

/* The same where, one unit from the border of two bytes, float's rounding of the product decides. */
static inline int8_t nn_requantize_guarded(
    int32_t acc, int32_t m, int32_t offset, int shift, int32_t lo, int32_t hi) {
  const int32_t v = nn_high(acc, m) + offset;
  int32_t q = v >> shift;
  if ((((uint32_t)v + 1u) & ((1u << shift) - 1u)) < 2u) {
    q = nn_rounded_twice(acc, m, shift) + (offset >> shift); /* the half is shifted out */
  }
  return (int8_t)(q < lo ? lo : q > hi ? hi : q);
}

/* What is added to the result of a pair: the third number of those listed, 0 for all others. */
static NN_RARE int32_t nn_correction(int32_t a, int32_t b, const int8_t *list, int count) {
  for (int i = 0; i < count; ++i, list += 3) {
    if (list[0] == a && list[1] == b) return list[2];
  }
  return 0;
}

#endif
