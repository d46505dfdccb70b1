/* The part of <string.h> that generated code may use, for targets without a C library.
 * wasm-ld links src/memory.c only where clang did not turn the call into an instruction. */
#ifndef NN2WASM_FREESTANDING_STRING_H
#define NN2WASM_FREESTANDING_STRING_H

#include <stddef.h>

void *memcpy(void *restrict destination, const void *restrict source, size_t count);
void *memmove(void *destination, const void *source, size_t count);
void *memset(void *destination, int value, size_t count);
int memcmp(const void *left, const void *right, size_t count);

#endif
