/* The functions of math.h for four floats: the same operations in the same order, the same bits.
 *
 * Where math.h branches, both sides are computed and one is chosen. A NaN stays one, its payload
 * may differ. Engines are slow to make vector constants, so factors come from tables, and the
 * compiler may not look into them.
 */
#ifndef NN2WASM_SIMD_MATH_H
#define NN2WASM_SIMD_MATH_H

#include "nn2wasm/math.h"
#include "nn2wasm/simd_vectors.h"

/* The table, unknown to the compiler. */
static inline const float *nn_hidden(const float *table) {
  __asm__("" : "+r"(table));
  return table;
}

static inline nn_floats nn_term4(const float *table, int i) {
  return (nn_floats)wasm_v128_load32_splat(table + i);
}

/* p * v + table[first], and so on up to table[last]. */
static inline nn_floats nn_terms4(
    nn_floats p, nn_floats v, const float *table, int first, int last) {
  for (int i = first; i <= last; ++i) p = p * v + nn_term4(table, i);
  return p;
}

static inline nn_floats nn_abs4(nn_floats v) {
  return (nn_floats)wasm_f32x4_abs((v128_t)v);
}

static inline nn_floats nn_max4(nn_floats a, nn_floats b) {
  return (nn_floats)wasm_f32x4_pmax((v128_t)b, (v128_t)a);
}

static inline nn_floats nn_clamp4(nn_floats v, float lo, float hi) {
  const v128_t above = wasm_f32x4_pmax((v128_t)v, wasm_f32x4_splat(lo));
  return (nn_floats)wasm_f32x4_pmin(above, wasm_f32x4_splat(hi));
}

static inline nn_floats nn_with_sign4(nn_floats size, nn_floats sign) {
  return nn_select4(wasm_i32x4_const_splat(0x7fffffff), size, sign);
}

/* e^v = 2^n * e^r: e^r, and 0x4B400000 + n, of which a shift by 23 leaves n alone. */
static inline nn_floats nn_exp_parts4(nn_floats v, v128_t *shifted_n) {
  static const float terms[] = {1.44269502f, 12582912.0f, 0.693145752f, 1.42860677e-6f,
      0.00139517174f, 0.00836959854f, 0.0416661873f, 0.166665122f, 0.5f, 1.0f};
  const float *const t = nn_hidden(terms);
  const nn_floats shift = nn_term4(t, 1), shifted = v * nn_term4(t, 0) + shift;
  const nn_floats n = shifted - shift;
  const nn_floats r = (v - n * nn_term4(t, 2)) - n * nn_term4(t, 3);
  const nn_floats p = nn_terms4(nn_term4(t, 4), r, t, 5, 8);
  *shifted_n = (v128_t)shifted;
  return (p * (r * r) + r) + nn_term4(t, 9);
}

/* p * 2^n * unit; `one` holds the bits of 1 / unit. */
static inline nn_floats nn_scaled4(nn_floats p, v128_t n, int32_t one, float unit) {
  const v128_t power = wasm_i32x4_add(wasm_i32x4_shl(n, 23), wasm_i32x4_splat(one));
  return (p * (nn_floats)power) * unit;
}

/* nn_exp() of what is not above 0. Bounded so that what lies below is rounded to 0 by itself; the
   product with 2^(n + 64) is exact. */
static inline nn_floats nn_exp_below4(nn_floats v) {
  static const float least[] = {-105.0f};
  v128_t n;
  const v128_t bound = (v128_t)nn_term4(nn_hidden(least), 0);
  const nn_floats p = nn_exp_parts4((nn_floats)wasm_f32x4_pmax((v128_t)v, bound), &n);
  return nn_scaled4(p, n, 0x5f800000, 0x1p-64f);
}

/* The same of what is not below 0: what lies above overflows by itself. */
static inline nn_floats nn_exp_above4(nn_floats v) {
  static const float most[] = {89.5f};
  v128_t n;
  const v128_t bound = (v128_t)nn_term4(nn_hidden(most), 0);
  const nn_floats p = nn_exp_parts4((nn_floats)wasm_f32x4_pmin((v128_t)v, bound), &n);
  return nn_scaled4(p, n, 0x1f800000, 0x1p64f);
}

static inline nn_floats nn_exp4(nn_floats v) {
  static const float bounds[] = {-105.0f, 89.5f};
  const float *const t = nn_hidden(bounds);
  const v128_t above = wasm_f32x4_pmax((v128_t)v, (v128_t)nn_term4(t, 0));
  const v128_t bounded = wasm_f32x4_pmin(above, (v128_t)nn_term4(t, 1));
  v128_t n;
  const nn_floats p = nn_exp_parts4((nn_floats)bounded, &n);
  const v128_t whole = wasm_i32x4_sub(n, wasm_i32x4_const_splat(0x4B400000));
  const v128_t half = wasm_i32x4_shr(whole, 1);
  const nn_floats first = nn_scaled4(p, half, 0x3f800000, 1.0f);
  return nn_scaled4(first, wasm_i32x4_sub(whole, half), 0x3f800000, 1.0f);
}

static inline nn_floats nn_log4(nn_floats v) {
  static const float terms[] = {-0.0785954595f, 0.128816217f, -0.131287679f, 0.141811967f,
      -0.166245535f, 0.200022861f, -0.250008106f, 0.333333164f, 1.42860677e-6f, 0.5f, 0.693145752f,
      1.17549435e-38f, 16777216.0f, NN_INFINITY, 1.0f};
  const float *const t = nn_hidden(terms);
  const v128_t tiny = (v128_t)(v < nn_term4(t, 11));
  const nn_floats scaled = nn_select4(tiny, v * nn_term4(t, 12), v);
  const v128_t above = wasm_i32x4_add((v128_t)scaled, wasm_i32x4_const_splat(0x004afb0d));
  const v128_t exponent = wasm_i32x4_sub(wasm_u32x4_shr(above, 23), wasm_i32x4_const_splat(127));
  const v128_t lower = wasm_v128_and(tiny, wasm_i32x4_const_splat(-24));
  const nn_floats k = nn_floats_of(wasm_i32x4_add(exponent, lower));
  const v128_t digits = wasm_v128_and(above, wasm_i32x4_const_splat(0x7fffff));
  const v128_t mantissa = wasm_i32x4_add(digits, wasm_i32x4_const_splat(0x3f3504f3));
  const nn_floats f = (nn_floats)mantissa - nn_term4(t, 14), square = f * f;
  const nn_floats p = nn_terms4(nn_term4(t, 0), f, t, 1, 7);
  const nn_floats small = p * (square * f) + k * nn_term4(t, 8);
  const nn_floats y = (f - (nn_term4(t, 9) * square - small)) + k * nn_term4(t, 10);
  const nn_floats zero = nn_splat4(0.0f), infinity = nn_term4(t, 13);
  const nn_floats odd = nn_select4((v128_t)(v < zero), nn_splat4(NN_NAN), v); /* NaN, infinity */
  const nn_floats outside = nn_select4((v128_t)(v == zero), -infinity, odd);
  return nn_select4((v128_t)(v > zero) & (v128_t)(v < infinity), y, outside);
}

static inline nn_floats nn_tanh4(nn_floats v) {
  static const float terms[] = {-0.00571703678f, 0.0206505787f, -0.0537434965f, 0.133314908f,
      -0.333332837f, 1.0f, 2.0f, 0.625f};
  const float *const t = nn_hidden(terms);
  const nn_floats size = nn_abs4(v), z = v * v, one = nn_term4(t, 5);
  const nn_floats p = nn_terms4(nn_term4(t, 0), z, t, 1, 4);
  const nn_floats large = one - nn_term4(t, 6) / (nn_exp_above4(size + size) + one);
  const nn_floats y = nn_select4((v128_t)(size < nn_term4(t, 7)), p * z * v + v, large);
  return nn_with_sign4(y, v);
}

static inline nn_floats nn_sigmoid4(nn_floats v) {
  static const float terms[] = {1.0f};
  const nn_floats below = (nn_floats)wasm_v128_or((v128_t)v, wasm_f32x4_const_splat(-0.0f));
  const nn_floats e = nn_exp_below4(below), one = nn_term4(nn_hidden(terms), 0);
  return nn_select4((v128_t)(v < nn_splat4(0.0f)), e, one) / (one + e);
}

/* ln(1 + e^v) */
static inline nn_floats nn_softplus4(nn_floats v) {
  const nn_floats above = nn_max4(v, nn_splat4(0.0f));
  return above + nn_log4(1.0f + nn_exp_below4(-nn_abs4(v)));
}

static inline nn_floats nn_erf4(nn_floats v) {
  static const float terms[] = {7.8891193e-5f, -0.000802084105f, 0.00518953521f, -0.0268544443f,
      0.112836003f, -0.37612626f, 0.128379166f, 0.000185574856f, -0.0029396154f, 0.0218053497f,
      -0.103037432f, -0.638225615f, -1.12704003f, -0.0003537093f, 4.0f, 1.0f};
  const float *const t = nn_hidden(terms);
  const nn_floats size = nn_abs4(v), one = nn_term4(t, 15);
  const nn_floats s = nn_terms4(nn_term4(t, 0), v * v, t, 1, 6);
  const nn_floats a = (nn_floats)wasm_f32x4_pmin((v128_t)nn_term4(t, 14), (v128_t)size);
  const nn_floats p = nn_terms4(nn_term4(t, 7), a, t, 8, 13);
  v128_t n; /* -26 at least: no need to scale in two steps */
  const nn_floats e = nn_exp_parts4(p, &n);
  const nn_floats large = nn_with_sign4(one - nn_scaled4(e, n, 0x3f800000, 1.0f), v);
  const nn_floats y = nn_select4((v128_t)(size < one), s * v + v, large);
  return nn_select4((v128_t)(v == v), y, v);
}

#endif
