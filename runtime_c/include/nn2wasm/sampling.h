/* Elements between elements: which ones a real position of an axis mixes, and how. */
#ifndef NN2WASM_SAMPLING_H
#define NN2WASM_SAMPLING_H

#include "nn2wasm/math.h"

enum { NN_ZEROS, NN_BORDER, NN_REFLECTION };

/* A position mirrored at lo and hi until it lies between them. */
static inline float nn_reflected(float v, float lo, float hi) {
  const float range = hi - lo, beyond = v < lo ? lo - v : v - hi;
  if (!(range > 0.0f)) return lo;
  if (v >= lo && v <= hi) return v;
  const float turns = nn_floor(beyond / range), rest = beyond - turns * range;
  const int even = turns == 2.0f * nn_floor(turns * 0.5f);
  return (v < lo) == even ? lo + rest : hi - rest;
}

/* Keys' cubic convolution, a = -0.75, at a distance from the position. */
static inline float nn_cubic(float distance) {
  const float a = -0.75f, d = nn_abs(distance);
  if (d <= 1.0f) return ((a + 2.0f) * d - (a + 3.0f)) * d * d + 1.0f;
  return ((a * d - 5.0f * a) * d + 8.0f * a) * d - 4.0f * a;
}

/* What the position g, -1 to 1 along an axis of that size, mixes: places, -1 for those outside, and
   weights. count: 1 nearest, 2 linear, 4 cubic. aligned: -1 and 1 are the centres of the outermost
   elements, else their outer edges. Any g, NaN too, gives places inside. */
static inline void nn_grid_taps(float g, int size, int count, int padding, int aligned,
    int *place, float *weight) {
  const float last = (float)(size - 1);
  const float lo = aligned ? 0.0f : -0.5f, hi = aligned ? last : last + 0.5f;
  float v = aligned ? (g + 1.0f) / 2.0f * last : ((g + 1.0f) * (float)size - 1.0f) / 2.0f;
  v = v > -1e9f ? (v < 1e9f ? v : 1e9f) : -1e9f;
  if (count == 1) v = nn_round(v);
  if (v < lo || v > hi) {
    if (padding == NN_BORDER && count < 4) v = nn_clamp(v, 0.0f, last);
    if (padding == NN_REFLECTION) v = nn_reflected(v, lo, hi);
  }
  const float floor = nn_floor(v), part = v - floor;
  const int first = (int)floor - (count == 4);
  for (int k = 0; k < count; ++k) {
    int at = first + k;
    if (at < 0 || at >= size) {
      if (padding == NN_REFLECTION) at = (int)nn_reflected((float)at, lo, hi);
      if (padding != NN_ZEROS) at = at < 0 ? 0 : at < size ? at : size - 1;
    }
    place[k] = at < 0 || at >= size ? -1 : at;
    const float linear = k ? part : 1.0f - part;
    weight[k] = count == 1 ? 1.0f : count == 2 ? linear : nn_cubic(part + 1.0f - (float)k);
  }
}

/* The plane's value at row y and column x, linear between its pixels; those outside are 0. */
static inline float nn_bilinear(const float *plane, int h, int w, float y, float x) {
  if (!(y > -1.0f && y < (float)h && x > -1.0f && x < (float)w)) return 0.0f;
  const float top = nn_floor(y), left = nn_floor(x), dy = y - top, dx = x - left;
  const int row = (int)top, column = (int)left;
  float sum = 0.0f;
  for (int i = 0; i < 4; ++i) {
    const int r = row + i / 2, c = column + i % 2;
    if (r < 0 || r >= h || c < 0 || c >= w) continue;
    sum += (i / 2 ? dy : 1.0f - dy) * (i % 2 ? dx : 1.0f - dx) * plane[r * w + c];
  }
  return sum;
}

/* Samples along a cell of a region: one for each pixel that it is long, at most so many. */
static inline int nn_sample_count(float length, float most) {
  const float whole = nn_floor(length), count = whole < length ? whole + 1.0f : whole;
  return count > 0.0f ? (int)(count < most ? count : most) : 0;
}

/* The four pixels around a position, each times its weight; 0 a pixel or more outside the plane, the
   edge's pixels up to there. */
static inline void nn_corners(const float *plane, int h, int w, float y, float x, float v[4]) {
  const int is_near = y >= -1.0f && y <= (float)h && x >= -1.0f && x <= (float)w;
  const float top = is_near ? nn_clamp(y, 0.0f, (float)(h - 1)) : 0.0f;
  const float left = is_near ? nn_clamp(x, 0.0f, (float)(w - 1)) : 0.0f;
  const int row = (int)top, column = (int)left;
  const float dy = top - (float)row, dx = left - (float)column;
  for (int i = 0; i < 4; ++i) {
    const int r = row + i / 2 < h ? row + i / 2 : h - 1;
    const int c = column + i % 2 < w ? column + i % 2 : w - 1;
    const float weight = (i / 2 ? dy : 1.0f - dy) * (i % 2 ? dx : 1.0f - dx);
    v[i] = is_near ? weight * plane[r * w + c] : 0.0f;
  }
}

#endif
