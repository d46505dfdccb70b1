/* From exact integer sums to integers of 16 bits without floats: what requantize.h gives. Needs
 * fixed_point.h and positive_floats.h.
 *
 *     v = floor(acc * m / 2^32) + offset        offset = (zero_point + 1/2) * 2^shift
 *     q = clamp(v >> shift)
 *
 * Where v lies within `guard` units of the border of two results, roundings of floats may decide; they
 * are made there in integers. Scales are the bits of floats. See docs/arithmetic.md.
 */
#ifndef NN2WASM_FIXED_WIDE_H
#define NN2WASM_FIXED_WIDE_H

#include <stdint.h>

static inline int nn_near_border(int32_t v, int shift, int32_t guard) {
  return (((uint32_t)v + (uint32_t)guard) & ((1u << shift) - 1u)) < 2u * (uint32_t)guard;
}

static inline int32_t nn_bound(int32_t q, int32_t lo, int32_t hi) {
  return q < lo ? lo : q > hi ? hi : q;
}

/* The size of v * scale as a float. */
static NN_RARE nn_positive nn_size(int64_t v, int32_t scale) {
  const nn_positive size = nn_positive_rounded(v < 0 ? 0u - (uint64_t)v : (uint64_t)v, 0);
  return nn_positive_product(size, nn_positive_of(scale));
}

/* The nearest whole number with that sign; those beyond 2^22 saturate later anyway. */
static inline int32_t nn_signed_whole(nn_positive v, int negative) {
  const int32_t q = nn_positive_whole(v, 0x3fffff);
  return negative ? -q : q;
}

/* acc * scale as floats have it, to the nearest whole number. */
static NN_RARE int32_t nn_float_product(int64_t acc, int32_t scale) {
  return nn_signed_whole(nn_size(acc, scale), acc < 0);
}

/* x * x_scale / y_scale. */
static NN_RARE int32_t nn_float_rescaled(int32_t x, int32_t x_scale, int32_t y_scale) {
  return nn_signed_whole(nn_positive_quotient(nn_size(x, x_scale), nn_positive_of(y_scale)), x < 0);
}

/* (a * a_scale) * (b * b_scale) / y_scale. */
static NN_RARE int32_t nn_float_of_product(
    int32_t a, int32_t b, int32_t a_scale, int32_t b_scale, int32_t y_scale) {
  const nn_positive real = nn_positive_product(nn_size(a, a_scale), nn_size(b, b_scale));
  return nn_signed_whole(nn_positive_quotient(real, nn_positive_of(y_scale)), (a < 0) != (b < 0));
}

/* (a * a_scale + b * b_scale) / y_scale. */
static NN_RARE int32_t nn_float_of_sum(
    int32_t a, int32_t b, int32_t a_scale, int32_t b_scale, int32_t y_scale) {
  const nn_positive real_a = nn_size(a, a_scale), real_b = nn_size(b, b_scale);
  /* Of 24 bits each where they are not 0, so that exponents tell which is larger. */
  const int more = real_b.e > real_a.e || (real_b.e == real_a.e && real_b.m > real_a.m);
  const int b_larger = real_a.m == 0 || (real_b.m != 0 && more);
  const nn_positive high = b_larger ? real_b : real_a, low = b_larger ? real_a : real_b;
  const int negative = (b_larger ? b : a) < 0;
  nn_positive real = high; /* as it stays where the other is below an eighth of its last bit */
  if (low.m != 0 && high.e - low.e <= 26) {
    const uint64_t moved = (uint64_t)high.m << (high.e - low.e);
    real = nn_positive_rounded((a < 0) == (b < 0) ? moved + low.m : moved - low.m, low.e);
  }
  return nn_signed_whole(nn_positive_quotient(real, nn_positive_of(y_scale)), negative);
}

/* A scale as a multiplier of 31 bits; `top`: 1 more than the exponent of those that fill them. */
static inline int32_t nn_multiplier(int32_t scale, int top) {
  return (int32_t)(((uint32_t)scale << 8 | 0x80000000u) >> (top - (scale >> 23)));
}

/* The clamped result of a sum of 64 bits, which 32 hold without its last `right` bits. */
static inline int32_t nn_requantize_long(int64_t acc, int32_t scale, int right, int top,
    int32_t offset, int shift, int32_t guard, int32_t lo, int32_t hi) {
  const int32_t v = nn_high((int32_t)(acc >> right), nn_multiplier(scale, top)) + offset;
  int32_t q = v >> shift;
  if (nn_near_border(v, shift, guard)) q = nn_float_product(acc, scale) + (offset >> shift);
  return nn_bound(q, lo, hi);
}

/* Of one of 32 bits. */
static inline int32_t nn_requantize_wide(int32_t acc, int32_t scale, int top, int32_t offset,
    int shift, int32_t guard, int32_t lo, int32_t hi) {
  return nn_requantize_long(acc, scale, 0, top, offset, shift, guard, lo, hi);
}

#endif
