/* Multiply-accumulate steps of relaxed SIMD, in the forms of simd128.h.
 *
 *   form        inputs a step   staged as   weights
 *   nn_quads    4               int8_t      int8_t; exact
 *   nn_fused    1               float       float; rounded once or twice, as the machine has it
 *
 * Machines differ in how relaxed_dot takes the top bit of its second operand: signed (SDOT) or
 * unsigned (VPDPBUSD). nn_quads asks the machine, in the very function that goes on to use the
 * answer: where it is unsigned, inputs are staged 128 higher, and the bias is that for 128 more.
 * A machine whose sums saturate on the way serves neither: nn_quads_exact() finds it out.
 */
#ifndef NN2WASM_RELAXED_SIMD_H
#define NN2WASM_RELAXED_SIMD_H

#include "nn2wasm/simd128.h"

/* Four times -128 * 1 or 128 * 1. */
static inline v128_t nn_quads_probe(void) {
  return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(
      wasm_i8x16_const_splat(1), wasm_i8x16_const_splat(-128), wasm_i32x4_const_splat(0));
}

/* 1 where inputs are taken as unsigned: the row of the bias. */
static inline int nn_quads_unsigned(void) {
  return wasm_i32x4_extract_lane(nn_quads_probe(), 0) > 0;
}

/* What is added to inputs, bit by bit: 0x80 or 0. */
static inline v128_t nn_quads_mask(void) {
  const v128_t positive = wasm_i32x4_gt(nn_quads_probe(), wasm_i32x4_const_splat(0));
  return wasm_v128_and(positive, wasm_i8x16_const_splat(-128));
}

/* Whether sums come out exact, whichever way the second operand is taken. */
static inline int nn_quads_exact(void) {
  int8_t bits = -1;
  __asm__ volatile("" : "+r"(bits)); /* or a loop of questions becomes a single one */
  const v128_t zero = wasm_i32x4_const_splat(0), ones = wasm_i8x16_splat(bits);
  const int high = wasm_i32x4_extract_lane(
      wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_i8x16_const_splat(127), ones, zero), 0);
  const int low = wasm_i32x4_extract_lane(
      wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_i8x16_const_splat(-128), ones, zero), 0);
  return (high == 4 * 127 * 255 && low == 4 * -128 * 255) || (high == 4 * -127 && low == 4 * 128);
}

static inline v128_t nn_quads_load(const int8_t *w) {
  return wasm_v128_load(w);
}

static inline v128_t nn_quads_add(v128_t acc, v128_t x, v128_t w) {
  return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(w, x, acc);
}

static inline void nn_quads_stage(int8_t *to, const int8_t *from, int n) {
  const v128_t mask = nn_quads_mask();
  int i = 0;
  for (; i + 16 <= n; i += 16) wasm_v128_store(to + i, wasm_v128_xor(wasm_v128_load(from + i), mask));
  for (; i < n; ++i) to[i] = (int8_t)(from[i] ^ wasm_i8x16_extract_lane(mask, 0));
}

static inline void nn_quads_join(int8_t *to, int block, const int8_t *a, const int8_t *b,
    const int8_t *c, const int8_t *d, int columns, int channels) {
  const v128_t mask = nn_quads_mask();
  int n = 0;
  for (; n + 16 <= channels; n += 16, to += 4 * block) {
    for (int i = 0; i < columns; ++i) {
      const int at = i * channels + n;
      const v128_t va = wasm_v128_load(a + at), vb = wasm_v128_load(b + at);
      const v128_t vc = wasm_v128_load(c + at), vd = wasm_v128_load(d + at);
      const v128_t ab0 = wasm_v128_xor(mask, wasm_i8x16_shuffle(
          va, vb, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
      const v128_t ab8 = wasm_v128_xor(mask, wasm_i8x16_shuffle(
          va, vb, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
      const v128_t cd0 = wasm_v128_xor(mask, wasm_i8x16_shuffle(
          vc, vd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
      const v128_t cd8 = wasm_v128_xor(mask, wasm_i8x16_shuffle(
          vc, vd, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
      int8_t *const t = to + i * 16;
      wasm_v128_store(t, wasm_i16x8_shuffle(ab0, cd0, 0, 8, 1, 9, 2, 10, 3, 11));
      wasm_v128_store(t + block, wasm_i16x8_shuffle(ab0, cd0, 4, 12, 5, 13, 6, 14, 7, 15));
      wasm_v128_store(t + 2 * block, wasm_i16x8_shuffle(ab8, cd8, 0, 8, 1, 9, 2, 10, 3, 11));
      wasm_v128_store(t + 3 * block, wasm_i16x8_shuffle(ab8, cd8, 4, 12, 5, 13, 6, 14, 7, 15));
    }
  }
  const int8_t flip = (int8_t)wasm_i8x16_extract_lane(mask, 0);
  for (; n < channels; ++n, to += n % 4 ? 4 : block - 12) {
    for (int i = 0; i < columns; ++i) {
      to[i * 16] = (int8_t)(a[i * channels + n] ^ flip);
      to[i * 16 + 1] = (int8_t)(b[i * channels + n] ^ flip);
      to[i * 16 + 2] = (int8_t)(c[i * channels + n] ^ flip);
      to[i * 16 + 3] = (int8_t)(d[i * channels + n] ^ flip);
    }
  }
}

static inline void nn_quads_fill(int8_t *to, int value, int n) {
  const v128_t fill = wasm_v128_xor(wasm_i8x16_splat((int8_t)value), nn_quads_mask());
  int i = 0;
  for (; i + 16 <= n; i += 16) wasm_v128_store(to + i, fill);
  for (; i < n; ++i) to[i] = (int8_t)wasm_i8x16_extract_lane(fill, 0);
}

static inline v128_t nn_fused_load(const float *w) {
  return wasm_v128_load(w);
}

static inline v128_t nn_fused_add(v128_t acc, v128_t x, v128_t w) {
  return wasm_f32x4_relaxed_madd(x, w, acc);
}

static inline void nn_fused_stage(float *to, const float *from, int n) {
  nn_single_stage(to, from, n);
}

static inline void nn_fused_join(float *to, int block, const float *a, int columns, int c) {
  nn_single_join(to, block, a, columns, c);
}

static inline void nn_fused_fill(float *to, float value, int n) {
  nn_single_fill(to, value, n);
}

#endif
