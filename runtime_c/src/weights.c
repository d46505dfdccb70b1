/* Where a module reads weights that do not lie in its memory. NN_FLASH: from its data segment 0, which
 * nn2wasm makes passive and fills after the link. Else from the host, which is asked for
 *
 *     nn2wasm.read(to, offset, bytes): copy bytes of the file of weights to the address `to` */
#include NN_HEADER

#define NN_READ_(model) model##_read
#define NN_READ(model) NN_READ_(model)

#if NN_FLASH
void NN_READ(NN_MODEL)(void *to, uint32_t offset, uint32_t bytes)
{
    __asm__ volatile("local.get %0\n\tlocal.get %1\n\tlocal.get %2\n\tmemory.init 0, 0"
                     :
                     : "r"(to), "r"(offset), "r"(bytes)
                     : "memory");
}
#else
__attribute__((import_module("nn2wasm"), import_name("read")))
void nn_host_read(void *to, uint32_t offset, uint32_t bytes);

void NN_READ(NN_MODEL)(void *to, uint32_t offset, uint32_t bytes)
{
    nn_host_read(to, offset, bytes);
}
#endif
