/* Circular and hyperbolic functions of float and their inverses, without libm: computed in double, so
 * slow where the FPU lacks it, with the same bits on every machine. Infinities, NaN and zeros behave as
 * C99 says. Errors in ulp of the float result, measured by tests/runtime_c/test_math.py over all floats:
 *
 *   nn_sin nn_cos nn_tan nn_asin nn_acos nn_atan nn_sinh nn_cosh nn_asinh nn_acosh nn_atanh   0.6 ulp
 */
#ifndef NN2WASM_TRIGONOMETRY_H
#define NN2WASM_TRIGONOMETRY_H

#include "nn2wasm/math.h"

#define NN_HALF_PI 1.5707963267948966

/* v = r + quadrant * pi / 2 with |r| <= pi / 4, for finite v. */
static inline double nn_reduce_angle(float v, int32_t *quadrant) {
  if (nn_abs(v) < 33554432.0f) { /* n takes 25 bits, as the first part of pi / 2 does */
    const double n = ((double)v * 0.6366197723675814 + 6755399441055744.0) - 6755399441055744.0;
    *quadrant = (int32_t)n;
    return ((double)v - n * 1.5707963109016418) - n * 1.5893254773528196e-08;
  }
  /* v = m * 2^e. Of 2 / pi only the 96 bits matter that do not make whole turns: the product then is
   * quadrants, with 94 bits behind the point. */
  static const uint32_t two_over_pi[7] = {
      0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu};
  const uint64_t m = (nn_bits(v) & 0x7fffffu) | 0x800000u;
  const uint32_t first = ((nn_bits(v) >> 23) & 255u) - 152u; /* e - 2 bits are left out */
  const uint32_t *words = two_over_pi + first / 32u;
  uint32_t window[3];
  for (int i = 0; i < 3; ++i) {
    const uint64_t both = (uint64_t)words[i] << 32 | words[i + 1];
    window[i] = (uint32_t)(both << (first % 32u) >> 32);
  }
  const uint64_t low = m * window[2];
  const uint64_t middle = m * window[1] + (low >> 32);
  const uint64_t turns = (m * window[0] << 32) + middle; /* modulo 2^64: four quadrants */
  const uint64_t nearest = (turns + ((uint64_t)1 << 61)) >> 62;
  const int64_t rest = (int64_t)(turns - (nearest << 62));
  const double r = (double)rest * 3.4061215800865545e-19; /* pi / 2 / 2^62 */
  *quadrant = v < 0.0f ? -(int32_t)nearest : (int32_t)nearest;
  return v < 0.0f ? -r : r;
}

/* |r| <= pi / 4 */
static inline double nn_sin_near(double r) {
  const double z = r * r;
  double p = 1.6059043836821613e-10;
  p = p * z - 2.505210838544172e-08;
  p = p * z + 2.7557319223985893e-06;
  p = p * z - 0.0001984126984126984;
  p = p * z + 0.008333333333333333;
  p = p * z - 0.16666666666666666;
  return p * z * r + r;
}

static inline double nn_cos_near(double r) {
  const double z = r * r;
  double p = -1.1470745597729725e-11;
  p = p * z + 2.08767569878681e-09;
  p = p * z - 2.755731922398589e-07;
  p = p * z + 2.48015873015873e-05;
  p = p * z - 0.001388888888888889;
  p = p * z + 0.041666666666666664;
  p = p * z - 0.5;
  return p * z + 1.0;
}

static inline float nn_sin(float v) {
  if (!(nn_abs(v) < NN_INFINITY)) return NN_NAN;
  if (v == 0.0f) return v;
  int32_t quadrant;
  const double r = nn_reduce_angle(v, &quadrant);
  const double size = quadrant & 1 ? nn_cos_near(r) : nn_sin_near(r);
  return (float)(quadrant & 2 ? -size : size);
}

static inline float nn_cos(float v) {
  if (!(nn_abs(v) < NN_INFINITY)) return NN_NAN;
  int32_t quadrant;
  const double r = nn_reduce_angle(v, &quadrant);
  const double size = quadrant & 1 ? nn_sin_near(r) : nn_cos_near(r);
  return (float)((quadrant + 1) & 2 ? -size : size);
}

static inline float nn_tan(float v) {
  if (!(nn_abs(v) < NN_INFINITY)) return NN_NAN;
  if (v == 0.0f) return v;
  int32_t quadrant;
  const double r = nn_reduce_angle(v, &quadrant);
  const double sine = nn_sin_near(r), cosine = nn_cos_near(r);
  return (float)(quadrant & 1 ? -cosine / sine : sine / cosine);
}

/* Of v >= 0, infinity included. */
static inline double nn_atan_of(double v) {
  const int inverted = v > 1.0;
  double t = inverted ? 1.0 / v : v;
  const int turned = t > 0.2679491924311227; /* tan(pi / 12) */
  if (turned) t = (t * 1.7320508075688772 - 1.0) / (t + 1.7320508075688772);
  const double z = t * t;
  double p = 0.058823529411764705;
  p = p * z - 0.06666666666666667;
  p = p * z + 0.07692307692307693;
  p = p * z - 0.09090909090909091;
  p = p * z + 0.1111111111111111;
  p = p * z - 0.14285714285714285;
  p = p * z + 0.2;
  p = p * z - 0.3333333333333333;
  double angle = p * z * t + t;
  if (turned) angle += 0.5235987755982989; /* pi / 6 */
  return inverted ? NN_HALF_PI - angle : angle;
}

static inline float nn_atan(float v) {
  if (v != v || v == 0.0f) return v;
  return nn_with_sign((float)nn_atan_of((double)nn_abs(v)), v);
}

/* Of v >= 0: two steps of Newton's from the float root. */
static inline double nn_sqrt_of(double v) {
  double root = (double)nn_sqrt((float)v);
  if (!(root > 0.0)) return root;
  root = 0.5 * (root + v / root);
  return 0.5 * (root + v / root);
}

static inline float nn_asin(float v) {
  const double size = (double)nn_abs(v);
  if (!(size <= 1.0)) return NN_NAN;
  if (v == 0.0f) return v;
  const double other = nn_sqrt_of((1.0 - size) * (1.0 + size));
  return nn_with_sign((float)(other > 0.0 ? nn_atan_of(size / other) : NN_HALF_PI), v);
}

static inline float nn_acos(float v) {
  const double size = (double)nn_abs(v);
  if (!(size <= 1.0)) return NN_NAN;
  const double other = nn_sqrt_of((1.0 - size) * (1.0 + size));
  const double angle = size > 0.0 ? nn_atan_of(other / size) : NN_HALF_PI;
  return (float)(v < 0.0f ? 2.0 * NN_HALF_PI - angle : angle);
}

/* e^v for |v| <= 100 */
static inline double nn_exp_of(double v) {
  return nn_two_to(v * 1.4426950408889634);
}

static inline float nn_sinh(float v) {
  const double size = (double)nn_abs(v);
  if (v != v || v == 0.0f) return v;
  double result;
  if (size < 0.5) {
    const double z = size * size;
    result = (((z * 2.7557319223985893e-06 + 0.0001984126984126984) * z + 0.008333333333333333) * z +
              0.16666666666666666) * z * size + size;
  } else {
    const double e = nn_exp_of(size < 100.0 ? size : 100.0);
    result = 0.5 * (e - 1.0 / e);
  }
  return nn_with_sign((float)result, v);
}

static inline float nn_cosh(float v) {
  const double size = (double)nn_abs(v);
  if (v != v) return v;
  const double e = nn_exp_of(size < 100.0 ? size : 100.0);
  return (float)(0.5 * (e + 1.0 / e));
}

/* ln(2v) for 1 < v < infinity: asinh and acosh of large v */
static inline double nn_log_of_twice(double v) {
  return 0.6931471805599453 * (nn_log2_of(v) + 1.0);
}

/* ln(1 + u) for u > -1 */
static inline double nn_log_above_one(double u) {
  if (u < 0.0001 && u > -0.0001) return u - u * u * (0.5 - u * 0.3333333333333333);
  return 0.6931471805599453 * nn_log2_of(1.0 + u);
}

static inline float nn_asinh(float v) {
  const float size = nn_abs(v);
  if (!(size < NN_INFINITY) || v == 0.0f) return v;
  const double a = (double)size, square = a * a;
  if (a > 1e6) return nn_with_sign((float)nn_log_of_twice(a), v);
  return nn_with_sign((float)nn_log_above_one(a + square / (1.0 + nn_sqrt_of(square + 1.0))), v);
}

static inline float nn_acosh(float v) {
  if (!(v >= 1.0f)) return NN_NAN;
  if (v == NN_INFINITY) return v;
  if (v > 1e6f) return (float)nn_log_of_twice((double)v);
  const double t = (double)v - 1.0;
  return (float)nn_log_above_one(t + nn_sqrt_of(t * (t + 2.0)));
}

static inline float nn_atanh(float v) {
  const double size = (double)nn_abs(v);
  if (!(size <= 1.0)) return NN_NAN;
  if (v == 0.0f) return v;
  if (!(size < 1.0)) return nn_with_sign(NN_INFINITY, v);
  return nn_with_sign((float)(0.5 * nn_log_above_one(2.0 * size / (1.0 - size))), v);
}

#endif
