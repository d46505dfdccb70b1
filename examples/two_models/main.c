/* Reads a handwritten digit with one network and turns by so many tenths with another. */
#include <math.h>
#include <stdio.h>

#include "digits_int8.h"
#include "image.h"
#include "sine_int8.h"

/* The networks do not run at the same time: one arena, as large as the larger one, serves both. */
static _Alignas(16) union {
  unsigned char digits[DIGITS_INT8_ARENA_BYTES];
  unsigned char sine[SINE_INT8_ARENA_BYTES];
} arena;

static int read_digit(void) {
  float *const image = digits_int8_input(&arena, 0);
  for (int i = 0; i < DIGITS_INT8_INPUT_0_COUNT; ++i) {
    image[i] = (float)digit_ink[i] / 16.0f;
  }
  digits_int8_run(&arena);
  const float *const logits = digits_int8_output(&arena, 0);
  int best = 0;
  for (int i = 1; i < DIGITS_INT8_OUTPUT_0_COUNT; ++i) {
    best = logits[i] > logits[best] ? i : best;
  }
  return best;
}

static float sine(float x) {
  *(float *)sine_int8_input(&arena, 0) = x;
  sine_int8_run(&arena);
  return *(const float *)sine_int8_output(&arena, 0);
}

int main(void) {
  const int digit = read_digit();
  const float angle = 0.628318531f * (float)digit;
  printf("the image shows a %d\n", digit);
  printf("sine of %d tenths of a turn: %.2f by the network, %.2f by the C library\n", digit,
         (double)sine(angle), sin((double)angle));
  printf("one arena for both: %d bytes\n", (int)sizeof arena);
  return 0;
}
