/* Reads all inputs of a network from stdin, runs it once, writes all outputs to stdout.
 * The arena is allocated in exactly its size, so that a sanitizer sees what goes beyond it.
 * NN_INPUT_BYTES and NN_OUTPUT_BYTES are lists with one size for each tensor. */
#include NN_HEADER

#include <stdio.h>
#include <stdlib.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NAMED(suffix) JOIN(NN_MODEL, suffix)
#define SIZE(suffix) JOIN(NN_MODEL_UPPER, suffix)

static const size_t input_bytes[] = {NN_INPUT_BYTES};
static const size_t output_bytes[] = {NN_OUTPUT_BYTES};

int main(void) {
  void *const arena = malloc(SIZE(_ARENA_BYTES)); /* aligned to 16 bytes */
  if (arena == NULL) {
    return 2;
  }
  for (int i = 0; i < SIZE(_INPUT_COUNT); ++i) {
    if (fread(NAMED(_input)(arena, i), 1, input_bytes[i], stdin) != input_bytes[i]) {
      return 3;
    }
  }
  const int status = NAMED(_run)(arena);
  for (int i = 0; i < SIZE(_OUTPUT_COUNT); ++i) {
    fwrite(NAMED(_output)(arena, i), 1, output_bytes[i], stdout);
  }
  free(arena);
  return status;
}
