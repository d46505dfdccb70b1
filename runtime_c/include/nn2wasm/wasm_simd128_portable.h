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

#define NN_UNARY(name, result) \
  static inline v128_t wasm_##name(v128_t a) { return (v128_t)(result); }
#define NN_BINARY(name, result) \
  static inline v128_t wasm_##name(v128_t a, v128_t b) { return (v128_t)(result); }
#define NN_SHIFT(name, result) \
  static inline v128_t wasm_##name(v128_t a, uint32_t n) { return (v128_t)(result); }
#define NN_SPLAT(name, vector, item) \
  static inline v128_t wasm_##name(item v) { return (v128_t)((vector){0} + v); }
#define NN_LOAD(name, item, result) \
  static inline v128_t wasm_##name(const void *from) { \
    item v; \
    memcpy(&v, from, sizeof v); \
    return (v128_t)(result); \
  }
#define NN_STORE_LANE(name, vector, item) \
  static inline void wasm_##name(void *to, v128_t v, int lane) { \
    const item one = ((vector)v)[lane]; \
    memcpy(to, &one, sizeof one); \
  }
#define NN_EXTRACT_LANE(name, vector, item) \
  static inline item wasm_##name(v128_t v, int lane) { return ((vector)v)[lane]; }
#define NN_SHUFFLE(vector, a, b, ...) \
  ((v128_t)__builtin_shufflevector((vector)(a), (vector)(b), __VA_ARGS__))

/* Memory. */

static inline v128_t wasm_v128_load(const void *from) {
  return (v128_t)*(const nn_i32x4_loose *)from;
}

static inline void wasm_v128_store(void *to, v128_t v) {
  *(nn_i32x4_loose *)to = (nn_i32x4_loose)v;
}

static inline v128_t wasm_v128_load8_lane(const void *from, v128_t v, int lane) {
  nn_i8x16 lanes = (nn_i8x16)v;
  lanes[lane] = *(const int8_t *)from;
  return (v128_t)lanes;
}

NN_LOAD(v128_load8_splat, int8_t, (nn_i8x16){0} + v)
NN_LOAD(v128_load32_splat, int32_t, (v128_t){0} + v)
NN_LOAD(v128_load32_zero, int32_t, ((v128_t){v, 0, 0, 0}))
NN_LOAD(v128_load64_zero, int64_t, ((nn_i64x2){v, 0}))
NN_LOAD(i16x8_load8x8, nn_i8x8, __builtin_convertvector(v, nn_i16x8))
NN_STORE_LANE(v128_store8_lane, nn_i8x16, int8_t)
NN_STORE_LANE(v128_store16_lane, nn_i16x8, int16_t)
NN_STORE_LANE(v128_store32_lane, v128_t, int32_t)
NN_STORE_LANE(v128_store64_lane, nn_i64x2, int64_t)

/* Lanes. */

NN_SPLAT(i8x16_splat, nn_i8x16, int8_t)
NN_SPLAT(i16x8_splat, nn_i16x8, int16_t)
NN_SPLAT(i32x4_splat, v128_t, int32_t)

static inline v128_t wasm_f32x4_splat(float v) { /* -0 stays what it is */
  return (v128_t)(nn_f32x4){v, v, v, v};
}

#define wasm_i8x16_const_splat wasm_i8x16_splat
#define wasm_i16x8_const_splat wasm_i16x8_splat
#define wasm_i32x4_const_splat wasm_i32x4_splat
#define wasm_f32x4_const_splat wasm_f32x4_splat
NN_EXTRACT_LANE(i8x16_extract_lane, nn_i8x16, int8_t)
NN_EXTRACT_LANE(i32x4_extract_lane, v128_t, int32_t)
NN_EXTRACT_LANE(f32x4_extract_lane, nn_f32x4, float)
#define wasm_i8x16_shuffle(a, b, ...) NN_SHUFFLE(nn_i8x16, a, b, __VA_ARGS__)
#define wasm_i16x8_shuffle(a, b, ...) NN_SHUFFLE(nn_i16x8, a, b, __VA_ARGS__)
#define wasm_i32x4_shuffle(a, b, ...) NN_SHUFFLE(v128_t, a, b, __VA_ARGS__)
#define wasm_i64x2_shuffle(a, b, ...) NN_SHUFFLE(nn_i64x2, a, b, __VA_ARGS__)

/* Bits. */

NN_BINARY(v128_and, a & b)
NN_BINARY(v128_or, a | b)
NN_BINARY(v128_xor, a ^ b)

static inline v128_t wasm_v128_bitselect(v128_t a, v128_t b, v128_t mask) {
  return (a & mask) | (b & ~mask);
}

/* Integers: they wrap. */

NN_BINARY(i16x8_add, (nn_u16x8)a + (nn_u16x8)b)
NN_BINARY(i16x8_sub, (nn_u16x8)a - (nn_u16x8)b)
NN_BINARY(i32x4_add, (nn_u32x4)a + (nn_u32x4)b)
NN_BINARY(i32x4_sub, (nn_u32x4)a - (nn_u32x4)b)
NN_SHIFT(i32x4_shl, (nn_u32x4)a << (n & 31))
NN_SHIFT(i32x4_shr, a >> (int32_t)(n & 31))
NN_SHIFT(u32x4_shr, (nn_u32x4)a >> (n & 31))
NN_BINARY(i32x4_gt, a > b)
NN_BINARY(i16x8_min, wasm_v128_bitselect(a, b, (v128_t)((nn_i16x8)a < (nn_i16x8)b)))
NN_BINARY(i16x8_max, wasm_v128_bitselect(a, b, (v128_t)((nn_i16x8)a > (nn_i16x8)b)))
NN_BINARY(i8x16_min, wasm_v128_bitselect(a, b, (v128_t)((nn_i8x16)a < (nn_i8x16)b)))
NN_BINARY(i8x16_max, wasm_v128_bitselect(a, b, (v128_t)((nn_i8x16)a > (nn_i8x16)b)))

#define NN_HALF(vector, a, ...) __builtin_shufflevector((vector)(a), (vector)(a), __VA_ARGS__)
#define NN_LOW8(a) NN_HALF(nn_i8x16, a, 0, 1, 2, 3, 4, 5, 6, 7)
#define NN_HIGH8(a) NN_HALF(nn_i8x16, a, 8, 9, 10, 11, 12, 13, 14, 15)
NN_UNARY(i16x8_extend_low_i8x16, __builtin_convertvector(NN_LOW8(a), nn_i16x8))
NN_UNARY(i16x8_extend_high_i8x16, __builtin_convertvector(NN_HIGH8(a), nn_i16x8))
NN_UNARY(i32x4_extend_low_i16x8,
    __builtin_convertvector(NN_HALF(nn_i16x8, a, 0, 1, 2, 3), v128_t))
NN_UNARY(i32x4_extend_high_i16x8,
    __builtin_convertvector(NN_HALF(nn_i16x8, a, 4, 5, 6, 7), v128_t))
NN_BINARY(i32x4_extmul_low_i16x8,
    wasm_i32x4_extend_low_i16x8(a) * wasm_i32x4_extend_low_i16x8(b))
NN_BINARY(i32x4_extmul_high_i16x8,
    wasm_i32x4_extend_high_i16x8(a) * wasm_i32x4_extend_high_i16x8(b))

#if defined(__SSE2__)
NN_BINARY(i16x8_narrow_i32x4, _mm_packs_epi32((__m128i)a, (__m128i)b))
NN_BINARY(i8x16_narrow_i16x8, _mm_packs_epi16((__m128i)a, (__m128i)b))
NN_BINARY(i32x4_dot_i16x8, _mm_madd_epi16((__m128i)a, (__m128i)b))
#elif defined(__aarch64__)
NN_BINARY(i16x8_narrow_i32x4, vqmovn_high_s32(vqmovn_s32((int32x4_t)a), (int32x4_t)b))
NN_BINARY(i8x16_narrow_i16x8, vqmovn_high_s16(vqmovn_s16((int16x8_t)a), (int16x8_t)b))
NN_BINARY(i32x4_dot_i16x8,
    vpaddq_s32(vmull_s16(vget_low_s16((int16x8_t)a), vget_low_s16((int16x8_t)b)),
        vmull_high_s16((int16x8_t)a, (int16x8_t)b)))
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

NN_BINARY(i32x4_dot_i16x8,
    (nn_u32x4)wasm_i32x4_shr(wasm_i32x4_shl(a, 16), 16)
            * (nn_u32x4)wasm_i32x4_shr(wasm_i32x4_shl(b, 16), 16)
        + (nn_u32x4)(a >> 16) * (nn_u32x4)(b >> 16))
#endif

#if defined(__SSSE3__) /* looks at the top bit and the low four */
NN_BINARY(i8x16_swizzle, _mm_shuffle_epi8((__m128i)a, _mm_adds_epu8((__m128i)b, _mm_set1_epi8(0x70))))
#elif defined(__aarch64__)
NN_BINARY(i8x16_swizzle, vqtbl1q_s8((int8x16_t)a, (uint8x16_t)b))
#else
static inline v128_t wasm_i8x16_swizzle(v128_t a, v128_t b) {
  nn_i8x16 to;
  for (int i = 0; i < 16; ++i) {
    const uint8_t from = ((nn_u8x16)b)[i];
    to[i] = (int8_t)(from < 16 ? ((nn_i8x16)a)[from & 15] : 0);
  }
  return (v128_t)to;
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

NN_UNARY(f32x4_convert_i32x4, __builtin_convertvector(a, nn_f32x4))
NN_BINARY(f32x4_add, (nn_f32x4)a + (nn_f32x4)b)
NN_BINARY(f32x4_mul, (nn_f32x4)a * (nn_f32x4)b)
NN_UNARY(f32x4_abs, a & INT32_MAX)

static inline v128_t wasm_f32x4_relaxed_madd(v128_t a, v128_t b, v128_t sum) {
  return wasm_f32x4_add(wasm_f32x4_mul(a, b), sum);
}

static inline v128_t wasm_f32x4_sqrt(v128_t v) {
  nn_f32x4 to = (nn_f32x4)v;
  for (int i = 0; i < 4; ++i) to[i] = __builtin_sqrtf(to[i]);
  return (v128_t)to;
}

/* b < a ? b : a, and a < b ? b : a */
#if defined(__SSE2__)
NN_BINARY(f32x4_pmin, _mm_min_ps((__m128)b, (__m128)a))
NN_BINARY(f32x4_pmax, _mm_max_ps((__m128)b, (__m128)a))
#else
NN_BINARY(f32x4_pmin, wasm_v128_bitselect(b, a, (v128_t)((nn_f32x4)b < (nn_f32x4)a)))
NN_BINARY(f32x4_pmax, wasm_v128_bitselect(b, a, (v128_t)((nn_f32x4)a < (nn_f32x4)b)))
#endif

#endif
