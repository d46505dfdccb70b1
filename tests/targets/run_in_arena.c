/* Reads all inputs of a network from stdin, runs it, writes all outputs to stdout; again as long as
 * there are inputs.
 * The arena is allocated in exactly its size, so that a sanitizer sees what goes beyond it.
 * NN_INPUT_BYTES and NN_OUTPUT_BYTES are lists with one size for each tensor. */
#include NN_HEADER

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
  memset(arena, 0xa5, SIZE(_ARENA_BYTES)); /* a network counts on nothing that it did not write */
#if SIZE(_STATEFUL)
  NAMED(_reset)(arena);
#endif
  int status = 0;
  for (int run = 0; status == 0; ++run) {
    for (int i = 0; i < SIZE(_INPUT_COUNT); ++i) {
      const size_t read = fread(NAMED(_input)(arena, i), 1, input_bytes[i], stdin);
      if (run > 0 && i == 0 && read == 0) {
        free(arena);
        return 0;
      }
      if (read != input_bytes[i]) {
        return 3;
      }
    }
    status = NAMED(_run)(arena);
    for (int i = 0; i < SIZE(_OUTPUT_COUNT); ++i) {
      fwrite(NAMED(_output)(arena, i), 1, output_bytes[i], stdout);
    }
    if (SIZE(_INPUT_COUNT) == 0) break;
  }
  free(arena);
  return status;
}
