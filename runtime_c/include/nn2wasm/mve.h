/* What kernels for Arm's Helium (M-profile Vector Extension, with floats) are made of.
 *
 * Sixteen products of bytes are one instruction that adds them to an integer register, so sums run
 * along the inputs of an output; four sums then make a vector that is requantized.
 * Elsewhere the same functions are plain C of gcc's and clang's vectors, to the bit.
 */
#ifndef NN2WASM_MVE_H
#define NN2WASM_MVE_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2)
#define NN_HELIUM 1
#include <arm_mve.h>
#if !defined(__clang__) /* nn_dots_2x4 needs all registers; not all of gcc 12's masks assemble */
#pragma GCC optimize("omit-frame-pointer", "no-tree-vectorize")
#endif
typedef int8x16_t nn_s8x16;
typedef int16x8_t nn_s16x8;
typedef int32x4_t nn_s32x4;
typedef uint32x4_t nn_u32x4;
typedef float32x4_t nn_f32x4;
#else
#define NN_HELIUM 0
typedef int8_t nn_s8x16 __attribute__((vector_size(16)));
typedef int16_t nn_s16x8 __attribute__((vector_size(16)));
typedef int32_t nn_s32x4 __attribute__((vector_size(16)));
typedef uint32_t nn_u32x4 __attribute__((vector_size(16)));
typedef float nn_f32x4 __attribute__((vector_size(16)));
#endif

/* Bytes from anywhere. */
static inline nn_s8x16 nn_load16(const int8_t *from) {
#if NN_HELIUM
  return vldrbq_s8(from);
#else
  nn_s8x16 v;
  memcpy(&v, from, sizeof v);
  return v;
#endif
}

/* The first n of them, zeros behind; n > 0. What lies behind them is not touched. */
static inline nn_s8x16 nn_load_first(const int8_t *from, int n) {
#if NN_HELIUM
  return vldrbq_z_s8(from, vctp8q((uint32_t)n));
#else
  nn_s8x16 v = {0};
  memcpy(&v, from, n < 16 ? (size_t)n : sizeof v);
  return v;
#endif
}

/* The same of eight integers of 16 bits. */
static inline nn_s16x8 nn_load_first8(const int16_t *from, int n) {
#if NN_HELIUM
  return vldrhq_z_s16(from, vctp16q((uint32_t)n));
#else
  nn_s16x8 v = {0};
  memcpy(&v, from, n < 8 ? (size_t)n * sizeof *from : sizeof v);
  return v;
#endif
}

/* Eight bytes as integers of 16 bits. */
static inline nn_s16x8 nn_load_widened(const int8_t *from) {
#if NN_HELIUM
  return vldrbq_s16(from);
#else
  nn_s16x8 v = {0};
  for (int i = 0; i < 8; ++i) v[i] = from[i];
  return v;
#endif
}

static inline nn_s32x4 nn_load_sums(const int32_t *from) {
#if NN_HELIUM
  return vldrwq_s32(from);
#else
  nn_s32x4 v;
  memcpy(&v, from, sizeof v);
  return v;
#endif
}

static inline nn_f32x4 nn_load_scales(const float *from) {
#if NN_HELIUM
  return vldrwq_f32(from);
#else
  nn_f32x4 v;
  memcpy(&v, from, sizeof v);
  return v;
#endif
}

#if defined(__GNUC__)
#define NN_UNUSED __attribute__((unused))
#else
#define NN_UNUSED
#endif

/* sum + the sixteen products of a and b. With Helium some of its callers here do not call it. */
static inline NN_UNUSED int32_t nn_dot16(int32_t sum, nn_s8x16 a, nn_s8x16 b) {
#if NN_HELIUM
  return vmladavaq_s8(sum, a, b);
#else
  for (int i = 0; i < 16; ++i) sum += a[i] * b[i];
  return sum;
#endif
}

/* The sum of sixteen products alone. */
static inline int32_t nn_products16(nn_s8x16 a, nn_s8x16 b) {
#if NN_HELIUM
  return vmladavq_s8(a, b);
#else
  return nn_dot16(0, a, b);
#endif
}

/* Two vectors of inputs by four of weights. Eight registers can hold sums. Compilers that count in one
   of them, or move sums about, take half as long again: hence the assembly. Weights that are widened
   need one of the lower registers. */
#define NN_DOTS_2X4(load, load_w, add, inputs, w_bytes, third, second, first)                   \
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];                                   \
  int32_t e = sums[4], f = sums[5], g = sums[6], h = sums[7];                                   \
  __asm__("cmp %[k], #0\n\tble 2f\n1:\n\t"                                                      \
          load " q0, [%[x0]], #16\n\t" load_w " q2, [%[w]], #" w_bytes "\n\t"                   \
          add " %[a], q0, q2\n\t" load " q1, [%[x1]], #16\n\t"                                  \
          add " %[e], q1, q2\n\t" load_w " q3, [%[w], #-" third "]\n\t"                         \
          add " %[b], q0, q3\n\t" load_w " q2, [%[w], #-" second "]\n\t"                        \
          add " %[f], q1, q3\n\t" load_w " q3, [%[w], #-" first "]\n\t"                         \
          add " %[c], q0, q2\n\tsubs %[k], #" inputs "\n\t" add " %[g], q1, q2\n\t"             \
          add " %[d], q0, q3\n\t" add " %[h], q1, q3\n\tbgt 1b\n2:"                             \
          : [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [d] "+Te"(d), [e] "+Te"(e), [f] "+Te"(f), \
          [g] "+Te"(g), [h] "+Te"(h), [x0] "+r"(x0), [x1] "+r"(x1), [w] "+l"(w), [k] "+r"(k)    \
          : : "q0", "q1", "q2", "q3", "cc", "memory");                                          \
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;                                           \
  sums[4] = e, sums[5] = f, sums[6] = g, sums[7] = h;

/* Adds products of k inputs, a multiple of 16 or none, of two pixels with w [k / 16][4][16] to
   sums [2][4]; returns the end of w. */
static inline const int8_t *nn_dots_2x4(
    int32_t *sums, const int8_t *x0, const int8_t *x1, const int8_t *w, int k) {
#if NN_HELIUM
  NN_DOTS_2X4("vldrb.u8", "vldrb.u8", "vmladava.s8", "16", "64", "48", "32", "16")
#else
  for (; k > 0; k -= 16, x0 += 16, x1 += 16, w += 64) {
    for (int i = 0; i < 4; ++i) {
      sums[i] = nn_dot16(sums[i], nn_load16(x0), nn_load16(w + 16 * i));
      sums[4 + i] = nn_dot16(sums[4 + i], nn_load16(x1), nn_load16(w + 16 * i));
    }
  }
#endif
  return w;
}

/* The same of one pixel, sums [4]. */
#define NN_DOTS_1X4(vector, inputs, load_w, dot, lanes)                         \
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];                   \
  for (; k > 0; k -= lanes, x += lanes, w += 4 * lanes) {                       \
    const vector v = inputs;                                                    \
    a = dot(a, v, load_w(w)), b = dot(b, v, load_w(w + lanes));                 \
    c = dot(c, v, load_w(w + 2 * lanes)), d = dot(d, v, load_w(w + 3 * lanes)); \
  }                                                                             \
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;

static inline const int8_t *nn_dots_1x4(int32_t *sums, const int8_t *x, const int8_t *w, int k) {
  NN_DOTS_1X4(nn_s8x16, nn_load16(x), nn_load16, nn_dot16, 16)
  return w;
}

/* sum + the eight products of a and b. */
static inline NN_UNUSED int32_t nn_dot8(int32_t sum, nn_s16x8 a, nn_s16x8 b) {
#if NN_HELIUM
  return vmladavaq_s16(sum, a, b);
#else
  for (int i = 0; i < 8; ++i) sum += a[i] * b[i];
  return sum;
#endif
}

static inline int32_t nn_products8(nn_s16x8 a, nn_s16x8 b) {
#if NN_HELIUM
  return vmladavq_s16(a, b);
#else
  return nn_dot8(0, a, b);
#endif
}

/* Dots of two pixels as above, with inputs of 16 bits and k a multiple of 8: w [k / 8][4][8]. */
static inline const int8_t *nn_short_dots_2x4(
    int32_t *sums, const int16_t *x0, const int16_t *x1, const int8_t *w, int k) {
#if NN_HELIUM
  NN_DOTS_2X4("vldrh.u16", "vldrb.s16", "vmladava.s16", "8", "32", "24", "16", "8")
#else
  for (; k > 0; k -= 8, x0 += 8, x1 += 8, w += 32) {
    for (int i = 0; i < 4; ++i) {
      const nn_s16x8 weights = nn_load_widened(w + 8 * i);
      sums[i] = nn_dot8(sums[i], nn_load_first8(x0, 8), weights);
      sums[4 + i] = nn_dot8(sums[4 + i], nn_load_first8(x1, 8), weights);
    }
  }
#endif
  return w;
}

static inline const int8_t *nn_short_dots_1x4(
    int32_t *sums, const int16_t *x, const int8_t *w, int k) {
  NN_DOTS_1X4(nn_s16x8, nn_load_first8(x, 8), nn_load_widened, nn_dot8, 8)
  return w;
}

static inline nn_s32x4 nn_sums4(const int32_t *sums) {
  const nn_s32x4 v = {sums[0], sums[1], sums[2], sums[3]};
  return v;
}

static inline nn_f32x4 nn_floats4(nn_s32x4 v) {
#if NN_HELIUM
  return vcvtq_f32_s32(v);
#else
  return (nn_f32x4){(float)v[0], (float)v[1], (float)v[2], (float)v[3]};
#endif
}

/* clamp(round_half_even(real), lo, hi) + zero_point: as nn_quantize of requantize.h. */
static inline nn_s32x4 nn_quantize4(
    nn_f32x4 real, nn_f32x4 lo, nn_f32x4 hi, int32_t zero_point) {
#if NN_HELIUM
  return vaddq_n_s32(vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(real, lo), hi)), zero_point);
#else
  nn_s32x4 v = {0};
  for (int i = 0; i < 4; ++i) {
    const float above = real[i] > lo[i] ? real[i] : lo[i];
    const float magic = (above < hi[i] ? above : hi[i]) + 12582912.0f; /* 1.5 * 2^23 */
    int32_t bits;
    memcpy(&bits, &magic, sizeof bits);
    v[i] = bits - 0x4B400000 + zero_point;
  }
  return v;
#endif
}

/* The same of sums * scale. */
static inline nn_s32x4 nn_requantize4(
    nn_s32x4 sums, nn_f32x4 scale, nn_f32x4 lo, nn_f32x4 hi, int32_t zero_point) {
  return nn_quantize4(nn_floats4(sums) * scale, lo, hi, zero_point);
}

/* One number in all lanes. */
static inline nn_f32x4 nn_splat4(int32_t v) {
  const float real = (float)v;
  return (nn_f32x4){real, real, real, real};
}

static inline nn_f32x4 nn_splat_scale(const float *from) {
  return (nn_f32x4){*from, *from, *from, *from};
}

static inline nn_s32x4 nn_splat_sum(int32_t v) {
  return (nn_s32x4){v, v, v, v};
}

static inline void nn_store4(int8_t *to, nn_s32x4 v) {
#if NN_HELIUM
  vstrbq_s32(to, v);
#else
  for (int i = 0; i < 4; ++i) to[i] = (int8_t)v[i];
#endif
}

/* The first n of four integers as bytes; n > 0. */
static inline void nn_store_first(int8_t *to, nn_s32x4 v, int n) {
#if NN_HELIUM
  vstrbq_p_s32(to, v, vctp32q((uint32_t)n));
#else
  for (int i = 0; i < 4 && i < n; ++i) to[i] = (int8_t)v[i];
#endif
}

/* The same as integers of 16 bits. */
static inline void nn_store_first_shorts(int16_t *to, nn_s32x4 v, int n) {
#if NN_HELIUM
  vstrhq_p_s32(to, v, vctp32q((uint32_t)n));
#else
  for (int i = 0; i < 4 && i < n; ++i) to[i] = (int16_t)v[i];
#endif
}

/* The same as bytes at to + at[i], one after the other. */
static inline void nn_scatter4(int8_t *to, nn_u32x4 at, nn_s32x4 v) {
#if NN_HELIUM
  vstrbq_scatter_offset_s32(to, at, v);
#else
  for (int i = 0; i < 4; ++i) to[at[i]] = (int8_t)v[i];
#endif
}

/* Four bytes from each from + at[i], multiples of four. */
static inline nn_s8x16 nn_gather4(const int8_t *from, nn_u32x4 at) {
#if NN_HELIUM
  return vreinterpretq_s8_s32(vldrwq_gather_offset_s32((const int32_t *)(const void *)from, at));
#else
  nn_u32x4 v = {0};
  for (int i = 0; i < 4; ++i) {
    uint32_t word;
    memcpy(&word, from + at[i], sizeof word);
    v[i] = word;
  }
  return (nn_s8x16)v;
#endif
}

static inline nn_u32x4 nn_offsets4(int a, int b, int c, int d) {
  const nn_u32x4 v = {(uint32_t)a, (uint32_t)b, (uint32_t)c, (uint32_t)d};
  return v;
}

/* Sixteen columns of four rows beside each other, [16][4]. */
static inline void nn_put_columns(int8_t *to, nn_s8x16 a, nn_s8x16 b, nn_s8x16 c, nn_s8x16 d) {
#if NN_HELIUM
  const int8x16x4_t v = {{a, b, c, d}};
  vst4q_s8(to, v);
#else
  for (int i = 0; i < 16; ++i) {
    to[4 * i] = a[i];
    to[4 * i + 1] = b[i];
    to[4 * i + 2] = c[i];
    to[4 * i + 3] = d[i];
  }
#endif
}

static inline void nn_interleave4(
    int8_t *to, const int8_t *a, const int8_t *b, const int8_t *c, const int8_t *d) {
  nn_put_columns(to, nn_load16(a), nn_load16(b), nn_load16(c), nn_load16(d));
}

/* The same for the first n of them, zeros behind. */
static inline void nn_interleave4_first(
    int8_t *to, const int8_t *a, const int8_t *b, const int8_t *c, const int8_t *d, int n) {
  nn_put_columns(to, nn_load_first(a, n), nn_load_first(b, n), nn_load_first(c, n),
      nn_load_first(d, n));
}

/* The number nearest to v from 0 to limit. */
static inline int nn_within(int v, int limit) {
  return v < 0 ? 0 : v < limit ? v : limit;
}

static inline void nn_copy(int8_t *to, const int8_t *from, int n) {
#if NN_HELIUM
  for (; n >= 16; n -= 16, to += 16, from += 16) vstrbq_s8(to, vldrbq_s8(from));
  if (n <= 0) return;
  const mve_pred16_t some = vctp8q((uint32_t)n);
  vstrbq_p_s8(to, vldrbq_z_s8(from, some), some);
#else
  if (n > 0) memcpy(to, from, (size_t)n);
#endif
}

static inline void nn_fill(int8_t *to, int value, int n) {
#if NN_HELIUM
  const nn_s8x16 v = vdupq_n_s8((int8_t)value);
  for (; n > 0; n -= 16, to += 16) vstrbq_p_s8(to, v, vctp8q((uint32_t)n));
#else
  if (n > 0) memset(to, value, (size_t)n);
#endif
}

static inline void nn_copy_shorts(int16_t *to, const int16_t *from, int n) {
  nn_copy((int8_t *)to, (const int8_t *)from, 2 * n);
}

static inline void nn_fill_shorts(int16_t *to, int value, int n) {
  for (int i = 0; i < n; ++i) to[i] = (int16_t)value;
}

static inline void nn_fill64(int8_t *to, int value) {
#if NN_HELIUM
  const nn_s8x16 v = vdupq_n_s8((int8_t)value);
  for (int i = 0; i < 64; i += 16) vstrbq_s8(to + i, v);
#else
  memset(to, value, 64);
#endif
}

/* The first n of four bytes as integers, zeros behind; n > 0. */
static inline nn_s32x4 nn_load4_first(const int8_t *from, int n) {
#if NN_HELIUM
  return vldrbq_z_s32(from, vctp32q((uint32_t)n));
#else
  nn_s32x4 v = {0};
  for (int i = 0; i < 4 && i < n; ++i) v[i] = from[i];
  return v;
#endif
}

/* min(max((a * ma + b * mb + rest) >> shift, lo), hi). */
static inline nn_s32x4 nn_weighted4(nn_s32x4 a, nn_s32x4 b, int32_t ma, int32_t mb,
    int32_t rest, int shift, nn_s32x4 lo, nn_s32x4 hi) {
#if NN_HELIUM
  const nn_s32x4 sum = vmlaq_n_s32(vmlaq_n_s32(vdupq_n_s32(rest), a, ma), b, mb);
  return vminq_s32(vmaxq_s32(vshlq_r_s32(sum, -shift), lo), hi);
#else
  const nn_s32x4 v = (a * ma + b * mb + rest) >> shift;
  for (int i = 0; i < 4; ++i) a[i] = v[i] < lo[i] ? lo[i] : v[i] < hi[i] ? v[i] : hi[i];
  return a;
#endif
}

/* (v - zero_point) * factor. */
static inline nn_f32x4 nn_scaled4(nn_s32x4 v, int32_t zero_point, float factor) {
  return nn_floats4(v - zero_point) * factor;
}

/* The product of a and b, less their zero points, times a factor. */
static inline nn_f32x4 nn_scaled_product4(
    nn_s32x4 a, nn_s32x4 b, int32_t a_zero, int32_t b_zero, float factor) {
  return nn_scaled4((a - a_zero) * (b - b_zero), 0, factor);
}

/* Entries of a table of 256 bytes, that of -128 first. */
static inline nn_s8x16 nn_look_up(const int8_t *table, nn_s8x16 x) {
#if NN_HELIUM
  const uint8x16_t at = veorq_u8(vreinterpretq_u8_s8(x), vdupq_n_u8(128));
  return vldrbq_gather_offset_s8(table, at);
#else
  for (int i = 0; i < 16; ++i) x[i] = table[x[i] + 128];
  return x;
#endif
}

static inline nn_s8x16 nn_splat16(int v) {
#if NN_HELIUM
  return vdupq_n_s8((int8_t)v);
#else
  return (nn_s8x16){0} + (int8_t)v;
#endif
}

static inline nn_s8x16 nn_max16(nn_s8x16 a, nn_s8x16 b) {
#if NN_HELIUM
  return vmaxq_s8(a, b);
#else
  for (int i = 0; i < 16; ++i) a[i] = a[i] > b[i] ? a[i] : b[i];
  return a;
#endif
}

/* The first n of sixteen bytes; n > 0. */
static inline void nn_store16_first(int8_t *to, nn_s8x16 v, int n) {
#if NN_HELIUM
  vstrbq_p_s8(to, v, vctp8q((uint32_t)n));
#else
  memcpy(to, &v, n < 16 ? (size_t)n : sizeof v);
#endif
}

#endif
