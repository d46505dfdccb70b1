/* Multiply-accumulate steps in vectors of 8 and 16 lanes, for machines other than WebAssembly.
 *
 * nn_single of simd128.h and nn_quads of relaxed_simd.h, with _x8 or _x16 behind their names.
 * Compilers make a vector of two or four where the machine's are smaller.
 */
#ifndef NN2WASM_NATIVE_SIMD_H
#define NN2WASM_NATIVE_SIMD_H

#include "nn2wasm/relaxed_simd.h"

#pragma GCC diagnostic ignored "-Wpsabi" /* all of it is inlined */

#define NN_LANES(n) \
  typedef int32_t nn_x##n __attribute__((vector_size(4 * n))); \
  typedef int32_t nn_x##n##_loose __attribute__((vector_size(4 * n), aligned(1), may_alias)); \
  typedef float nn_f32x##n __attribute__((vector_size(4 * n))); \
  static inline nn_x##n nn_load_x##n(const void *from) { \
    return (nn_x##n)*(const nn_x##n##_loose *)from; \
  } \
  static inline nn_x##n nn_load32_splat_x##n(const void *from) { \
    int32_t v; \
    memcpy(&v, from, sizeof v); \
    return (nn_x##n){0} + v; \
  } \
  static inline nn_x##n nn_single_load_x##n(const float *w) { return nn_load_x##n(w); } \
  static inline nn_x##n nn_single_add_x##n(nn_x##n sum, nn_x##n x, nn_x##n w) { \
    return (nn_x##n)((nn_f32x##n)sum + (nn_f32x##n)x * (nn_f32x##n)w); \
  }

NN_LANES(8)
NN_LANES(16)

/* Four lanes, from 4 * part on. */
static inline v128_t nn_part_x8(nn_x8 v, int part) {
  return part ? NN_HALF(nn_x8, v, 4, 5, 6, 7) : NN_HALF(nn_x8, v, 0, 1, 2, 3);
}

static inline v128_t nn_part_x16(nn_x16 v, int part) {
  const nn_x8 low = NN_HALF(nn_x16, v, 0, 1, 2, 3, 4, 5, 6, 7);
  const nn_x8 high = NN_HALF(nn_x16, v, 8, 9, 10, 11, 12, 13, 14, 15);
  return nn_part_x8(part < 2 ? low : high, part & 1);
}

static inline nn_x8 nn_quads_load_x8(const int8_t *w) {
  return nn_load_x8(w);
}

static inline nn_x8 nn_quads_add_x8(nn_x8 sum, nn_x8 x, nn_x8 w) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
  return (nn_x8)_mm256_dpbusd_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
#elif defined(__AVXVNNI__)
  return (nn_x8)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
#elif defined(__AVX2__)
  const __m256i a = (__m256i)w, b = (__m256i)x;
  const __m256i even_a = _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8);
  const __m256i even_b = _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8);
  const __m256i even = _mm256_madd_epi16(even_a, even_b);
  const __m256i odd = _mm256_madd_epi16(_mm256_srai_epi16(a, 8), _mm256_srai_epi16(b, 8));
  return (nn_x8)_mm256_add_epi32((__m256i)sum, _mm256_add_epi32(even, odd));
#else
  const v128_t low = nn_quads_add(nn_part_x8(sum, 0), nn_part_x8(x, 0), nn_part_x8(w, 0));
  const v128_t high = nn_quads_add(nn_part_x8(sum, 1), nn_part_x8(x, 1), nn_part_x8(w, 1));
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
#endif
}

#endif
