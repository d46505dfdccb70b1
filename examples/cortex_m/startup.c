/* From reset to main(), and the few functions of a C library that compilers call by themselves. */
#include <stdint.h>
#include <string.h>

int main(void);
void reset(void);
void fault(void);
void semihost_exit(int failed);

extern uint32_t stack_top[], data_begin[], data_end[], bss_begin[], bss_end[];
extern const uint32_t data_in_flash[];

#define CPACR (*(volatile uint32_t *)0xE000ED88u)

/* volatile keeps compilers from turning the loops into calls of these very functions. */
void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
  return to;
}

void *memmove(void *to, const void *from, size_t bytes) {
  if ((uintptr_t)to <= (uintptr_t)from) {
    for (size_t i = 0; i < bytes; ++i) ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
  }
  for (size_t i = bytes; i > 0; --i) ((volatile uint8_t *)to)[i - 1] = ((const uint8_t *)from)[i - 1];
  return to;
}

void *memset(void *to, int value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) ((volatile uint8_t *)to)[i] = (uint8_t)value;
  return to;
}

void reset(void) {
  CPACR |= 0xFu << 20; /* the FPU, which is off after reset */
  __asm__ volatile("dsb\n\tisb" ::: "memory");
  memcpy(data_begin, data_in_flash, (size_t)((char *)data_end - (char *)data_begin));
  memset(bss_begin, 0, (size_t)((char *)bss_end - (char *)bss_begin));
  semihost_exit(main());
}

void fault(void) {
  semihost_exit(1);
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    stack_top, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};
