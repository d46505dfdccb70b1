/* Somebody walks, stands, and walks on: a network counts the steps, sample by sample. */
#include <math.h>
#include <stdio.h>

#include "steps.h"

static _Alignas(16) unsigned char arena[STEPS_ARENA_BYTES];

/* What an accelerometer measures at a time: gravity, two steps a second while walking, and noise. */
static void measure(float *g, int time, int walks) {
  static unsigned noise = 1;
  const double phase = 6.283185307 * 2.0 * time / 50.0;
  for (int axis = 0; axis < 3; ++axis) {
    noise = noise * 1664525u + 1013904223u;
    const double hiss = (double)(noise >> 16) / 65536.0 - 0.5;
    const double gravity = axis == 2 ? 1.0 : 0.0;
    g[axis] = (float)(gravity + 0.05 * hiss + (walks ? gravity * 0.4 * sin(phase) : 0.0));
  }
}

static int count(int samples, int walks) {
  for (int time = 0; time < samples; ++time) {
    measure(steps_input(arena, 0), time, walks);
    steps_run(arena);
  }
  return *(const int *)steps_output(arena, 0);
}

/* Steps in so many samples of walking, then of standing. */
static void walk(const char *who, int samples) {
  steps_reset(arena); /* what was learned of somebody else is forgotten */
  const int start = count(250, 0); /* some seconds to learn what gravity is */
  const int walked = count(samples, 1);
  const int stood = count(samples, 0);
  printf("%s: %d steps walking, %d standing\n", who, walked - start, stood - walked);
}

int main(void) {
  walk("one, ten seconds", 500);
  walk("another, a minute", 3000);
  printf("an arena of %d bytes\n", STEPS_ARENA_BYTES);
  return 0;
}
