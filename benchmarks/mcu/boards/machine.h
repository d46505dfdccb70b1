/* What a program needs of the emulated machine. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdint.h>

int main(void);

/* Ticks of a clock that counts executed instructions. */
uint64_t machine_ticks(void);

void machine_print(const char *text);

_Noreturn void machine_exit(int status);

/* The memory that the stack may grow into: [stack_limit, stack_top). */
extern uint32_t stack_limit[], stack_top[];

/* Of the linker's script: what the startup code fills. */
extern uint32_t data_source[], data_begin[], data_end[], bss_begin[], bss_end[];

static inline void machine_fill_memory(void) {
  const volatile uint32_t *from = data_source;
  for (volatile uint32_t *to = data_begin; to < data_end;) *to++ = *from++;
  for (volatile uint32_t *to = bss_begin; to < bss_end;) *to++ = 0;
}

#endif
