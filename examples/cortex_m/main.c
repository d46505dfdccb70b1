/* Reads a handwritten digit on a Cortex-M4 and prints it through the debugger, which here is QEMU. */
#include <stdint.h>

#include "digits_int8.h"
#include "image.h"

void feed_watchdog(void);
void semihost_exit(int failed);

static _Alignas(16) unsigned char arena[DIGITS_INT8_ARENA_BYTES];
static int fed = 0;

/* Arm semihosting: the debugger sees the breakpoint and does what r0 asks for. */
static void semihost(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(const char *text) {
  semihost(0x04, text); /* SYS_WRITE0 */
}

static void print_number(int number) {
  char digits[12];
  char *at = digits + sizeof digits - 1;
  *at = '\0';
  do {
    *--at = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  print(at);
}

void semihost_exit(int failed) {
  const uint32_t reason[2] = {0x20026, (uint32_t)failed}; /* ADP_Stopped_ApplicationExit */
  semihost(0x20, reason);                                  /* SYS_EXIT_EXTENDED */
  for (;;) {
  }
}

/* Write to your watchdog's register here; nn2wasm_config.h calls it between layers. */
void feed_watchdog(void) {
  ++fed;
}

int main(void) {
  float *const image = digits_int8_input(arena, 0);
  for (int i = 0; i < DIGITS_INT8_INPUT_0_COUNT; ++i) image[i] = (float)digit_ink[i] / 16.0f;
  if (digits_int8_run(arena) != 0) return 1;
  const float *const logits = digits_int8_output(arena, 0);
  int best = 0;
  for (int i = 1; i < DIGITS_INT8_OUTPUT_0_COUNT; ++i) best = logits[i] > logits[best] ? i : best;
  print("the image shows a ");
  print_number(best);
  print("\nthe watchdog was fed ");
  print_number(fed);
  print(" times\n");
  return 0;
}
