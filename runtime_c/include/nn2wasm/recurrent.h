/* Products of a matrix and a line, added to what is there: a step of a recurrent network.
 *
 * Rows of weights lie behind each other, [outputs][depth]; four sums run side by side. Weights of 8
 * bits have a scale for each output, which their sum is multiplied by.
 */
#ifndef NN2WASM_RECURRENT_H
#define NN2WASM_RECURRENT_H

#include <stdint.h>

/* y[n] += sum_k x[k] * w[n][k] */
static inline void nn_products_f32(
    float *restrict y, const float *restrict x, const float *restrict w, int outputs, int depth) {
  int n = 0;
  for (; n + 4 <= outputs; n += 4, w += 4 * depth) {
    float a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
    for (int k = 0; k < depth; ++k) {
      const float v = x[k];
      a += v * w[k];
      b += v * w[k + depth];
      c += v * w[k + 2 * depth];
      d += v * w[k + 3 * depth];
    }
    y[n] += a;
    y[n + 1] += b;
    y[n + 2] += c;
    y[n + 3] += d;
  }
  for (; n < outputs; ++n, w += depth) {
    float sum = 0.0f;
    for (int k = 0; k < depth; ++k) sum += x[k] * w[k];
    y[n] += sum;
  }
}

/* y[n] += scale[n] * sum_k x[k] * w[n][k] */
static inline void nn_products_s8(float *restrict y, const float *restrict x,
    const int8_t *restrict w, const float *restrict scale, int outputs, int depth) {
  int n = 0;
  for (; n + 4 <= outputs; n += 4, w += 4 * depth) {
    float a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
    for (int k = 0; k < depth; ++k) {
      const float v = x[k];
      a += v * (float)w[k];
      b += v * (float)w[k + depth];
      c += v * (float)w[k + 2 * depth];
      d += v * (float)w[k + 3 * depth];
    }
    y[n] += a * scale[n];
    y[n + 1] += b * scale[n + 1];
    y[n + 2] += c * scale[n + 2];
    y[n + 3] += d * scale[n + 3];
  }
  for (; n < outputs; ++n, w += depth) {
    float sum = 0.0f;
    for (int k = 0; k < depth; ++k) sum += x[k] * (float)w[k];
    y[n] += sum * scale[n];
  }
}

#endif
