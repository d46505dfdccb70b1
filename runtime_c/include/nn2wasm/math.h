/* Functions of float without libm: the same bits on every machine with IEEE 754 single precision.
 *
 * Compile with -ffp-contract=off: every value comes from single operations in the written order.
 * Infinities, NaN, zeros and subnormals behave as C99 says; flags and errno are not set.
 * Errors are in ulp of the float result against the exact value, measured by
 * tests/runtime_c/test_math.py over the stated interval.
 *
 *   nn_abs nn_min nn_max nn_clamp nn_floor nn_round nn_sqrt   exact or correctly rounded
 *   nn_exp      all floats     1.0 ulp, 0.9 where the result is not subnormal
 *   nn_log      all floats     0.9 ulp
 *   nn_tanh     all floats     1.4 ulp
 *   nn_sigmoid  all floats     2.4 ulp
 *   nn_erf      all floats     1.4 ulp
 *   nn_fmod     all pairs      exact
 *   nn_pow      all pairs      0.6 ulp; computed in double, slow where the FPU lacks it
 */
#ifndef NN2WASM_MATH_H
#define NN2WASM_MATH_H

#include <stdint.h>

#if defined(__FAST_MATH__)
#error "nn2wasm: -ffast-math changes results; compile this file without it"
#endif
#if defined(__clang__)
#pragma clang fp contract(off)
#endif

#define NN_INFINITY (__builtin_inff())
#define NN_NAN (__builtin_nanf(""))

/* Whether one instruction takes a square root; a compiler that must set errno calls libm. */
#if defined(NN_PORTABLE_MATH)
#define NN_HAS_SQRT 0
#elif defined(__wasm__)
#define NN_HAS_SQRT 1
#elif defined(__NO_MATH_ERRNO__) &&                                                   \
    (defined(__SSE2__) || defined(__aarch64__) || (defined(__ARM_FP) && (__ARM_FP & 4)))
#define NN_HAS_SQRT 1
#else
#define NN_HAS_SQRT 0
#endif

/* Whether rounding to a whole number is one instruction. */
#if defined(__wasm__) && !defined(NN_PORTABLE_MATH)
#define NN_HAS_ROUNDING 1
#else
#define NN_HAS_ROUNDING 0
#endif

static inline uint32_t nn_bits(float v) {
  union { float number; uint32_t bits; } both;
  both.number = v;
  return both.bits;
}

static inline float nn_from_bits(uint32_t bits) {
  union { float number; uint32_t bits; } both;
  both.bits = bits;
  return both.number;
}

/* 2^n for n from -126 to 127. */
static inline float nn_power_of_two(int32_t n) {
  return nn_from_bits((uint32_t)(n + 127) << 23);
}

/* The size of `size` with the sign of `sign`. */
static inline float nn_with_sign(float size, float sign) {
  return nn_from_bits((nn_bits(size) & 0x7fffffffu) | (nn_bits(sign) & 0x80000000u));
}

static inline float nn_abs(float v) {
  return __builtin_fabsf(v);
}

/* b where either is NaN. */
static inline float nn_min(float a, float b) {
  return a < b ? a : b;
}

/* b where either is NaN. */
static inline float nn_max(float a, float b) {
  return a > b ? a : b;
}

/* NaN stays NaN. */
static inline float nn_clamp(float v, float lo, float hi) {
  return v < lo ? lo : v > hi ? hi : v;
}

static inline float nn_floor(float v) {
#if NN_HAS_ROUNDING
  return __builtin_floorf(v);
#else
  if (!(nn_abs(v) < 8388608.0f)) { /* 2^23: whole, infinite or NaN */
    return v;
  }
  const float toward_zero = (float)(int32_t)v;
  return nn_with_sign(toward_zero > v ? toward_zero - 1.0f : toward_zero, v);
#endif
}

/* To the nearest whole number, half to even. */
static inline float nn_round(float v) {
#if NN_HAS_ROUNDING
  return __builtin_rintf(v);
#else
  const float size = nn_abs(v);
  if (!(size < 8388608.0f)) {
    return v;
  }
  return nn_with_sign((size + 8388608.0f) - 8388608.0f, v);
#endif
}

/* Correctly rounded; NaN below zero. */
static inline float nn_sqrt(float v) {
#if NN_HAS_SQRT
  return __builtin_sqrtf(v);
#else
  if (!(v > 0.0f && v < NN_INFINITY)) {
    return v < 0.0f ? nn_from_bits(0x7fc00000u) : v;
  }
  int32_t exponent = -127;
  if (v < 1.17549435e-38f) { /* subnormal */
    v *= 16777216.0f;
    exponent -= 24;
  }
  exponent += (int32_t)(nn_bits(v) >> 23);
  /* v = rest * 2^exponent / 2^23, the exponent even; 25 digits of the root, one by one */
  uint32_t rest = (nn_bits(v) & 0x7fffffu) | 0x800000u;
  if (exponent % 2 != 0) {
    rest += rest;
    exponent -= 1;
  }
  uint32_t root = 0;
  uint32_t twice = 0;
  rest += rest;
  for (uint32_t digit = 0x1000000u; digit != 0; digit >>= 1) {
    const uint32_t trial = twice + digit;
    if (trial <= rest) {
      rest -= trial;
      twice = trial + digit;
      root += digit;
    }
    rest += rest;
  }
  root = (root + (root & 1u)) >> 1; /* never a tie: the square of a tie has too many digits */
  return nn_from_bits(root + (uint32_t)(exponent / 2 + 126) * 0x800000u);
#endif
}

/* e^v = 2^n * e^r with |r| <= ln(2) / 2. */
static inline float nn_exp(float v) {
  if (v != v) {
    return v;
  }
  if (v > 88.8f) {
    return NN_INFINITY;
  }
  if (v < -104.0f) {
    return 0.0f;
  }
  const float n = (v * 1.44269502f + 12582912.0f) - 12582912.0f; /* 1.5 * 2^23: to nearest */
  const float r = (v - n * 0.693145752f) - n * 1.42860677e-6f;
  float p = 0.00139517174f;
  p = p * r + 0.00836959854f;
  p = p * r + 0.0416661873f;
  p = p * r + 0.166665122f;
  p = p * r + 0.5f;
  p = (p * (r * r) + r) + 1.0f;
  const int32_t half = (int32_t)n / 2;
  return (p * nn_power_of_two(half)) * nn_power_of_two((int32_t)n - half);
}

/* ln v = k * ln 2 + ln(1 + f) with 1 + f between sqrt(1/2) and sqrt(2). */
static inline float nn_log(float v) {
  if (!(v > 0.0f && v < NN_INFINITY)) {
    return v == 0.0f ? -NN_INFINITY : v < 0.0f ? nn_from_bits(0x7fc00000u) : v;
  }
  int32_t k = 0;
  if (v < 1.17549435e-38f) { /* subnormal */
    v *= 16777216.0f;
    k = -24;
  }
  const uint32_t above = nn_bits(v) + (0x3f800000u - 0x3f3504f3u); /* 1 and sqrt(1/2) */
  k += (int32_t)(above >> 23) - 127;
  const float f = nn_from_bits((above & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
  float p = -0.0785954595f;
  p = p * f + 0.128816217f;
  p = p * f - 0.131287679f;
  p = p * f + 0.141811967f;
  p = p * f - 0.166245535f;
  p = p * f + 0.200022861f;
  p = p * f - 0.250008106f;
  p = p * f + 0.333333164f;
  const float square = f * f;
  const float small = p * (square * f) + (float)k * 1.42860677e-6f;
  return (f - (0.5f * square - small)) + (float)k * 0.693145752f;
}

static inline float nn_tanh(float v) {
  const float size = nn_abs(v);
  if (size < 0.625f) {
    const float z = v * v;
    float p = -0.00571703678f;
    p = p * z + 0.0206505787f;
    p = p * z - 0.0537434965f;
    p = p * z + 0.133314908f;
    p = p * z - 0.333332837f;
    return nn_with_sign(p * z * v + v, v);
  }
  return nn_with_sign(1.0f - 2.0f / (nn_exp(size + size) + 1.0f), v);
}

/* 1 / (1 + e^-v), without overflow on either side. */
static inline float nn_sigmoid(float v) {
  const float e = nn_exp(-nn_abs(v));
  return (v < 0.0f ? e : 1.0f) / (1.0f + e);
}

static inline float nn_erf(float v) {
  const float size = nn_abs(v);
  if (size < 1.0f) {
    const float z = v * v;
    float p = 7.8891193e-5f;
    p = p * z - 0.000802084105f;
    p = p * z + 0.00518953521f;
    p = p * z - 0.0268544443f;
    p = p * z + 0.112836003f;
    p = p * z - 0.37612626f;
    p = p * z + 0.128379166f;
    return p * v + v;
  }
  /* 1 - e^p(v); from 4 on 1 */
  const float a = nn_min(size, 4.0f);
  float p = 0.000185574856f;
  p = p * a - 0.0029396154f;
  p = p * a + 0.0218053497f;
  p = p * a - 0.103037432f;
  p = p * a - 0.638225615f;
  p = p * a - 1.12704003f;
  p = p * a - 0.0003537093f;
  return v != v ? v : nn_with_sign(1.0f - nn_exp(p), v);
}

/* What is left of a after whole multiples of b, with the sign of a: exact, as C's fmodf. */
static inline float nn_fmod(float a, float b) {
  const float size = nn_abs(a), unit = nn_abs(b);
  if (!(size < NN_INFINITY) || !(unit > 0.0f)) return NN_NAN;
  if (size < unit) return a;
  const uint32_t exponent_a = nn_bits(size) >> 23, exponent_b = nn_bits(unit) >> 23;
  const uint64_t digits_a = (nn_bits(size) & 0x7fffffu) | (exponent_a ? 0x800000u : 0u);
  const uint64_t digits_b = (nn_bits(unit) & 0x7fffffu) | (exponent_b ? 0x800000u : 0u);
  const uint32_t step_a = exponent_a ? exponent_a : 1u, step_b = exponent_b ? exponent_b : 1u;
  uint64_t rest = digits_a % digits_b, square = 2u % digits_b; /* times 2^(step_a - step_b) */
  for (uint32_t bits = step_a - step_b, i = 0; i < 9u; ++i, bits >>= 1) {
    if (bits & 1u) rest = rest * square % digits_b;
    square = square * square % digits_b;
  }
  const int32_t scale = (int32_t)step_b - 150;
  const float number = (float)(uint32_t)rest * nn_power_of_two(scale / 2);
  return nn_with_sign(number * nn_power_of_two(scale - scale / 2), a);
}

/* The same with the sign of b, as in Python. */
static inline float nn_modulo(float a, float b) {
  const float rest = nn_fmod(a, b);
  return rest != 0.0f && (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}

/* log2 of a positive finite number that is not subnormal as a double: k + log2(m), log2(m) = s * p(s^2), s = (m - 1) / (m + 1). */
static inline double nn_log2_of(double v) {
  union { double number; uint64_t bits; } m;
  m.number = v;
  /* bits of sqrt(1/2); 1024 keeps the difference positive */
  const uint64_t above = m.bits - 0x3fe6a09e00000000u + ((uint64_t)1024 << 52);
  const int32_t k = (int32_t)(above >> 52) - 1024;
  m.bits = m.bits + ((uint64_t)1024 << 52) - ((uint64_t)(k + 1024) << 52);
  const double s = (m.number - 1.0) / (m.number + 1.0);
  const double z = s * s;
  double p = 0.34073834134550407;
  p = p * z + 0.41167221854332403;
  p = p * z + 0.57708359446186808;
  p = p * z + 0.96179667328416951;
  p = p * z + 2.885390081790141;
  return p * s + (double)k;
}

/* 2^t for |t| < 1000. */
static inline double nn_two_to(double t) {
  const double n = (t + 6755399441055744.0) - 6755399441055744.0; /* 1.5 * 2^52: to nearest */
  const double f = t - n;
  double p = 0.00015478017587523794;
  p = p * f + 0.0013400431669663116;
  p = p * f + 0.0096179945317567545;
  p = p * f + 0.055503272157584424;
  p = p * f + 0.24022651504890194;
  p = p * f + 0.6931472067096518;
  p = p * f + 1.0;
  union { double number; uint64_t bits; } power;
  power.bits = (uint64_t)((int32_t)n + 1023) << 52;
  return p * power.number;
}

static inline float nn_pow(float base, float exponent) {
  if (exponent == 0.0f || base == 1.0f) {
    return 1.0f;
  }
  if (base != base || exponent != exponent) {
    return base + exponent;
  }
  const float size = nn_abs(base);
  const int whole = nn_floor(exponent) == exponent;
  const int odd = whole && nn_abs(exponent) < 16777216.0f && (int32_t)exponent % 2 != 0;
  const float sign = odd ? base : 1.0f;
  if (size == 0.0f || size == NN_INFINITY) {
    const int grows = (size > 1.0f) == (exponent > 0.0f);
    return nn_with_sign(grows ? NN_INFINITY : 0.0f, sign);
  }
  if (nn_abs(exponent) == NN_INFINITY) {
    return size == 1.0f ? 1.0f : (size > 1.0f) == (exponent > 0.0f) ? NN_INFINITY : 0.0f;
  }
  if (base < 0.0f && !whole) {
    return nn_from_bits(0x7fc00000u);
  }
  const double t = (double)exponent * nn_log2_of((double)size);
  if (t > 129.0) {
    return nn_with_sign(NN_INFINITY, sign);
  }
  if (t < -151.0) {
    return nn_with_sign(0.0f, sign);
  }
  return nn_with_sign((float)nn_two_to(t), sign);
}

#endif
