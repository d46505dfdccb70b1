/* Outputs of a part of a layer, made behind each other, to where they belong among all outputs. */
#ifndef NN2WASM_SCATTER_H
#define NN2WASM_SCATTER_H

#include <stdint.h>
#include <string.h>

/* Copies blocks of so many bytes, one behind the other, to places that lie `stride` bytes apart. */
static inline void nn_scatter(void *restrict y, const uint8_t *restrict made, int blocks, int bytes,
    int stride) {
  uint8_t *to = y;
  for (; blocks > 0; --blocks, made += bytes, to += stride) {
    int i = 0;
    for (; i <= bytes - 8; i += 8) memcpy(to + i, made + i, 8);
    for (; i < bytes; ++i) to[i] = made[i];
  }
}

#endif
