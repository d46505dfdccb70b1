/* Runs a module of nn2wasm in WAMR, all of whose memory comes from one static pool.
 *
 *   host digits.wasm
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wasm_export.h>

#include "image.h"

#define MODULE_BYTES 65536
#define POOL_BYTES 131072 /* the runtime's own structures, the module's memory, the stack */
#define STACK_BYTES 8192  /* of the interpreter, for nested calls */

static _Alignas(16) uint8_t pool[POOL_BYTES];
static uint8_t wasm[MODULE_BYTES]; /* stays as long as the module: WAMR does not copy it */
static char error[128];

static void stop(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static uint32_t read_module(const char *path) {
  FILE *const file = fopen(path, "rb");
  if (file == NULL) stop(path, "cannot be read");
  const size_t bytes = fread(wasm, 1, sizeof wasm, file);
  if (bytes == 0 || fgetc(file) != EOF) stop(path, "is empty, or larger than MODULE_BYTES");
  fclose(file);
  return (uint32_t)bytes;
}

/* The result of an exported function with one argument, or none. */
static uint32_t call(wasm_exec_env_t env, const char *name, uint32_t argument_count, uint32_t argument) {
  const wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
  const wasm_function_inst_t function = wasm_runtime_lookup_function(instance, name);
  uint32_t cells[1] = {argument}; /* arguments going in, the result coming out */
  if (function == NULL) stop(name, "the module has no such function");
  if (!wasm_runtime_call_wasm(env, function, argument_count, cells)) {
    stop(name, wasm_runtime_get_exception(instance));
  }
  return cells[0];
}

/* A tensor's place in the host's memory, which holds `bytes` bytes. */
static void *tensor(wasm_exec_env_t env, const char *name, uint32_t bytes) {
  const wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
  const uint32_t address = call(env, name, 1, 0);
  if (!wasm_runtime_validate_app_addr(instance, address, bytes)) stop(name, "outside the memory");
  return wasm_runtime_addr_app_to_native(instance, address);
}

int main(int argc, char **argv) {
  if (argc != 2) stop("usage", "host digits.wasm");
  const uint32_t bytes = read_module(argv[1]);

  RuntimeInitArgs settings;
  memset(&settings, 0, sizeof settings);
  settings.mem_alloc_type = Alloc_With_Pool;
  settings.mem_alloc_option.pool.heap_buf = pool;
  settings.mem_alloc_option.pool.heap_size = sizeof pool;
  if (!wasm_runtime_full_init(&settings)) stop("WAMR", "cannot start");

  const wasm_module_t module = wasm_runtime_load(wasm, bytes, error, sizeof error);
  if (module == NULL) stop("load", error);

  /* No heap: the network needs none, and without one WAMR cuts the memory off at __heap_base, below a page. */
  const wasm_module_inst_t instance = wasm_runtime_instantiate(module, STACK_BYTES, 0, error, sizeof error);
  if (instance == NULL) stop("instantiate", error);
  const wasm_exec_env_t env = wasm_runtime_create_exec_env(instance, STACK_BYTES);
  if (env == NULL) stop("stack", "not enough memory in the pool");

  float image[64];
  for (int i = 0; i < 64; ++i) image[i] = (float)digit_ink[i] / 16.0f;
  memcpy(tensor(env, "nn_input", sizeof image), image, sizeof image);

  if (call(env, "nn_run", 0, 0) != 0) stop("nn_run", "the network reports an error");

  float logits[10];
  memcpy(logits, tensor(env, "nn_output", sizeof logits), sizeof logits);
  int best = 0;
  for (int i = 1; i < 10; ++i) best = logits[i] > logits[best] ? i : best;
  printf("the image shows a %d\n", best);

  wasm_runtime_destroy_exec_env(env);
  wasm_runtime_deinstantiate(instance);
  wasm_runtime_unload(module);
  wasm_runtime_destroy();
  return 0;
}
