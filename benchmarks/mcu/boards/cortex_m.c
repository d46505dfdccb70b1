/* Startup, output and clock of a Cortex-M: semihosting and SysTick, which every core has. */
#include "machine.h"

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)
#define CONFIGURATION (*(volatile uint32_t *)0xE000ED14u)
#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u)

#define SYSTICK_LARGEST 0xFFFFFFu
#define LOW_OVERHEAD_LOOPS (1u << 19)
#define FLOATING_POINT (0xFu << 20)

static volatile uint32_t wraps;

/* Semihosting: the emulator does what r0 asks for, with r1 for an argument. */
static void ask(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm("r0") = operation;
  register const void *r1 __asm("r1") = argument;
  __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

void machine_print(const char *text) {
  ask(0x04, text);
}

_Noreturn void machine_exit(int status) {
  const uint32_t reason[2] = {0x20026u, (uint32_t)status}; /* the application ended by itself */
  ask(0x20, reason);
  for (;;) {
  }
}

uint64_t machine_ticks(void) {
  uint32_t before, value;
  do {
    before = wraps;
    value = SYSTICK_VALUE;
  } while (before != wraps);
  return (uint64_t)before * (SYSTICK_LARGEST + 1u) + (SYSTICK_LARGEST - value);
}

static void count_wrap(void) {
  ++wraps;
}

static void fault(void) {
  machine_print("fault\n");
  machine_exit(99);
}

_Noreturn void reset(void);

_Noreturn void reset(void) {
  COPROCESSOR_ACCESS |= FLOATING_POINT; /* where there is none, nothing happens */
#if defined(__ARM_FEATURE_MVE)
  CONFIGURATION |= LOW_OVERHEAD_LOOPS;
#endif
  __asm volatile("dsb\n\tisb" ::: "memory");
  machine_fill_memory();
  SYSTICK_RELOAD = SYSTICK_LARGEST;
  SYSTICK_VALUE = 0;
  SYSTICK_CONTROL = 7; /* the core's clock, an exception at zero, on */
  machine_exit(main());
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    stack_top, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
    (void *)fault, (void *)fault, 0, 0, 0, (void *)fault, (void *)fault, 0, (void *)fault,
    (void *)count_wrap,
};
