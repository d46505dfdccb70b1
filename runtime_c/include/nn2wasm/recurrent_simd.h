/* The products of recurrent.h in vectors of four outputs, to the bit.
 *
 * Columns of weights lie behind each other, [depth][step]; `outputs` is a multiple of 4.
 */
#ifndef NN2WASM_RECURRENT_SIMD_H
#define NN2WASM_RECURRENT_SIMD_H

#include "nn2wasm/simd_vectors.h"

/* y[n] += sum_k x[k] * w[k][n] */
static inline void nn_columns_f32(float *restrict y, const float *restrict x,
    const float *restrict w, int outputs, int depth, int step) {
  int n = 0;
  for (; n + 16 <= outputs; n += 16) {
    const float *wk = w + n;
    nn_floats a = nn_splat4(0.0f), b = a, c = a, d = a;
    for (int k = 0; k < depth; ++k, wk += step) {
      const nn_floats v = (nn_floats)wasm_v128_load32_splat(x + k);
      a += v * nn_load4(wk);
      b += v * nn_load4(wk + 4);
      c += v * nn_load4(wk + 8);
      d += v * nn_load4(wk + 12);
    }
    nn_store4(y + n, nn_load4(y + n) + a);
    nn_store4(y + n + 4, nn_load4(y + n + 4) + b);
    nn_store4(y + n + 8, nn_load4(y + n + 8) + c);
    nn_store4(y + n + 12, nn_load4(y + n + 12) + d);
  }
  for (; n < outputs; n += 4) {
    nn_floats sum = nn_splat4(0.0f);
    for (int k = 0; k < depth; ++k) sum += nn_splat4(x[k]) * nn_load4(w + k * step + n);
    nn_store4(y + n, nn_load4(y + n) + sum);
  }
}

/* y[n] += scale[n] * sum_k x[k] * w[k][n] */
static inline void nn_columns_s8(float *restrict y, const float *restrict x,
    const int8_t *restrict w, const float *restrict scale, int outputs, int depth, int step) {
  int n = 0;
  for (; n + 8 <= outputs; n += 8) {
    const int8_t *wk = w + n;
    nn_floats a = nn_splat4(0.0f), b = a;
    for (int k = 0; k < depth; ++k, wk += step) {
      const nn_floats v = (nn_floats)wasm_v128_load32_splat(x + k);
      const v128_t eight = wasm_i16x8_load8x8(wk);
      a += v * nn_low_floats(eight);
      b += v * nn_high_floats(eight);
    }
    nn_store4(y + n, nn_load4(y + n) + a * nn_load4(scale + n));
    nn_store4(y + n + 4, nn_load4(y + n + 4) + b * nn_load4(scale + n + 4));
  }
  for (; n < outputs; n += 4) {
    nn_floats sum = nn_splat4(0.0f);
    for (int k = 0; k < depth; ++k) {
      const v128_t four = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(w + k * step + n));
      sum += nn_splat4(x[k]) * nn_low_floats(four);
    }
    nn_store4(y + n, nn_load4(y + n) + sum * nn_load4(scale + n));
  }
}

#endif
