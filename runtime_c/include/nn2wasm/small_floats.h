/* Floats of two bytes and fewer: how float becomes one, rounded to nearest, ties to even, and back.
 *
 * A format has `mantissa` bits behind its exponent, and 2^(1 - bias) is its smallest normal number.
 * Tested on all bit patterns. */
#ifndef NN2WASM_SMALL_FLOATS_H
#define NN2WASM_SMALL_FLOATS_H

#include <stdint.h>
#include <string.h>

static inline uint32_t nn_float_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float nn_float_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* The code of |x| in a format: `over` beyond the largest finite code, `nan` for no number. */
static inline uint32_t nn_encode(float x, int mantissa, int bias, uint32_t largest, uint32_t over, uint32_t nan) {
  const uint32_t bits = nn_float_bits(x) & 0x7fffffffu;
  if (bits > 0x7f800000u) return nan;
  const int field = (int)(bits >> 23);
  const uint32_t digits = (bits & 0x7fffffu) | (field ? 0x800000u : 0u);
  const int own = field ? field - 127 : -126, least = 1 - bias;
  const int exponent = own > least ? own : least;
  const int shift = 23 - mantissa + exponent - own;
  if (shift > 25) return 0; /* less than half of the smallest number */
  const uint32_t half = (1u << shift) >> 1, rest = digits & ((1u << shift) - 1u);
  uint32_t steps = digits >> shift;
  steps += shift && (rest > half || (rest == half && (steps & 1u)));
  const uint32_t code = ((uint32_t)(exponent - least) << mantissa) + steps;
  return code > largest ? over : code;
}

/* What a code without its sign stands for, where it is a number. */
static inline float nn_decode(uint32_t code, int mantissa, int bias) {
  const uint32_t field = code >> mantissa, digits = code & ((1u << mantissa) - 1u);
  if (field) return nn_float_of_bits((uint32_t)((int)field - bias + 127) << 23 | digits << (23 - mantissa));
  /* digits · 2^(1 - bias - mantissa), in two factors that are normal numbers */
  return (float)digits * nn_float_of_bits((uint32_t)(128 - bias) << 23) *
         nn_float_of_bits((uint32_t)(127 - mantissa) << 23);
}

static inline float nn_signed(float magnitude, int negative) {
  return nn_float_of_bits(nn_float_bits(magnitude) | (negative ? 0x80000000u : 0u));
}

static inline uint32_t nn_sign(float x) { return nn_float_bits(x) >> 31; }

/* float64 to float, the last bit set where that is not exact: then a second rounding, to a format of
 * at most 21 bits, is the only one. */
static inline float nn_odd_float(double x) {
  const float y = (float)x;
  if ((double)y == x || x != x) return y;
  uint32_t bits = nn_float_bits(y);
  const double size = x < 0 ? -x : x, near = y < 0 ? -(double)y : (double)y;
  if (near > size) bits -= 1u;
  return nn_float_of_bits(bits | 1u);
}

/* Without branches, as weights are decoded by it: the exponent is moved to float's; what is below the
 * smallest normal number, 2^-14, is added to that and has it taken off again, exactly. */
static inline float nn_float_of_f16(uint16_t h) {
  const uint32_t code = (h & 0x7fffu) << 13, moved = 112u << 23, least = 113u << 23;
  const float below = nn_float_of_bits(least + code) - nn_float_of_bits(least);
  const float normal = nn_float_of_bits(code + moved + (code < 0x7c00u << 13 ? 0u : moved));
  return nn_signed(code < 1u << 23 ? below : normal, h >> 15);
}

static inline uint16_t nn_f16_of_float(float x) {
  return (uint16_t)(nn_sign(x) << 15 | nn_encode(x, 10, 15, 0x7bffu, 0x7c00u, 0x7e00u));
}

static inline float nn_float_of_bf16(uint16_t h) { return nn_float_of_bits((uint32_t)h << 16); }

static inline uint16_t nn_bf16_of_float(float x) {
  return (uint16_t)(nn_sign(x) << 15 | nn_encode(x, 7, 127, 0x7f7fu, 0x7f80u, 0x7fc0u));
}

static inline float nn_float_of_f8e4m3fn(uint8_t b) {
  const uint32_t code = b & 0x7fu;
  return code == 0x7fu ? nn_float_of_bits(0x7fc00000u) : nn_signed(nn_decode(code, 3, 7), b >> 7);
}

static inline uint8_t nn_f8e4m3fn_of_float(float x, int saturate) {
  return (uint8_t)(nn_sign(x) << 7 | nn_encode(x, 3, 7, 0x7eu, saturate ? 0x7eu : 0x7fu, 0x7fu));
}

static inline float nn_float_of_f8e5m2(uint8_t b) {
  const uint32_t code = b & 0x7fu;
  return nn_signed(code < 0x7cu ? nn_decode(code, 2, 15) : nn_float_of_bits(0x7f800000u | (code & 3u) << 21), b >> 7);
}

static inline uint8_t nn_f8e5m2_of_float(float x, int saturate) {
  return (uint8_t)(nn_sign(x) << 7 | nn_encode(x, 2, 15, 0x7bu, saturate ? 0x7bu : 0x7cu, 0x7eu));
}

/* Formats without infinities and negative zero: its code is that of no number. */
static inline uint8_t nn_unsigned_zero(float x, uint32_t code) {
  return (uint8_t)(code == 0x80u || !code ? code : nn_sign(x) << 7 | code);
}

static inline float nn_float_of_f8e4m3fnuz(uint8_t b) {
  return b == 0x80u ? nn_float_of_bits(0x7fc00000u) : nn_signed(nn_decode(b & 0x7fu, 3, 8), b >> 7);
}

static inline uint8_t nn_f8e4m3fnuz_of_float(float x, int saturate) {
  return nn_unsigned_zero(x, nn_encode(x, 3, 8, 0x7fu, saturate ? 0x7fu : 0x80u, 0x80u));
}

static inline float nn_float_of_f8e5m2fnuz(uint8_t b) {
  return b == 0x80u ? nn_float_of_bits(0x7fc00000u) : nn_signed(nn_decode(b & 0x7fu, 2, 16), b >> 7);
}

static inline uint8_t nn_f8e5m2fnuz_of_float(float x, int saturate) {
  return nn_unsigned_zero(x, nn_encode(x, 2, 16, 0x7fu, saturate ? 0x7fu : 0x80u, 0x80u));
}

/* Sign, two bits of exponent, one digit; the largest is 6, and no number becomes −0. */
static inline float nn_float_of_f4e2m1(uint8_t b) { return nn_signed(nn_decode(b & 7u, 1, 1), b >> 3 & 1); }

static inline uint8_t nn_f4e2m1_of_float(float x) {
  const uint32_t code = nn_encode(x, 1, 1, 7u, 7u, 8u);
  return (uint8_t)(code == 8u ? code : nn_sign(x) << 3 | code);
}

/* Powers of two, 2^(b - 127); 255 is no number. */
static inline float nn_float_of_f8e8m0(uint8_t b) {
  return nn_float_of_bits(b == 255u ? 0x7fc00000u : b ? (uint32_t)b << 23 : 0x400000u);
}

/* The exponent, rounded: 0 down, 1 to nearest, 2 up; the sign is lost. */
static inline uint8_t nn_f8e8m0_of_float(float x, int rounding, int saturate) {
  const uint32_t bits = nn_float_bits(x) & 0x7fffffffu, field = bits >> 23, digits = bits & 0x7fffffu;
  if (field == 255u) return 255;
  int up = rounding == 2 && digits;
  if (rounding == 1) up = digits > 0x400000u || (digits == 0x400000u && field);
  return (uint8_t)(field + (up && !(saturate && field == 254u)));
}

#endif
