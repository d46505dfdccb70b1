/* Runs a module of nn2wasm in wasm3, in as little memory as the module needs.
 *
 *   host digits.wasm
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wasm3.h>

#include <m3_env.h> /* for memoryLimit: no function of wasm3 sets it */

#include "image.h"

/* For the values of nested calls. Modules of nn2wasm need less; too little is an error, no crash. */
#define STACK_BYTES 8192

static void stop(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(M3Result result, const char *what) {
  if (result != m3Err_none) stop(what, result);
}

static uint8_t *read_file(const char *path, uint32_t *bytes) {
  FILE *const file = fopen(path, "rb");
  if (file == NULL) stop(path, "cannot be read");
  fseek(file, 0, SEEK_END);
  const long size = ftell(file);
  rewind(file);
  uint8_t *const data = size > 0 ? malloc((size_t)size) : NULL;
  if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size) stop(path, "cannot be read");
  fclose(file);
  *bytes = (uint32_t)size;
  return data;
}

static uint32_t read_leb(const uint8_t **at, const uint8_t *end) {
  uint32_t value = 0;
  for (int shift = 0; *at < end && shift < 32; shift += 7) {
    const uint8_t byte = *(*at)++;
    value |= (uint32_t)(byte & 127) << shift;
    if (byte < 128) break;
  }
  return value;
}

/* The number behind "memory_bytes" in the section "nn2wasm", which is JSON; 0 where there is none. */
static uint32_t memory_bytes(const uint8_t *module, uint32_t bytes) {
  static const char key[] = "\"memory_bytes\":";
  const uint8_t *const end = module + bytes;
  const uint8_t *at = module + 8;
  while (at < end) {
    const uint8_t id = *at++;
    const uint32_t size = read_leb(&at, end);
    if (size > (uint32_t)(end - at)) break;
    const uint8_t *const next = at + size;
    if (id == 0 && size > 8 && at[0] == 7 && memcmp(at + 1, "nn2wasm", 7) == 0) {
      for (at += 8; at + sizeof key < next; ++at) {
        if (memcmp(at, key, sizeof key - 1) == 0) {
          return (uint32_t)strtoul((const char *)at + sizeof key - 1, NULL, 10);
        }
      }
    }
    at = next;
  }
  return 0;
}

/* The result of an exported function with one argument, or none. */
static uint32_t call(IM3Runtime runtime, const char *name, int argument_count, uint32_t argument) {
  IM3Function function = NULL;
  const void *const arguments[] = {&argument};
  uint32_t result = 0;
  check(m3_FindFunction(&function, runtime, name), name);
  check(m3_Call(function, (uint32_t)argument_count, (const void **)arguments), name);
  check(m3_GetResultsV(function, &result), name);
  return result;
}

int main(int argc, char **argv) {
  if (argc != 2) stop("usage", "host digits.wasm");
  uint32_t bytes = 0;
  uint8_t *const wasm = read_file(argv[1], &bytes);

  IM3Environment environment = m3_NewEnvironment();
  IM3Runtime runtime = m3_NewRuntime(environment, STACK_BYTES, NULL);
  IM3Module module = NULL;
  check(m3_ParseModule(environment, &module, wasm, bytes), "parse");

  /* A module's memory is a whole number of 64 KB pages. What lies behind the bytes that it uses need not exist. */
  runtime->memoryLimit = memory_bytes(wasm, bytes);
  check(m3_LoadModule(runtime, module), "load");

  float image[64];
  for (int i = 0; i < 64; ++i) image[i] = (float)digit_ink[i] / 16.0f;
  const uint32_t input = call(runtime, "nn_input", 1, 0);
  memcpy(m3_GetMemory(runtime, NULL, 0) + input, image, sizeof image);

  if (call(runtime, "nn_run", 0, 0) != 0) stop("nn_run", "the network reports an error");

  float logits[10];
  const uint32_t output = call(runtime, "nn_output", 1, 0);
  memcpy(logits, m3_GetMemory(runtime, NULL, 0) + output, sizeof logits);
  int best = 0;
  for (int i = 1; i < 10; ++i) best = logits[i] > logits[best] ? i : best;
  printf("the image shows a %d\n", best);
  printf("linear memory: %u bytes of a page of 65536\n", (unsigned)m3_GetMemorySize(runtime));

  m3_FreeRuntime(runtime);
  m3_FreeEnvironment(environment);
  free(wasm);
  return 0;
}
