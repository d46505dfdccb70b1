/* Three sums of products in one 64-bit word, for machines where each executed operation costs.
 *
 * A word holds three numbers in fields of 21 bits; word times number is all three products, and
 * words may be added as long as each sum stays in [-2^20, 2^20). Sums begin at 2^20 in each field,
 * so that no field borrows from the next. All is modulo 2^64: only the last sum has to fit.
 */
#ifndef NN2WASM_FIELDS_H
#define NN2WASM_FIELDS_H

#include <stdint.h>

/* What sums begin with. */
#define NN_FIELD_OFFSETS ((uint64_t)1 << 20 | (uint64_t)1 << 41 | (uint64_t)1 << 62)

/* A number as a factor of words. */
static inline uint64_t nn_factor(int8_t v) {
  return (uint64_t)(int64_t)v;
}

static inline uint64_t nn_fields(int8_t v0, int8_t v1, int8_t v2) {
  return nn_factor(v0) + (nn_factor(v1) << 21) + (nn_factor(v2) << 42);
}

/* The fields of a sum, 2^20 above what they mean. */
static inline uint32_t nn_field0(uint64_t sum) {
  return (uint32_t)sum & 0x1fffffu;
}

static inline uint32_t nn_field1(uint64_t sum) {
  return (uint32_t)(sum >> 21) & 0x1fffffu;
}

static inline uint32_t nn_field2(uint64_t sum) {
  return (uint32_t)(sum >> 42);
}

/* to[k] = the fields x0[k], x1[k], x2[k]. */
static inline void nn_pack_fields(uint64_t *to, const int8_t *x0, const int8_t *x1,
    const int8_t *x2, int count) {
  for (; count >= 4; count -= 4, to += 4, x0 += 4, x1 += 4, x2 += 4) {
    to[0] = nn_fields(x0[0], x1[0], x2[0]);
    to[1] = nn_fields(x0[1], x1[1], x2[1]);
    to[2] = nn_fields(x0[2], x1[2], x2[2]);
    to[3] = nn_fields(x0[3], x1[3], x2[3]);
  }
  for (; count > 0; --count) *to++ = nn_fields(*x0++, *x1++, *x2++);
}

#endif
