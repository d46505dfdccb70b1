/* Multiply-accumulate steps in vectors of 8 and 16 lanes, for machines other than WebAssembly.
 *
 * The forms of simd128.h and relaxed_simd.h that functions exist for, with _x8 or _x16 behind their
 * names. Compilers make a vector of two or four where the machine's are smaller.
 */
#ifndef NN2WASM_NATIVE_SIMD_H
#define NN2WASM_NATIVE_SIMD_H

#include "nn2wasm/relaxed_simd.h"

#pragma GCC diagnostic ignored "-Wpsabi" /* all of it is inlined */

typedef int32_t nn_x8 __attribute__((vector_size(32)));
typedef int32_t nn_x8_loose __attribute__((vector_size(32), aligned(1), may_alias));
typedef float nn_f32x8 __attribute__((vector_size(32)));
typedef int32_t nn_x16 __attribute__((vector_size(64)));
typedef int32_t nn_x16_loose __attribute__((vector_size(64), aligned(1), may_alias));
typedef float nn_f32x16 __attribute__((vector_size(64)));

static inline nn_x8 nn_load_x8(const void *from) {
  return (nn_x8)*(const nn_x8_loose *)from;
}

static inline nn_x8 nn_load32_splat_x8(const void *from) {
  int32_t v;
  memcpy(&v, from, sizeof v);
  return (nn_x8){v, v, v, v, v, v, v, v};
}

static inline v128_t nn_low_x8(nn_x8 v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3);
}

static inline v128_t nn_high_x8(nn_x8 v) {
  return __builtin_shufflevector(v, v, 4, 5, 6, 7);
}

static inline nn_x8 nn_single_load_x8(const float *w) {
  return nn_load_x8(w);
}

static inline nn_x8 nn_single_add_x8(nn_x8 sum, nn_x8 x, nn_x8 w) {
  return (nn_x8)((nn_f32x8)sum + (nn_f32x8)x * (nn_f32x8)w);
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
  const v128_t low = nn_quads_add(nn_low_x8(sum), nn_low_x8(x), nn_low_x8(w));
  const v128_t high = nn_quads_add(nn_high_x8(sum), nn_high_x8(x), nn_high_x8(w));
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
#endif
}

static inline nn_x16 nn_load_x16(const void *from) {
  return (nn_x16)*(const nn_x16_loose *)from;
}

static inline nn_x16 nn_load32_splat_x16(const void *from) {
  int32_t v;
  memcpy(&v, from, sizeof v);
  return (nn_x16){v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
}

static inline nn_x8 nn_low_x16(nn_x16 v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
}

static inline nn_x8 nn_high_x16(nn_x16 v) {
  return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
}

static inline nn_x16 nn_single_load_x16(const float *w) {
  return nn_load_x16(w);
}

static inline nn_x16 nn_single_add_x16(nn_x16 sum, nn_x16 x, nn_x16 w) {
  return (nn_x16)((nn_f32x16)sum + (nn_f32x16)x * (nn_f32x16)w);
}

/* Four lanes, from 4 * part on. */
static inline v128_t nn_part_x8(nn_x8 v, int part) {
  return part ? nn_high_x8(v) : nn_low_x8(v);
}

static inline v128_t nn_part_x16(nn_x16 v, int part) {
  return nn_part_x8(part < 2 ? nn_low_x16(v) : nn_high_x16(v), part & 1);
}

#endif
