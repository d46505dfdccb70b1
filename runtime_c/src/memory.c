/* memcpy, memmove, memset and memcmp for WebAssembly cores without memory.copy and memory.fill.
 * With these instructions (lime1 and up) clang calls none of them and the linker drops the file.
 * Clang recognises such loops and would replace each by a call to itself: no_builtin forbids it. */
#include <stddef.h>

#include "freestanding/string.h"

#define NN_NO_CALLS __attribute__((no_builtin("memcpy", "memmove", "memset", "memcmp")))

NN_NO_CALLS void *memcpy(void *restrict destination, const void *restrict source, size_t count)
{
    unsigned char *to = destination;
    const unsigned char *from = source;
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
    return destination;
}

NN_NO_CALLS void *memmove(void *destination, const void *source, size_t count)
{
    unsigned char *to = destination;
    const unsigned char *from = source;
    if ((size_t)to - (size_t)from >= count) { /* also true where `to` lies before `from` */
        for (size_t i = 0; i < count; i++) {
            to[i] = from[i];
        }
    } else {
        for (size_t i = count; i > 0; i--) {
            to[i - 1] = from[i - 1];
        }
    }
    return destination;
}

NN_NO_CALLS void *memset(void *destination, int value, size_t count)
{
    unsigned char *to = destination;
    for (size_t i = 0; i < count; i++) {
        to[i] = (unsigned char)value;
    }
    return destination;
}

NN_NO_CALLS int memcmp(const void *left, const void *right, size_t count)
{
    const unsigned char *a = left;
    const unsigned char *b = right;
    for (size_t i = 0; i < count; i++) {
        if (a[i] != b[i]) {
            return a[i] < b[i] ? -1 : 1;
        }
    }
    return 0;
}
