/* Products of two pairs at once: the DSP extension of Armv7E-M and Armv8-M (SXTB16, SMLAD).
 *
 * A pair is two integers of 16 bits in a word. Even are the bytes 0 and 2 of a word, odd the bytes 1
 * and 3, each with its sign. Other machines compute the same in plain C.
 */
#ifndef NN2WASM_DSP_H
#define NN2WASM_DSP_H

#include <stdint.h>
#include <string.h>

/* What several kernels call is there once. */
#if defined(__GNUC__)
#define NN_ONCE static __attribute__((noinline, unused))
#else
#define NN_ONCE static
#endif

/* The loop behind it is not unrolled. */
#if defined(__clang__)
#define NN_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define NN_ROLLED
#endif

/* A pointer that a loop advances stays one, and becomes no base with an index. */
#if defined(__GNUC__)
#define NN_POINTER(p) __asm__("" : "+r"(p))
#else
#define NN_POINTER(p) (void)(p)
#endif

#if defined(__ARM_FEATURE_SIMD32) && !defined(__ARM_BIG_ENDIAN)
#include <arm_acle.h>

/* Macros of gcc's header convert on their own. */
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif

/* Four bytes from any address. */
static inline uint32_t nn_word(const int8_t *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline uint32_t nn_even(uint32_t v) {
  return (uint32_t)__sxtb16((int8x4_t)v);
}

/* acc and the products of both halves. */
static inline int32_t nn_dual_add(int32_t acc, uint32_t x, uint32_t w) {
  return __smlad((int16x2_t)x, (int16x2_t)w, acc);
}

/* acc and the product of the low halves. */
static inline int32_t nn_low_add(int32_t acc, uint32_t x, uint32_t w) {
  return __smlabb((int32_t)x, (int32_t)w, acc);
}

/* The low half as a byte: the nearest that there is. */
static inline int8_t nn_saturate(int32_t v) {
  return (int8_t)__ssat16(v, 8);
}

/* The same of bytes from 0 on. */
static inline int8_t nn_saturate_positive(int32_t v) {
  return (int8_t)__usat16(v, 7);
}

/* The nearest integer of 16 bits. */
static inline int16_t nn_saturate_short(int32_t v) {
  return (int16_t)__ssat(v, 16);
}

/* Two integers of 16 bits, from any address that they may have. */
static inline uint32_t nn_pair(const int16_t *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#else

static inline uint32_t nn_word(const int8_t *p) {
  return (uint8_t)p[0] | (uint32_t)(uint8_t)p[1] << 8 | (uint32_t)(uint8_t)p[2] << 16 |
         (uint32_t)(uint8_t)p[3] << 24;
}

static inline uint32_t nn_even(uint32_t v) {
  return ((uint32_t)(int8_t)v & 0xFFFFu) | (uint32_t)(int8_t)(v >> 16) << 16;
}

static inline int32_t nn_dual_add(int32_t acc, uint32_t x, uint32_t w) {
  return acc + (int16_t)x * (int16_t)w + (int16_t)(x >> 16) * (int16_t)(w >> 16);
}

static inline int32_t nn_low_add(int32_t acc, uint32_t x, uint32_t w) {
  return acc + (int16_t)x * (int16_t)w;
}

static inline int8_t nn_saturate(int32_t v) {
  const int16_t low = (int16_t)v;
  return (int8_t)(low < -128 ? -128 : low > 127 ? 127 : low);
}

static inline int8_t nn_saturate_positive(int32_t v) {
  const int16_t low = (int16_t)v;
  return (int8_t)(low < 0 ? 0 : low > 127 ? 127 : low);
}

static inline int16_t nn_saturate_short(int32_t v) {
  return (int16_t)(v < -32768 ? -32768 : v > 32767 ? 32767 : v);
}

static inline uint32_t nn_pair(const int16_t *p) {
  return ((uint32_t)p[0] & 0xFFFFu) | (uint32_t)p[1] << 16;
}

#endif

static inline uint32_t nn_odd(uint32_t v) {
  return nn_even(v >> 8 | v << 24);
}

/* The low halves of two words. */
static inline uint32_t nn_join_low(uint32_t a, uint32_t b) {
  return (a & 0xFFFFu) | b << 16;
}

/* The low half as a byte between lo and hi. */
static inline int8_t nn_bounded(int32_t v, int lo, int hi) {
  const int q = nn_saturate(v);
  return (int8_t)(q < lo ? lo : q > hi ? hi : q);
}

static inline int32_t nn_clamped(int32_t v, int32_t lo, int32_t hi) {
  return v < lo ? lo : v > hi ? hi : v;
}

/* A float from its bits. */
static inline float nn_float(uint32_t bits) {
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

/* acc * m rounded to an integer, and what else `shifter` adds, in the low half.
   shifter: 1.5 * 2^23 and an even integer; the sum of both integers is below 2^15. */
static inline int32_t nn_scaled(int32_t acc, float m, float shifter) {
  const float v = (float)acc * m + shifter;
  int32_t bits;
  memcpy(&bits, &v, sizeof bits);
  return bits;
}

/* The bytes of two words as pairs, `step` words apart: 0 of both, 1 of both, 2, 3. */
static inline void nn_put_pairs(uint32_t *to, int step, uint32_t a, uint32_t b) {
  const uint32_t low = (a & 0xFFFFu) | b << 16, high = a >> 16 | (b & 0xFFFF0000u);
  to[0] = nn_even(low);
  to[step] = nn_odd(low);
  to[2 * step] = nn_even(high);
  to[3 * step] = nn_odd(high);
}

/* The same of integers of 16 bits: 0 of both words, 1 of both. */
static inline void nn_put_short_pairs(uint32_t *to, int step, uint32_t a, uint32_t b) {
  to[0] = (a & 0xFFFFu) | b << 16;
  to[step] = a >> 16 | (b & 0xFFFF0000u);
}

/* A row of bytes as pairs, `step` words apart, even and odd ones of each word in turn; zeros behind
   the last. */
NN_ONCE void nn_stage_pairs(uint32_t *to, int step, const int8_t *x, int count) {
  NN_ROLLED
  for (; count >= 4; count -= 4) {
    const uint32_t v = nn_word(x);
    to[0] = nn_even(v);
    to[step] = nn_odd(v);
    x += 4;
    to += 2 * step;
  }
  if (count > 0) {
    int8_t last[4] = {0, 0, 0, 0};
    memcpy(last, x, (size_t)count);
    to[0] = nn_even(nn_word(last));
    to[step] = nn_odd(nn_word(last));
  }
}

/* A window over rows of `width` columns, and the byte that stands for what lies outside. */
typedef struct {
  int rows, taps, dilation, width, channels, fill;
} nn_window;

/* All inputs under the window whose first column is `left`, staged as above. `patch` has room for
   them as bytes, and for three more: copied by words. */
NN_ONCE void nn_stage_window(uint32_t *to, int step, const int8_t *const *rows, int left,
    const nn_window *window, int8_t *patch) {
  const int c = window->channels, run = window->taps * c, whole = run % 4 == 0;
  const int read = (left + window->taps) * c + (whole ? 0 : 3);
  int8_t *at = patch;
  if (window->dilation == 1 && left >= 0 && read <= window->width * c) {
    for (int ky = 0; ky < window->rows; ++ky) {
      const int8_t *const x = rows[ky] + left * c;
      if (whole) {
        nn_stage_pairs(to, step, x, run);
        to += run / 2 * step;
      } else {
        for (int i = 0; i < run; i += 4) memcpy(at + i, x + i, 4);
        at += run;
      }
    }
    if (whole) return;
  } else {
    for (int ky = 0; ky < window->rows; ++ky) {
      for (int kx = 0; kx < window->taps; ++kx) {
        const int ix = left + kx * window->dilation;
        if (ix >= 0 && ix < window->width) {
          memcpy(at, rows[ky] + ix * c, (size_t)c);
        } else {
          memset(at, window->fill, (size_t)c);
        }
        at += c;
      }
    }
  }
  nn_stage_pairs(to, step, patch, window->rows * run);
}

/* A row of integers of 16 bits as pairs of neighbours, `step` words apart; zeros behind the last. */
NN_ONCE void nn_stage_shorts(uint32_t *to, int step, const int16_t *x, int count) {
  NN_ROLLED
  for (; count >= 4; count -= 4) {
    to[0] = nn_pair(x);
    to[step] = nn_pair(x + 2);
    x += 4;
    to += 2 * step;
  }
  if (count > 0) {
    int16_t last[4] = {0, 0, 0, 0};
    memcpy(last, x, (size_t)count * sizeof *last);
    to[0] = nn_pair(last);
    to[step] = nn_pair(last + 2);
  }
}

/* A window of integers of 16 bits; `patch` has room for one more. */
NN_ONCE void nn_stage_short_window(uint32_t *to, int step, const int16_t *const *rows, int left,
    const nn_window *window, int16_t *patch) {
  const int c = window->channels, run = window->taps * c, whole = run % 4 == 0;
  const int read = (left + window->taps) * c + run % 2;
  int16_t *at = patch;
  if (window->dilation == 1 && left >= 0 && read <= window->width * c) {
    for (int ky = 0; ky < window->rows; ++ky) {
      const int16_t *const x = rows[ky] + left * c;
      if (whole) {
        nn_stage_shorts(to, step, x, run);
        to += run / 2 * step;
      } else {
        for (int i = 0; i < run; i += 2) memcpy(at + i, x + i, 4);
        at += run;
      }
    }
    if (whole) return;
  } else {
    for (int ky = 0; ky < window->rows; ++ky) {
      for (int kx = 0; kx < window->taps; ++kx) {
        const int ix = left + kx * window->dilation, inside = ix >= 0 && ix < window->width;
        for (int i = 0; i < c; ++i) *at++ = (int16_t)(inside ? rows[ky][ix * c + i] : window->fill);
      }
    }
  }
  nn_stage_shorts(to, step, patch, window->rows * run);
}

#endif
