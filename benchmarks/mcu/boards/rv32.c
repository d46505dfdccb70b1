/* Startup, output and clock of QEMU's RISC-V machine virt: its serial port, its test device, and the
 * counter of retired instructions. */
#include "machine.h"

#define SERIAL (*(volatile uint8_t *)0x10000000u)
#define TEST_DEVICE (*(volatile uint32_t *)0x00100000u)

void machine_print(const char *text) {
  while (*text) SERIAL = (uint8_t)*text++;
}

_Noreturn void machine_exit(int status) {
  TEST_DEVICE = status ? ((uint32_t)status << 16) | 0x3333u : 0x5555u;
  for (;;) {
  }
}

uint64_t machine_ticks(void) {
  uint32_t high, low, again;
  do {
    __asm volatile(".option push\n\t.option arch, +zicsr\n\t"
                   "csrr %0, minstreth\n\tcsrr %1, minstret\n\tcsrr %2, minstreth\n\t.option pop"
                   : "=r"(high), "=r"(low), "=r"(again)::"memory");
  } while (high != again);
  return (uint64_t)high << 32 | low;
}

static void fault(void);

__attribute__((used, aligned(4))) static void fault(void) {
  machine_print("fault\n");
  machine_exit(99);
}

__attribute__((used)) static void start(void) {
  __asm volatile(".option push\n\t.option arch, +zicsr\n\tcsrw mtvec, %0\n\t.option pop" ::"r"(fault));
  machine_fill_memory();
  machine_exit(main());
}

void reset(void);

/* The machine jumps to the begin of its memory, without a stack. */
__attribute__((naked, section(".vectors"), used)) void reset(void) {
  __asm volatile("la sp, stack_top\n\tcall start");
}
