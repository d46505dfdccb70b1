/* Indices that are computed at run time: whatever they are, memory is read and written inside. */
#ifndef NN2WASM_INDEXING_H
#define NN2WASM_INDEXING_H

#include <stdint.h>

/* The element of an axis that an index names, counted from the end where it is negative; the nearest
   one where it names none. size > 0. */
static inline int nn_index(int64_t index, int size) {
  const int64_t at = index < 0 ? index + size : index;
  return at < 0 ? 0 : at < size ? (int)at : size - 1;
}

#endif
