/* From exact integer sums back to 8-bit integers.
 *
 *     q = clamp(round_half_even(acc * m) + zero_point)
 *
 * Both roundings (of the product to float, of the float to an integer) are those of IEEE 754 single
 * precision, so the result is the same byte on every machine. Excess precision or reassociation by
 * the compiler would break that; they are refused below.
 */
#ifndef NN2WASM_REQUANTIZE_H
#define NN2WASM_REQUANTIZE_H

#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__)
#error "nn2wasm: -ffast-math changes results; compile this file without it"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error "nn2wasm: floats are computed with excess precision here; use -msse2 -mfpmath=sse"
#endif

/* Rounds half to even; |v| < 2^22. Adding 1.5 * 2^23 leaves the integer in the low bits. */
static inline int32_t nn_round_to_int(float v) {
  const float shifted = v + 12582912.0f;
  int32_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  return bits - 0x4B400000;
}

/* v: a real number in units of the output's scale. lo, hi: the output's bounds less zero_point. */
static inline int32_t nn_quantize(float v, float lo, float hi, int32_t zero_point) {
  const float above = v > lo ? v : lo; /* NaN becomes lo */
  return nn_round_to_int(above < hi ? above : hi) + zero_point;
}

/* The same for a v that is a number: one instruction a bound where the machine has it. */
static inline int32_t nn_quantize_number(float v, float lo, float hi, int32_t zero_point) {
#if defined(__wasm__)
  const float clamped = __builtin_wasm_min_f32(__builtin_wasm_max_f32(v, lo), hi);
  return nn_round_to_int(clamped) + zero_point;
#else
  return nn_quantize(v, lo, hi, zero_point);
#endif
}

/* acc: the exact sum. m: x_scale * w_scale / y_scale. lo, hi: the bounds less zero_point. */
static inline int8_t nn_requantize(int32_t acc, float m, float lo, float hi, int32_t zero_point) {
  return (int8_t)nn_quantize((float)acc * m, lo, hi, zero_point);
}

#endif
