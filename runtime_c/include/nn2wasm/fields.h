/* Several products in one 64-bit multiplication, for machines where each executed operation costs.
 *
 * A word holds three numbers in fields of 21 bits; word times number is all three products, and
 * words may be added as long as each sum stays in [-2^20, 2^20). Sums begin at 2^20 in each field,
 * so that no field borrows from the next. All is modulo 2^64: only the last sum has to fit.
 */
#ifndef NN2WASM_FIELDS_H
#define NN2WASM_FIELDS_H

#include <stdint.h>
#include <string.h>

/* What sums begin with. */
#define NN_FIELD_OFFSETS ((uint64_t)1 << 20 | (uint64_t)1 << 41 | (uint64_t)1 << 62)
/* A byte in each field; bytes 0 and 4 of a word. */
#define NN_FIELD_BYTES ((uint64_t)0xff | (uint64_t)0xff << 21 | (uint64_t)0xff << 42)
#define NN_BYTES_04 ((uint64_t)0xff << 32 | 0xff)

/* A number as a factor of words. */
static inline uint64_t nn_factor(int32_t v) {
  return (uint64_t)(int64_t)v;
}

static inline uint64_t nn_fields(int8_t v0, int8_t v1, int8_t v2) {
  return nn_factor(v0) + (nn_factor(v1) << 21) + (nn_factor(v2) << 42);
}

/* The fields of a sum, 2^20 above what they mean. */
static inline int64_t nn_field0(uint64_t sum) {
  return (int64_t)(sum & 0x1fffffu);
}

static inline int64_t nn_field1(uint64_t sum) {
  return (int64_t)(sum >> 21 & 0x1fffffu);
}

static inline int64_t nn_field2(uint64_t sum) {
  return (int64_t)(sum >> 42);
}

/* Two bytes without a sign, the first the lower. */
static inline uint64_t nn_two_bytes(const int8_t *from) {
  uint16_t two;
  memcpy(&two, from, sizeof two);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  two = __builtin_bswap16(two);
#endif
  return two;
}

/* to[k] = the fields x0[k] + 128, x1[k] + 128, x2[k] + 128, for k = 0 and 1. */
static inline void nn_pack_two(uint64_t *to, const int8_t *x0, const int8_t *x1,
    const int8_t *x2) {
  const uint64_t signs = NN_FIELD_BYTES & NN_FIELD_BYTES << 7;
  uint64_t v = nn_two_bytes(x0) + (nn_two_bytes(x1) << 21) + (nn_two_bytes(x2) << 42);
  v ^= signs | signs << 8;
  to[0] = v & NN_FIELD_BYTES;
  to[1] = v >> 8 & NN_FIELD_BYTES;
}

/* The same for all k below count. */
static inline void nn_pack_fields(uint64_t *to, const int8_t *x0, const int8_t *x1,
    const int8_t *x2, int count) {
  for (; count >= 4; count -= 4, to += 4, x0 += 4, x1 += 4, x2 += 4) {
    nn_pack_two(to, x0, x1, x2);
    nn_pack_two(to + 2, x0 + 2, x1 + 2, x2 + 2);
  }
  for (; count > 0; --count) {
    *to++ = nn_fields(*x0++, *x1++, *x2++) + (NN_FIELD_BYTES & NN_FIELD_BYTES << 7);
  }
}

/* Eight bytes, the first the lowest. */
static inline uint64_t nn_word(const uint8_t *from) {
  uint64_t word;
  memcpy(&word, from, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}

#endif
