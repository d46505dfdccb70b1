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

/* Of the taps at begin, begin + step, ... the first that is not below 0. */
static inline int nn_first_tap(int begin, int step) {
  return begin < 0 ? (step - 1 - begin) / step : 0;
}

/* How many of `count` such taps are below size. */
static inline int nn_end_tap(int begin, int step, int count, int size) {
  const int fit = begin < size ? (size - begin + step - 1) / step : 0;
  return fit < count ? fit : count;
}

#endif
