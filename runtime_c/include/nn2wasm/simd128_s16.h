/* The form nn_shorts of simd128.h's multiply-accumulate steps: 2 inputs of 16 bits a step, weights
 * of 8 bits. Sums are exact where none can leave 32 bits, which is proven for each layer.
 */
#ifndef NN2WASM_SIMD128_S16_H
#define NN2WASM_SIMD128_S16_H

#include "nn2wasm/simd128.h"

static inline v128_t nn_shorts_load(const int8_t *w) {
  return nn_pairs_load(w);
}

static inline v128_t nn_shorts_add(v128_t acc, v128_t x, v128_t w) {
  return nn_pairs_add(acc, x, w);
}

static inline void nn_shorts_stage(int16_t *to, const int16_t *from, int n) {
  memcpy(to, from, (size_t)n * sizeof *to);
}

static inline void nn_shorts_fill(int16_t *to, int value, int n) {
  nn_pairs_fill(to, value, n);
}

static inline void nn_shorts_join(
    int16_t *to, int block, const int16_t *a, const int16_t *b, int columns, int c) {
  int n = 0;
  for (; n + 8 <= c; n += 8, to += 2 * block) {
    for (int i = 0; i < columns; ++i) {
      const v128_t va = wasm_v128_load(a + i * c + n), vb = wasm_v128_load(b + i * c + n);
      wasm_v128_store(to + i * 8, wasm_i16x8_shuffle(va, vb, 0, 8, 1, 9, 2, 10, 3, 11));
      wasm_v128_store(to + i * 8 + block, wasm_i16x8_shuffle(va, vb, 4, 12, 5, 13, 6, 14, 7, 15));
    }
  }
  for (; n < c; ++n, to += n % 4 ? 2 : block - 6) {
    for (int i = 0; i < columns; ++i) {
      to[i * 8] = a[i * c + n];
      to[i * 8 + 1] = b[i * c + n];
    }
  }
}

/* The first integers of 16 bits of a vector, of which there are n: at most four. */
static inline void nn_put_shorts(int16_t *to, v128_t v, int n) {
  for (; n > 0; --n, ++to) {
    wasm_v128_store16_lane(to, v, 0);
    v = wasm_i16x8_shuffle(v, v, 1, 2, 3, 4, 5, 6, 7, 7);
  }
}

static inline v128_t nn_clamp_shorts(v128_t v, int lo, int hi) {
  const v128_t above = wasm_i16x8_max(v, wasm_i16x8_splat((int16_t)lo));
  return wasm_i16x8_min(above, wasm_i16x8_splat((int16_t)hi));
}

#endif
