/* Sums, products and quotients of positive floats in integers, for cores without an FPU: the bits that
 * IEEE 754 single precision gives, as long as they stay within its range. Needs fixed_point.h. */
#ifndef NN2WASM_POSITIVE_FLOATS_H
#define NN2WASM_POSITIVE_FLOATS_H

#include <stdint.h>

/* m * 2^e; m has 24 bits, fewer where the float is subnormal. */
typedef struct {
  uint32_t m;
  int32_t e;
} nn_positive;

/* Of the bits of a float. */
static inline nn_positive nn_positive_of(int32_t bits) {
  const int32_t exponent = bits >> 23;
  const int32_t m = (bits & 0x7fffff) | (exponent ? 0x800000 : 0);
  const nn_positive number = {(uint32_t)m, (exponent ? exponent : 1) - 150};
  return number;
}

/* m * 2^e to 24 significant bits, half to even. */
static NN_RARE nn_positive nn_positive_rounded(uint64_t m, int32_t e) {
  int drop = 0;
  for (uint64_t more = m >> 24; more; more >>= 1) ++drop;
  if (drop) m = nn_half_even(m, drop);
  const int carry = (int)(m >> 24);
  const nn_positive number = {(uint32_t)(m >> carry), e + drop + carry};
  return number;
}

static inline nn_positive nn_positive_sum(nn_positive a, nn_positive b) {
  const nn_positive high = a.e > b.e ? a : b, low = a.e > b.e ? b : a;
  const int32_t apart = high.e - low.e;
  if (apart > 26) return high;
  return nn_positive_rounded(((uint64_t)high.m << apart) + low.m, low.e);
}

static inline nn_positive nn_positive_product(nn_positive a, nn_positive b) {
  return nn_positive_rounded((uint64_t)a.m * b.m, a.e + b.e);
}

/* b > 0. What is left of the division counts as one bit more. */
static inline nn_positive nn_positive_quotient(nn_positive a, nn_positive b) {
  const uint64_t dividend = (uint64_t)a.m << 40, quotient = dividend / b.m;
  return nn_positive_rounded(quotient | (quotient * b.m != dividend), a.e - b.e - 40);
}

/* The nearest whole number, half to even, at most `most`, which has fewer than 23 bits. */
static inline int32_t nn_positive_whole(nn_positive v, int32_t most) {
  if (v.m == 0 || v.e < -40) return 0;
  if (v.e >= 0) return most;
  const int32_t whole = (int32_t)nn_half_even(v.m, -v.e);
  return whole < most ? whole : most;
}

#endif
