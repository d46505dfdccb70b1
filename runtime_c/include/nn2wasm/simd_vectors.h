/* Bytes and floats in vectors of 128 bits: widening, quantizing, weighted sums.
 *
 * Kernels take a row some elements at a time. What is left at its end is a vector that overlaps the
 * one before: nn_next() says where the next begins. Who may write over what is still to be read
 * loads the next vector before it stores one.
 */
#ifndef NN2WASM_SIMD_VECTORS_H
#define NN2WASM_SIMD_VECTORS_H

#include "nn2wasm/simd128.h"

typedef float nn_floats __attribute__((vector_size(16)));

/* Where the vector of `size` elements after the one at i begins. */
static inline int nn_next(int i, int size, int count) {
  return i + size + size <= count ? i + size : count - size;
}

/* Copies n bytes, 16 at least, of tensors that do not overlap: engines begin a memcpy slowly. */
static inline void nn_copy(void *to, const void *from, int n) {
  uint8_t *const y = to;
  const uint8_t *const x = from;
  for (int i = 0;; i = nn_next(i, 16, n)) {
    wasm_v128_store(y + i, wasm_v128_load(x + i));
    if (i == n - 16) break;
  }
}

static inline nn_floats nn_load4(const float *x) {
  return (nn_floats)wasm_v128_load(x);
}

static inline void nn_store4(float *y, nn_floats v) {
  wasm_v128_store(y, (v128_t)v);
}

static inline nn_floats nn_splat4(float v) {
  return (nn_floats)wasm_f32x4_splat(v);
}

/* a where the mask's lanes are set, b elsewhere. */
static inline nn_floats nn_select4(v128_t mask, nn_floats a, nn_floats b) {
  return (nn_floats)wasm_v128_bitselect((v128_t)a, (v128_t)b, mask);
}

/* Four integers of 32 bits as floats. */
static inline nn_floats nn_floats_of(v128_t v) {
  return (nn_floats)wasm_f32x4_convert_i32x4(v);
}

/* Eight integers of 16 bits: the first or last four of them as floats. */
static inline nn_floats nn_low_floats(v128_t v) {
  return nn_floats_of(wasm_i32x4_extend_low_i16x8(v));
}

static inline nn_floats nn_high_floats(v128_t v) {
  return nn_floats_of(wasm_i32x4_extend_high_i16x8(v));
}

/* round_half_even(v) + zero_point for |v| < 2^22 - 1; `bias` is 0x4B400000 - zero_point. */
static inline v128_t nn_round4(nn_floats v, v128_t bias) {
  return wasm_i32x4_sub((v128_t)(v + 12582912.0f), bias);
}

/* nn_quantize() of four numbers. */
static inline v128_t nn_quantize4(nn_floats v, v128_t lo, v128_t hi, v128_t bias) {
  return nn_round4((nn_floats)wasm_f32x4_pmin(hi, wasm_f32x4_pmax(lo, (v128_t)v)), bias);
}

/* Rows of eight bytes become columns; steps are elements from one row to the next. */
static inline void nn_transpose8(void *to, int to_step, const void *from, int from_step) {
  uint8_t *const y = to;
  const uint8_t *const x = from;
  v128_t two[4], four[4];
  for (int i = 0; i < 4; ++i) {
    const v128_t a = wasm_v128_load64_zero(x + (2 * i) * from_step);
    const v128_t b = wasm_v128_load64_zero(x + (2 * i + 1) * from_step);
    two[i] = wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  }
  for (int i = 0; i < 2; ++i) {
    four[i] = wasm_i16x8_shuffle(two[2 * i], two[2 * i + 1], 0, 8, 1, 9, 2, 10, 3, 11);
    four[i + 2] = wasm_i16x8_shuffle(two[2 * i], two[2 * i + 1], 4, 12, 5, 13, 6, 14, 7, 15);
  }
  for (int i = 0; i < 2; ++i) {
    const v128_t low = wasm_i32x4_shuffle(four[2 * i], four[2 * i + 1], 0, 4, 1, 5);
    const v128_t high = wasm_i32x4_shuffle(four[2 * i], four[2 * i + 1], 2, 6, 3, 7);
    wasm_v128_store64_lane(y + (4 * i) * to_step, low, 0);
    wasm_v128_store64_lane(y + (4 * i + 1) * to_step, low, 1);
    wasm_v128_store64_lane(y + (4 * i + 2) * to_step, high, 0);
    wasm_v128_store64_lane(y + (4 * i + 3) * to_step, high, 1);
  }
}

/* Four elements of four rows, as four columns. */
static inline void nn_columns4(nn_floats *columns, const float *x0, const float *x1,
    const float *x2, const float *x3) {
  const v128_t a = wasm_v128_load(x0), b = wasm_v128_load(x1);
  const v128_t c = wasm_v128_load(x2), d = wasm_v128_load(x3);
  const v128_t ab0 = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5);
  const v128_t ab2 = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
  const v128_t cd0 = wasm_i32x4_shuffle(c, d, 0, 4, 1, 5);
  const v128_t cd2 = wasm_i32x4_shuffle(c, d, 2, 6, 3, 7);
  columns[0] = (nn_floats)wasm_i64x2_shuffle(ab0, cd0, 0, 2);
  columns[1] = (nn_floats)wasm_i64x2_shuffle(ab0, cd0, 1, 3);
  columns[2] = (nn_floats)wasm_i64x2_shuffle(ab2, cd2, 0, 2);
  columns[3] = (nn_floats)wasm_i64x2_shuffle(ab2, cd2, 1, 3);
}

/* The same as nn_transpose8() for four elements of 32 bits. */
static inline void nn_transpose4(void *to, int to_step, const void *from, int from_step) {
  float *const y = to;
  const float *const x = from;
  nn_floats columns[4];
  nn_columns4(columns, x, x + from_step, x + 2 * from_step, x + 3 * from_step);
  for (int i = 0; i < 4; ++i) nn_store4(y + i * to_step, columns[i]);
}

/* What weights two bytes and their sum: (4096 * high + low) * a + ... + rest, shifted right. */
static inline v128_t nn_weighted4(v128_t pairs, v128_t high, v128_t low, v128_t rest, int shift) {
  const v128_t above = wasm_i32x4_shl(wasm_i32x4_dot_i16x8(pairs, high), 12);
  const v128_t sum = wasm_i32x4_add(wasm_i32x4_add(above, rest), wasm_i32x4_dot_i16x8(pairs, low));
  return wasm_i32x4_shr(sum, (uint32_t)shift);
}

/* The same for 16 pairs, as bytes. high, low: the factors of a and b in turn. */
static inline v128_t nn_weighted16(
    v128_t a, v128_t b, v128_t high, v128_t low, v128_t rest, int shift) {
  const v128_t a0 = wasm_i16x8_extend_low_i8x16(a), a8 = wasm_i16x8_extend_high_i8x16(a);
  const v128_t b0 = wasm_i16x8_extend_low_i8x16(b), b8 = wasm_i16x8_extend_high_i8x16(b);
  const v128_t p0 = wasm_i16x8_shuffle(a0, b0, 0, 8, 1, 9, 2, 10, 3, 11);
  const v128_t p4 = wasm_i16x8_shuffle(a0, b0, 4, 12, 5, 13, 6, 14, 7, 15);
  const v128_t p8 = wasm_i16x8_shuffle(a8, b8, 0, 8, 1, 9, 2, 10, 3, 11);
  const v128_t p12 = wasm_i16x8_shuffle(a8, b8, 4, 12, 5, 13, 6, 14, 7, 15);
  return nn_bytes4(nn_weighted4(p0, high, low, rest, shift),
      nn_weighted4(p4, high, low, rest, shift), nn_weighted4(p8, high, low, rest, shift),
      nn_weighted4(p12, high, low, rest, shift));
}

#endif
