/* What an engine can do at most: dot products and additions into eight accumulators, operands in
   the first-level cache. Has the interface of a compiled network, so that the same hosts run it. */
#include <stdint.h>
#include <wasm_simd128.h>

#define STEPS 32     /* vectors of weights: 512 bytes */
#define ROWS 8       /* accumulators */
#define REPEATS 4096 /* DOTS = STEPS * ROWS * REPEATS, also in ceiling.py */

static v128_t weights[STEPS];
static v128_t inputs[STEPS * ROWS];
static float input[1], output[1];

__attribute__((export_name("nn_input"))) float *nn_input(int i) { return i ? 0 : input; }
__attribute__((export_name("nn_output"))) float *nn_output(int i) { return i ? 0 : output; }

static inline v128_t step(v128_t sum, v128_t x, v128_t w) {
#ifdef __wasm_relaxed_simd__
  return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, w, sum);
#else
  return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(x, w));
#endif
}

__attribute__((export_name("nn_run"))) int nn_run(void) {
  v128_t sum[ROWS] = {0};
  /* Operands that no compiler knows or finds equal. */
  for (int i = 0; i < STEPS; ++i) weights[i] = wasm_i8x16_splat((int8_t)((int)input[0] + i));
  for (int i = 0; i < STEPS * ROWS; ++i) inputs[i] = wasm_i8x16_splat((int8_t)((int)input[0] - i));
  for (int repeat = 0; repeat < REPEATS; ++repeat) {
    for (int k = 0; k < STEPS; ++k) {
#pragma clang loop unroll(full)
      for (int row = 0; row < ROWS; ++row)
        sum[row] = step(sum[row], inputs[k * ROWS + row], weights[k]);
    }
  }
  for (int row = 1; row < ROWS; ++row) sum[0] = wasm_i32x4_add(sum[0], sum[row]);
  output[0] = (float)wasm_i32x4_extract_lane(sum[0], 0);
  return 0;
}
