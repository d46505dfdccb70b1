/* Weights that are kept in fewer bytes than floats have, made floats before a kernel reads them.
 *
 *   w[o][i][n] = (code[o][i][n] - zero[o][n]) * scale[o][n]    in float, for `outer` blocks of
 *                                                              `repeats` rows of `inner` elements
 *
 * Codes of 4 bits: a byte holds those of row i (low) and of row i + repeats / 2 of a block. */
#ifndef NN2WASM_DECODE_H
#define NN2WASM_DECODE_H

#include <stdint.h>

#include "nn2wasm/small_floats.h"

/* Rows of one element: a block is a run of codes that share a scale. */
static inline void nn_decode_run(const int8_t *restrict codes, float scale, int zero, int count, float *restrict w) {
  for (int i = 0; i < count; ++i) w[i] = (float)(codes[i] - zero) * scale;
}

static inline void nn_decode_s8(const int8_t *restrict codes, const float *restrict scales, int zero,
    int outer, int repeats, int inner, float *restrict w) {
  for (int o = 0; o < outer; ++o, scales += inner) {
    if (inner == 1) nn_decode_run(codes + o * repeats, *scales, zero, repeats, w + o * repeats);
    for (int i = 0; inner > 1 && i < repeats; ++i, codes += inner, w += inner) {
      for (int n = 0; n < inner; ++n) w[n] = (float)(codes[n] - zero) * scales[n];
    }
  }
}

static inline void nn_decode_s8_zeros(const int8_t *restrict codes, const float *restrict scales,
    const int8_t *restrict zeros, int outer, int repeats, int inner, float *restrict w) {
  for (int o = 0; o < outer; ++o, scales += inner, zeros += inner) {
    if (inner == 1) nn_decode_run(codes + o * repeats, *scales, *zeros, repeats, w + o * repeats);
    for (int i = 0; inner > 1 && i < repeats; ++i, codes += inner, w += inner) {
      for (int n = 0; n < inner; ++n) w[n] = (float)(codes[n] - zeros[n]) * scales[n];
    }
  }
}

static inline void nn_decode_s4(const uint8_t *restrict codes, const float *restrict scales, int zero,
    int outer, int repeats, int inner, float *restrict w) {
  const int half = repeats / 2 * inner;
  for (int o = 0; o < outer; ++o, scales += inner, codes += half, w += 2 * half) {
    for (int at = 0; at < half; at += inner) {
      for (int n = 0; n < inner; ++n) {
        const int code = codes[at + n];
        w[at + n] = (float)((code & 15) - zero) * scales[n];
        w[at + n + half] = (float)((code >> 4) - zero) * scales[n];
      }
    }
  }
}

static inline void nn_decode_s4_zeros(const uint8_t *restrict codes, const float *restrict scales,
    const int8_t *restrict zeros, int outer, int repeats, int inner, float *restrict w) {
  const int half = repeats / 2 * inner;
  for (int o = 0; o < outer; ++o, scales += inner, zeros += inner, codes += half, w += 2 * half) {
    for (int at = 0; at < half; at += inner) {
      for (int n = 0; n < inner; ++n) {
        const int code = codes[at + n];
        w[at + n] = (float)((code & 15) - zeros[n]) * scales[n];
        w[at + n + half] = (float)((code >> 4) - zeros[n]) * scales[n];
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
