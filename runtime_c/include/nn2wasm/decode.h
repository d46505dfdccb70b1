/* Weights that are kept in fewer bytes than floats have, made floats before a kernel reads them.
 *
 *   w[o][i][n] = (code[o][i][n] - zero[o][n]) * scale[o][n]      in float, for `outer` blocks of
 *                                                                `count` rows of `inner` elements
 *
 * Codes of 4 bits: a byte holds those of row i (low) and of row i + count / 2 of a block. */
#ifndef NN2WASM_DECODE_H
#define NN2WASM_DECODE_H

#include <stdint.h>

#include "nn2wasm/small_floats.h"

static inline void nn_decode_s8(const int8_t *restrict codes, const float *restrict scales, int zero,
    int outer, int count, int inner, float *restrict w) {
  for (int o = 0; o < outer; ++o, scales += inner) {
    if (inner == 1) {
      const float scale = *scales;
      for (int i = 0; i < count; ++i) w[i] = (float)(codes[i] - zero) * scale;
      codes += count;
      w += count;
      continue;
    }
    for (int i = 0; i < count; ++i, codes += inner, w += inner) {
      for (int n = 0; n < inner; ++n) w[n] = (float)(codes[n] - zero) * scales[n];
    }
  }
}

static inline void nn_decode_s8_zeros(const int8_t *restrict codes, const float *restrict scales,
    const int8_t *restrict zeros, int outer, int count, int inner, float *restrict w) {
  for (int o = 0; o < outer; ++o, scales += inner, zeros += inner) {
    if (inner == 1) {
      const float scale = *scales;
      const int zero = *zeros;
      for (int i = 0; i < count; ++i) w[i] = (float)(codes[i] - zero) * scale;
      codes += count;
      w += count;
      continue;
    }
    for (int i = 0; i < count; ++i, codes += inner, w += inner) {
      for (int n = 0; n < inner; ++n) w[n] = (float)(codes[n] - zeros[n]) * scales[n];
    }
  }
}

static inline void nn_decode_s4(const uint8_t *restrict codes, const float *restrict scales, int zero,
    int outer, int count, int inner, float *restrict w) {
  const int half = count / 2 * inner;
  for (int o = 0; o < outer; ++o, scales += inner, codes += half, w += 2 * half) {
    for (int at = 0; at < half; at += inner) {
      for (int n = 0; n < inner; ++n) {
        const float scale = scales[n];
        const int code = codes[at + n];
        w[at + n] = (float)((code & 15) - zero) * scale;
        w[at + n + half] = (float)((code >> 4) - zero) * scale;
      }
    }
  }
}

static inline void nn_decode_s4_zeros(const uint8_t *restrict codes, const float *restrict scales,
    const int8_t *restrict zeros, int outer, int count, int inner, float *restrict w) {
  const int half = count / 2 * inner;
  for (int o = 0; o < outer; ++o, scales += inner, zeros += inner, codes += half, w += 2 * half) {
    for (int at = 0; at < half; at += inner) {
      for (int n = 0; n < inner; ++n) {
        const float scale = scales[n];
        const int code = codes[at + n], zero = zeros[n];
        w[at + n] = (float)((code & 15) - zero) * scale;
        w[at + n + half] = (float)((code >> 4) - zero) * scale;
      }
    }
  }
}

static inline void nn_decode_f16(const uint16_t *restrict codes, int count, float *restrict w) {
  for (int i = 0; i < count; ++i) w[i] = nn_float_of_f16(codes[i]);
}

static inline void nn_decode_bf16(const uint16_t *restrict codes, int count, float *restrict w) {
  for (int i = 0; i < count; ++i) w[i] = nn_float_of_bf16(codes[i]);
}

#endif
