/* The interface of a compiled model, the same in a WebAssembly module and in a shared library:
 *
 *     nn_abi_version() -> 1
 *     nn_input_count(), nn_output_count() -> count
 *     nn_input(i), nn_output(i) -> address of the tensor, 0 where there is no such tensor
 *     nn_run() -> 0, or the model's own status
 *     nn_begin(), nn_feed(rows) -> rows that are still to come (only of models that are fed row by row)
 *     nn_reset() makes what stays between runs zero (only of models with a state)
 *     nn_check() -> 0 where this machine computes the model rightly (only where that is a question)
 *     nn_metadata() -> JSON text (shared libraries only; a module has a section for it)
 *
 * The arena is static, so one instance is one model with its own memory: not reentrant.
 * The model comes in by macros: NN_HEADER "resnet8.h", NN_MODEL resnet8, NN_MODEL_UPPER RESNET8. */
#include NN_HEADER

#define NN_JOIN_(a, b) a##b
#define NN_JOIN(a, b) NN_JOIN_(a, b)

#if defined(__wasm__)
#define NN_EXPORT(name) __attribute__((export_name(#name)))
#elif defined(_WIN32)
#define NN_EXPORT(name) __declspec(dllexport)
#else
#define NN_EXPORT(name) __attribute__((visibility("default")))
#endif

NN_EXPORT(nn_abi_version) int nn_abi_version(void);
NN_EXPORT(nn_input_count) int nn_input_count(void);
NN_EXPORT(nn_output_count) int nn_output_count(void);
NN_EXPORT(nn_input) void *nn_input(int index);
NN_EXPORT(nn_output) void *nn_output(int index);
NN_EXPORT(nn_run) int nn_run(void);

static _Alignas(16) unsigned char nn_arena[NN_JOIN(NN_MODEL_UPPER, _ARENA_BYTES)];

int nn_abi_version(void)
{
    return 1;
}

int nn_input_count(void)
{
    return NN_JOIN(NN_MODEL_UPPER, _INPUT_COUNT);
}

int nn_output_count(void)
{
    return NN_JOIN(NN_MODEL_UPPER, _OUTPUT_COUNT);
}

void *nn_input(int index)
{
    return NN_JOIN(NN_MODEL, _input)(nn_arena, index);
}

void *nn_output(int index)
{
    return NN_JOIN(NN_MODEL, _output)(nn_arena, index);
}

int nn_run(void)
{
    return NN_JOIN(NN_MODEL, _run)(nn_arena);
}

#if NN_JOIN(NN_MODEL_UPPER, _FED)
NN_EXPORT(nn_begin) void nn_begin(void);
NN_EXPORT(nn_feed) int nn_feed(int rows);

void nn_begin(void)
{
    NN_JOIN(NN_MODEL, _begin)(nn_arena);
}

int nn_feed(int rows)
{
    return NN_JOIN(NN_MODEL, _feed)(nn_arena, rows);
}
#endif

#if NN_JOIN(NN_MODEL_UPPER, _STATEFUL)
NN_EXPORT(nn_reset) void nn_reset(void);

void nn_reset(void)
{
    NN_JOIN(NN_MODEL, _reset)(nn_arena);
}
#endif

#if NN_JOIN(NN_MODEL_UPPER, _CHECKED)
NN_EXPORT(nn_check) int nn_check(void);

int nn_check(void)
{
    return NN_JOIN(NN_MODEL, _check)();
}
#endif

#if !defined(__wasm__)
extern const char nn_metadata_text[]; /* generated beside this file */
NN_EXPORT(nn_metadata) const char *nn_metadata(void);

const char *nn_metadata(void)
{
    return nn_metadata_text;
}
#endif
