/* The intrinsics of wasm_simd128.h that kernels use, for machines other than WebAssembly.
 *
 * Each does what its instruction does, to the bit: C of gcc's and clang's vectors, and an
 * intrinsic of the machine where compilers would not find the instruction by themselves.
 * Memory needs no alignment. Only relaxed operations leave anything open, and these are exact.
 */
#ifndef NN2WASM_WASM_SIMD128_PORTABLE_H
#define NN2WASM_WASM_SIMD128_PORTABLE_H

#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSSE3__)
#include <tmmintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

typedef int32_t v128_t __attribute__((vector_size(16)));
typedef int32_t nn_i32x4_loose __attribute__((vector_size(16), aligned(1), may_alias));
typedef int8_t nn_i8x8 __attribute__((vector_size(8)));
typedef int8_t nn_i8x16 __attribute__((vector_size(16)));
typedef uint8_t nn_u8x16 __attribute__((vector_size(16)));
typedef int16_t nn_i16x4 __attribute__((vector_size(8)));
typedef int16_t nn_i16x8 __attribute__((vector_size(16)));
typedef uint16_t nn_u16x8 __attribute__((vector_size(16)));
typedef uint32_t nn_u32x4 __attribute__((vector_size(16)));
typedef int64_t nn_i64x2 __attribute__((vector_size(16)));
typedef float nn_f32x4 __attribute__((vector_size(16)));

/* Memory. */

static inline v128_t wasm_v128_load(const void *from) {
  return (v128_t)*(const nn_i32x4_loose *)from;
}

static inline void wasm_v128_store(void *to, v128_t v) {
  *(nn_i32x4_loose *)to = (nn_i32x4_loose)v;
}

static inline v128_t wasm_v128_load8_splat(const void *from) {
  int8_t v;
  memcpy(&v, from, sizeof v);
  return (v128_t)(nn_i8x16){v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
}

static inline v128_t wasm_v128_load32_splat(const void *from) {
  int32_t v;
  memcpy(&v, from, sizeof v);
  return (v128_t){v, v, v, v};
}

static inline v128_t wasm_v128_load32_zero(const void *from) {
  int32_t v;
  memcpy(&v, from, sizeof v);
  return (v128_t){v, 0, 0, 0};
}

static inline v128_t wasm_v128_load64_zero(const void *from) {
  int64_t v;
  memcpy(&v, from, sizeof v);
  return (v128_t)(nn_i64x2){v, 0};
}

static inline v128_t wasm_i16x8_load8x8(const void *from) {
  nn_i8x8 v;
  memcpy(&v, from, sizeof v);
  return (v128_t)__builtin_convertvector(v, nn_i16x8);
}

static inline v128_t wasm_v128_load8_lane(const void *from, v128_t v, int lane) {
  nn_i8x16 lanes = (nn_i8x16)v;
  lanes[lane] = *(const int8_t *)from;
  return (v128_t)lanes;
}

static inline void wasm_v128_store8_lane(void *to, v128_t v, int lane) {
  const int8_t one = ((nn_i8x16)v)[lane];
  memcpy(to, &one, sizeof one);
}

static inline void wasm_v128_store16_lane(void *to, v128_t v, int lane) {
  const int16_t one = ((nn_i16x8)v)[lane];
  memcpy(to, &one, sizeof one);
}

static inline void wasm_v128_store32_lane(void *to, v128_t v, int lane) {
  const int32_t one = v[lane];
  memcpy(to, &one, sizeof one);
}

static inline void wasm_v128_store64_lane(void *to, v128_t v, int lane) {
  const int64_t one = ((nn_i64x2)v)[lane];
  memcpy(to, &one, sizeof one);
}

/* Lanes. */

static inline v128_t wasm_i8x16_splat(int8_t v) {
  return (v128_t)(nn_i8x16){v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
}

static inline v128_t wasm_i16x8_splat(int16_t v) {
  return (v128_t)(nn_i16x8){v, v, v, v, v, v, v, v};
}

static inline v128_t wasm_i32x4_splat(int32_t v) {
  return (v128_t){v, v, v, v};
}

static inline v128_t wasm_f32x4_splat(float v) {
  return (v128_t)(nn_f32x4){v, v, v, v};
}

#define wasm_i8x16_const_splat wasm_i8x16_splat
#define wasm_i16x8_const_splat wasm_i16x8_splat
#define wasm_i32x4_const_splat wasm_i32x4_splat
#define wasm_f32x4_const_splat wasm_f32x4_splat

static inline int8_t wasm_i8x16_extract_lane(v128_t v, int lane) {
  return ((nn_i8x16)v)[lane];
}

static inline int32_t wasm_i32x4_extract_lane(v128_t v, int lane) {
  return v[lane];
}

static inline float wasm_f32x4_extract_lane(v128_t v, int lane) {
  return ((nn_f32x4)v)[lane];
}

#define NN_SHUFFLE(type, a, b, ...) \
  ((v128_t)__builtin_shufflevector((type)(a), (type)(b), __VA_ARGS__))
#define wasm_i8x16_shuffle(a, b, ...) NN_SHUFFLE(nn_i8x16, a, b, __VA_ARGS__)
#define wasm_i16x8_shuffle(a, b, ...) NN_SHUFFLE(nn_i16x8, a, b, __VA_ARGS__)
#define wasm_i32x4_shuffle(a, b, ...) NN_SHUFFLE(v128_t, a, b, __VA_ARGS__)
#define wasm_i64x2_shuffle(a, b, ...) NN_SHUFFLE(nn_i64x2, a, b, __VA_ARGS__)

static inline v128_t wasm_i8x16_swizzle(v128_t v, v128_t lanes) {
#if defined(__SSSE3__) /* looks at the top bit and the low four */
  return (v128_t)_mm_shuffle_epi8((__m128i)v, _mm_adds_epu8((__m128i)lanes, _mm_set1_epi8(0x70)));
#elif defined(__aarch64__)
  return (v128_t)vqtbl1q_s8((int8x16_t)v, (uint8x16_t)lanes);
#else
  nn_i8x16 to;
  for (int i = 0; i < 16; ++i) {
    const uint8_t from = ((nn_u8x16)lanes)[i];
    to[i] = (int8_t)(from < 16 ? ((nn_i8x16)v)[from & 15] : 0);
  }
  return (v128_t)to;
#endif
}

/* Bits. */

static inline v128_t wasm_v128_and(v128_t a, v128_t b) {
  return a & b;
}

static inline v128_t wasm_v128_or(v128_t a, v128_t b) {
  return a | b;
}

static inline v128_t wasm_v128_xor(v128_t a, v128_t b) {
  return a ^ b;
}

static inline v128_t wasm_v128_bitselect(v128_t a, v128_t b, v128_t mask) {
  return (a & mask) | (b & ~mask);
}

/* Integers: they wrap. */

static inline v128_t wasm_i16x8_add(v128_t a, v128_t b) {
  return (v128_t)((nn_u16x8)a + (nn_u16x8)b);
}

static inline v128_t wasm_i16x8_sub(v128_t a, v128_t b) {
  return (v128_t)((nn_u16x8)a - (nn_u16x8)b);
}

static inline v128_t wasm_i32x4_add(v128_t a, v128_t b) {
  return (v128_t)((nn_u32x4)a + (nn_u32x4)b);
}

static inline v128_t wasm_i32x4_sub(v128_t a, v128_t b) {
  return (v128_t)((nn_u32x4)a - (nn_u32x4)b);
}

static inline v128_t wasm_i32x4_shl(v128_t v, uint32_t n) {
  return (v128_t)((nn_u32x4)v << (n & 31));
}

static inline v128_t wasm_i32x4_shr(v128_t v, uint32_t n) {
  return v >> (int32_t)(n & 31);
}

static inline v128_t wasm_u32x4_shr(v128_t v, uint32_t n) {
  return (v128_t)((nn_u32x4)v >> (n & 31));
}

static inline v128_t wasm_i32x4_gt(v128_t a, v128_t b) {
  return a > b;
}

static inline v128_t wasm_i8x16_min(v128_t a, v128_t b) {
  return wasm_v128_bitselect(a, b, (v128_t)((nn_i8x16)a < (nn_i8x16)b));
}

static inline v128_t wasm_i8x16_max(v128_t a, v128_t b) {
  return wasm_v128_bitselect(a, b, (v128_t)((nn_i8x16)a > (nn_i8x16)b));
}

static inline v128_t wasm_i16x8_extend_low_i8x16(v128_t v) {
  const nn_i8x16 all = (nn_i8x16)v;
  const nn_i8x8 half = __builtin_shufflevector(all, all, 0, 1, 2, 3, 4, 5, 6, 7);
  return (v128_t)__builtin_convertvector(half, nn_i16x8);
}

static inline v128_t wasm_i16x8_extend_high_i8x16(v128_t v) {
  const nn_i8x16 all = (nn_i8x16)v;
  const nn_i8x8 half = __builtin_shufflevector(all, all, 8, 9, 10, 11, 12, 13, 14, 15);
  return (v128_t)__builtin_convertvector(half, nn_i16x8);
}

static inline v128_t wasm_i32x4_extend_low_i16x8(v128_t v) {
  const nn_i16x8 all = (nn_i16x8)v;
  return __builtin_convertvector(__builtin_shufflevector(all, all, 0, 1, 2, 3), v128_t);
}

static inline v128_t wasm_i32x4_extend_high_i16x8(v128_t v) {
  const nn_i16x8 all = (nn_i16x8)v;
  return __builtin_convertvector(__builtin_shufflevector(all, all, 4, 5, 6, 7), v128_t);
}

static inline v128_t wasm_i32x4_extmul_low_i16x8(v128_t a, v128_t b) {
  return wasm_i32x4_extend_low_i16x8(a) * wasm_i32x4_extend_low_i16x8(b);
}

static inline v128_t wasm_i32x4_extmul_high_i16x8(v128_t a, v128_t b) {
  return wasm_i32x4_extend_high_i16x8(a) * wasm_i32x4_extend_high_i16x8(b);
}

#if defined(__SSE2__)
static inline v128_t wasm_i16x8_narrow_i32x4(v128_t a, v128_t b) {
  return (v128_t)_mm_packs_epi32((__m128i)a, (__m128i)b);
}

static inline v128_t wasm_i8x16_narrow_i16x8(v128_t a, v128_t b) {
  return (v128_t)_mm_packs_epi16((__m128i)a, (__m128i)b);
}

static inline v128_t wasm_i32x4_dot_i16x8(v128_t a, v128_t b) {
  return (v128_t)_mm_madd_epi16((__m128i)a, (__m128i)b);
}
#elif defined(__aarch64__)
static inline v128_t wasm_i16x8_narrow_i32x4(v128_t a, v128_t b) {
  return (v128_t)vqmovn_high_s32(vqmovn_s32((int32x4_t)a), (int32x4_t)b);
}

static inline v128_t wasm_i8x16_narrow_i16x8(v128_t a, v128_t b) {
  return (v128_t)vqmovn_high_s16(vqmovn_s16((int16x8_t)a), (int16x8_t)b);
}

static inline v128_t wasm_i32x4_dot_i16x8(v128_t a, v128_t b) {
  const int16x8_t x = (int16x8_t)a, y = (int16x8_t)b;
  return (v128_t)vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
}
#else
static inline v128_t wasm_i16x8_narrow_i32x4(v128_t a, v128_t b) {
  nn_i16x8 to;
  for (int i = 0; i < 8; ++i) {
    const int32_t v = i < 4 ? a[i & 3] : b[i & 3];
    to[i] = (int16_t)(v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : v);
  }
  return (v128_t)to;
}

static inline v128_t wasm_i8x16_narrow_i16x8(v128_t a, v128_t b) {
  nn_i8x16 to;
  for (int i = 0; i < 16; ++i) {
    const int16_t v = i < 8 ? ((nn_i16x8)a)[i & 7] : ((nn_i16x8)b)[i & 7];
    to[i] = (int8_t)(v < INT8_MIN ? INT8_MIN : v > INT8_MAX ? INT8_MAX : v);
  }
  return (v128_t)to;
}

static inline v128_t wasm_i32x4_dot_i16x8(v128_t a, v128_t b) {
  const nn_u32x4 x = (nn_u32x4)a, y = (nn_u32x4)b;
  const nn_u32x4 even = (nn_u32x4)((v128_t)(x << 16) >> 16) * (nn_u32x4)((v128_t)(y << 16) >> 16);
  return (v128_t)(even + (nn_u32x4)(a >> 16) * (nn_u32x4)(b >> 16));
}
#endif

/* Four products of bytes a lane, exact. The second operand is unsigned where the machine has that;
   __AVX512VL__ comes with instructions for 128 bits. */
static inline v128_t wasm_i32x4_relaxed_dot_i8x16_i7x16_add(v128_t a, v128_t b, v128_t sum) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
  return (v128_t)_mm_dpbusd_epi32((__m128i)sum, (__m128i)b, (__m128i)a);
#elif defined(__AVXVNNI__)
  return (v128_t)_mm_dpbusd_avx_epi32((__m128i)sum, (__m128i)b, (__m128i)a);
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
  return (v128_t)vdotq_s32((int32x4_t)sum, (int8x16_t)a, (int8x16_t)b);
#else
  const nn_i16x8 even_a = (nn_i16x8)((nn_u16x8)a << 8) >> 8, odd_a = (nn_i16x8)a >> 8;
  const nn_i16x8 even_b = (nn_i16x8)((nn_u16x8)b << 8) >> 8, odd_b = (nn_i16x8)b >> 8;
  const v128_t even = wasm_i32x4_dot_i16x8((v128_t)even_a, (v128_t)even_b);
  const v128_t odd = wasm_i32x4_dot_i16x8((v128_t)odd_a, (v128_t)odd_b);
  return wasm_i32x4_add(sum, wasm_i32x4_add(even, odd));
#endif
}

/* Floats: each result rounded by itself. */

static inline v128_t wasm_f32x4_convert_i32x4(v128_t v) {
  return (v128_t)__builtin_convertvector(v, nn_f32x4);
}

static inline v128_t wasm_f32x4_add(v128_t a, v128_t b) {
  return (v128_t)((nn_f32x4)a + (nn_f32x4)b);
}

static inline v128_t wasm_f32x4_mul(v128_t a, v128_t b) {
  return (v128_t)((nn_f32x4)a * (nn_f32x4)b);
}

static inline v128_t wasm_f32x4_relaxed_madd(v128_t a, v128_t b, v128_t sum) {
  return wasm_f32x4_add(wasm_f32x4_mul(a, b), sum);
}

static inline v128_t wasm_f32x4_abs(v128_t v) {
  return v & wasm_i32x4_splat(INT32_MAX);
}

static inline v128_t wasm_f32x4_sqrt(v128_t v) {
  nn_f32x4 to = (nn_f32x4)v;
  for (int i = 0; i < 4; ++i) to[i] = __builtin_sqrtf(to[i]);
  return (v128_t)to;
}

/* b < a ? b : a */
static inline v128_t wasm_f32x4_pmin(v128_t a, v128_t b) {
#if defined(__SSE2__)
  return (v128_t)_mm_min_ps((__m128)b, (__m128)a);
#else
  return wasm_v128_bitselect(b, a, (v128_t)((nn_f32x4)b < (nn_f32x4)a));
#endif
}

/* a < b ? b : a */
static inline v128_t wasm_f32x4_pmax(v128_t a, v128_t b) {
#if defined(__SSE2__)
  return (v128_t)_mm_max_ps((__m128)b, (__m128)a);
#else
  return wasm_v128_bitselect(b, a, (v128_t)((nn_f32x4)a < (nn_f32x4)b));
#endif
}

#endif
