/* Runs a network once for each sample of inputs that is linked in, and prints what it gives and takes:
 *
 *   ticks 000000000012ab34     of the machine's clock, in hexadecimal like all numbers
 *   layer 000000000000ab34     the same for each layer in turn, where the sources tell of their ends
 *   stack 00000000000000f8     bytes below the frame that called the network
 *   output 00ff…               the bytes of each output
 *
 * NN_INPUT_BYTES and NN_OUTPUT_BYTES are lists with one size for each tensor. */
#include NN_HEADER

#include "machine.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NAMED(suffix) JOIN(NN_MODEL, suffix)
#define SIZE(suffix) JOIN(NN_MODEL_UPPER, suffix)

#define PAINT 0xA5A5A5A5u
#define LAYERS 512

extern const unsigned char sample_inputs[];

static const uint32_t input_bytes[] = {NN_INPUT_BYTES};
static const uint32_t output_bytes[] = {NN_OUTPUT_BYTES};
static _Alignas(16) unsigned char arena[SIZE(_ARENA_BYTES)];

static uint64_t layer_ends[LAYERS];
static int layer_count;

void layer_ended(void);

/* Called behind each layer of sources that were changed to do so. */
__attribute__((noinline)) void layer_ended(void) {
  if (layer_count < LAYERS) layer_ends[layer_count++] = machine_ticks();
}

static void print_hexadecimal(uint32_t value, int digits) {
  char text[9];
  for (int i = digits; i > 0; value >>= 4) text[--i] = "0123456789abcdef"[value & 15u];
  text[digits] = 0;
  machine_print(text);
}

static void print_number(const char *name, uint64_t value) {
  machine_print(name);
  machine_print(" ");
  print_hexadecimal((uint32_t)(value >> 32), 8);
  print_hexadecimal((uint32_t)value, 8);
  machine_print("\n");
}

static void print_output(int index) {
  const unsigned char *const y = NAMED(_output)(arena, index);
  machine_print("output ");
  for (uint32_t i = 0; i < output_bytes[index]; ++i) print_hexadecimal(y[i], 2);
  machine_print("\n");
}

/* Both look at the stack below their own frame, which is as deep as that of the network's caller. */
static __attribute__((noinline)) void paint_stack(void) {
  volatile uint32_t *const end = (uint32_t *)__builtin_frame_address(0) - 8;
  for (volatile uint32_t *p = stack_limit; p < end; ++p) *p = PAINT;
}

static __attribute__((noinline)) uint32_t painted_over(void) {
  const volatile uint32_t *const end = (uint32_t *)__builtin_frame_address(0);
  const volatile uint32_t *p = stack_limit;
  while (p < end && *p == PAINT) ++p;
  return (uint32_t)(end - p) * 4u;
}

static int run_sample(const unsigned char *inputs) {
  for (int i = 0; i < SIZE(_INPUT_COUNT); ++i) {
    unsigned char *const x = NAMED(_input)(arena, i);
    for (uint32_t at = 0; at < input_bytes[i]; ++at) x[at] = *inputs++;
  }
  layer_count = 0;
  paint_stack();
  const uint64_t nothing = machine_ticks();
  const uint64_t begin = machine_ticks();
  const int status = NAMED(_run)(arena);
  const uint64_t end = machine_ticks();
  const uint32_t stack = painted_over();
  const uint64_t reading = begin - nothing;
  print_number("ticks", end - begin - reading);
  uint64_t before = begin;
  for (int i = 0; i < layer_count; ++i) {
    print_number("layer", layer_ends[i] - before);
    before = layer_ends[i];
  }
  print_number("stack", stack);
  for (int i = 0; i < SIZE(_OUTPUT_COUNT); ++i) print_output(i);
  return status;
}

int main(void) {
  uint32_t sample_bytes = 0;
  for (int i = 0; i < SIZE(_INPUT_COUNT); ++i) sample_bytes += input_bytes[i];
  for (int sample = 0; sample < NN_SAMPLES; ++sample) {
    const int status = run_sample(sample_inputs + (uint32_t)sample * sample_bytes);
    if (status) return status;
  }
  return 0;
}
