/* What kernels for 128-bit SIMD share: multiply-accumulate steps, requantization, narrowing.
 *
 * A multiply-accumulate step works on four outputs, one a lane of 32 bits. It takes the inputs of
 * one pixel in every lane and the weights of four outputs. Each form has the same functions:
 *
 *   <form>_load(w)               weights of four outputs for a step
 *   <form>_add(acc, x, w)        acc + the products of a step
 *   <form>_stage(to, from, n)    n inputs in the form that steps read
 *   <form>_fill(to, value, n)    the same for one value, n times
 *   <form>_join(to, block, rows..., columns, c)
 *                                as many rows as a step has inputs, [columns][c] each, to
 *                                [c / 4][columns][4][rows]; blocks of 4 channels lie `block` apart
 *
 *   form        inputs a step   staged as   weights
 *   nn_pairs    2               int16_t     int8_t
 *   nn_wide     2               int16_t     int16_t, for weights with a zero point
 *   nn_single   1               float       float; a product and a sum, each rounded
 *
 * relaxed_simd.h has two more. All sums of integers are exact.
 */
#ifndef NN2WASM_SIMD128_H
#define NN2WASM_SIMD128_H

#include <stdint.h>
#include <string.h>

#ifdef __wasm__
#include <wasm_simd128.h>
#else
#include "nn2wasm/wasm_simd128_portable.h"
#endif

/* For functions that should be there once; gcc objects to it on inline ones. */
#if defined(__clang__)
#define NN_APART __attribute__((noinline))
#else
#define NN_APART
#endif

static inline v128_t nn_pairs_load(const int8_t *w) {
  return wasm_i16x8_load8x8(w);
}

static inline v128_t nn_pairs_add(v128_t acc, v128_t x, v128_t w) {
  return wasm_i32x4_add(acc, wasm_i32x4_dot_i16x8(x, w));
}

static inline void nn_pairs_stage(int16_t *to, const int8_t *from, int n) {
  int i = 0;
  for (; i + 8 <= n; i += 8) wasm_v128_store(to + i, wasm_i16x8_load8x8(from + i));
  for (; i < n; ++i) to[i] = from[i];
}

static inline void nn_pairs_fill(int16_t *to, int value, int n) {
  for (int i = 0; i < n; ++i) to[i] = (int16_t)value;
}

static inline void nn_pairs_join(
    int16_t *to, int block, const int8_t *a, const int8_t *b, int columns, int c) {
  int n = 0;
  for (; n + 16 <= c; n += 16, to += 4 * block) {
    for (int i = 0; i < columns; ++i) {
      const v128_t va = wasm_v128_load(a + i * c + n), vb = wasm_v128_load(b + i * c + n);
      const v128_t low = wasm_i8x16_shuffle(
          va, vb, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const v128_t high = wasm_i8x16_shuffle(
          va, vb, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      wasm_v128_store(to + i * 8, wasm_i16x8_extend_low_i8x16(low));
      wasm_v128_store(to + i * 8 + block, wasm_i16x8_extend_high_i8x16(low));
      wasm_v128_store(to + i * 8 + 2 * block, wasm_i16x8_extend_low_i8x16(high));
      wasm_v128_store(to + i * 8 + 3 * block, wasm_i16x8_extend_high_i8x16(high));
    }
  }
  for (; n < c; ++n, to += n % 4 ? 2 : block - 6) {
    for (int i = 0; i < columns; ++i) {
      to[i * 8] = a[i * c + n];
      to[i * 8 + 1] = b[i * c + n];
    }
  }
}

static inline v128_t nn_wide_load(const int16_t *w) {
  return wasm_v128_load(w);
}

static inline v128_t nn_wide_add(v128_t acc, v128_t x, v128_t w) {
  return nn_pairs_add(acc, x, w);
}

static inline void nn_wide_stage(int16_t *to, const int8_t *from, int n) {
  nn_pairs_stage(to, from, n);
}

static inline void nn_wide_fill(int16_t *to, int value, int n) {
  nn_pairs_fill(to, value, n);
}

static inline v128_t nn_single_load(const float *w) {
  return wasm_v128_load(w);
}

static inline v128_t nn_single_add(v128_t acc, v128_t x, v128_t w) {
  return wasm_f32x4_add(acc, wasm_f32x4_mul(x, w));
}

static inline void nn_single_stage(float *to, const float *from, int n) {
  memcpy(to, from, (size_t)n * sizeof *to);
}

static inline void nn_single_join(float *to, int block, const float *a, int columns, int c) {
  int n = 0;
  for (; n + 16 <= c; n += 16, to += 4 * block) { /* a line of the cache at a time */
    for (int i = 0; i < columns; ++i) {
      const float *const from = a + i * c + n;
      wasm_v128_store(to + i * 4, wasm_v128_load(from));
      wasm_v128_store(to + i * 4 + block, wasm_v128_load(from + 4));
      wasm_v128_store(to + i * 4 + 2 * block, wasm_v128_load(from + 8));
      wasm_v128_store(to + i * 4 + 3 * block, wasm_v128_load(from + 12));
    }
  }
  for (; n < c; ++n, to += n % 4 ? 1 : block - 3) {
    for (int i = 0; i < columns; ++i) to[i * 4] = a[i * c + n];
  }
}

static inline void nn_single_fill(float *to, float value, int n) {
  for (int i = 0; i < n; ++i) to[i] = value;
}

/* round_half_even(acc * scale) + zero_point, for four sums; |acc * scale| < 2^22 - 1.
   The sum with 1.5 * 2^23 leaves the integer in the low bits. */
static inline v128_t nn_requantize4(v128_t acc, v128_t scale, int32_t zero_point) {
  const v128_t real = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(acc), scale);
  return wasm_i32x4_sub(wasm_f32x4_add(real, wasm_f32x4_splat(12582912.0f)),
      wasm_i32x4_splat(0x4B400000 - zero_point));
}

/* The same for sums of any size, right wherever the result is clamped to 16 bits or less. */
static inline v128_t nn_requantize4_any(v128_t acc, v128_t scale, int32_t zero_point) {
  const v128_t real = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(acc), scale);
  const v128_t below = wasm_f32x4_pmin(wasm_f32x4_splat(4194302.0f), real);
  const v128_t bounded = wasm_f32x4_pmax(wasm_f32x4_splat(-4194302.0f), below);
  return wasm_i32x4_sub(wasm_f32x4_add(bounded, wasm_f32x4_splat(12582912.0f)),
      wasm_i32x4_splat(0x4B400000 - zero_point));
}

/* Integers of 32 bits to bytes, saturating; those behind the given ones mean nothing. */
static inline v128_t nn_bytes4(v128_t a, v128_t b, v128_t c, v128_t d) {
  return wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(a, b), wasm_i16x8_narrow_i32x4(c, d));
}

static inline v128_t nn_bytes3(v128_t a, v128_t b, v128_t c) {
  return nn_bytes4(a, b, c, c);
}

static inline v128_t nn_bytes2(v128_t a, v128_t b) {
  const v128_t both = wasm_i16x8_narrow_i32x4(a, b);
  return wasm_i8x16_narrow_i16x8(both, both);
}

static inline v128_t nn_bytes1(v128_t a) {
  return nn_bytes2(a, a);
}

/* The first bytes or floats of a vector, of which there are n: at most four. Nothing inlines what
   only the last outputs of a layer need. */
static inline NN_APART void nn_put_few_bytes(int8_t *to, v128_t v, int n) {
  for (; n > 0; --n, ++to) {
    wasm_v128_store8_lane(to, v, 0);
    v = wasm_u32x4_shr(v, 8);
  }
}

static inline void nn_put_bytes(int8_t *to, v128_t v, int n) {
  if (n >= 4) wasm_v128_store32_lane(to, v, 0);
  else nn_put_few_bytes(to, v, n);
}

static inline NN_APART void nn_put_few_floats(float *to, v128_t v, int n) {
  for (; n > 0; --n, ++to) {
    wasm_v128_store32_lane(to, v, 0);
    v = wasm_i32x4_shuffle(v, v, 1, 2, 3, 3);
  }
}

static inline void nn_put_floats(float *to, v128_t v, int n) {
  if (n >= 4) wasm_v128_store(to, v);
  else nn_put_few_floats(to, v, n);
}

static inline v128_t nn_clamp_bytes(v128_t v, int lo, int hi) {
  const v128_t above = wasm_i8x16_max(v, wasm_i8x16_splat((int8_t)lo));
  return wasm_i8x16_min(above, wasm_i8x16_splat((int8_t)hi));
}

#endif
