/* WAMR's functions, as far as the example calls them, made from wasm3. One module, one instance. */
#include <stdio.h>
#include <string.h>

#include <wasm3.h>

#include "wasm_export.h"

static IM3Environment environment;
static IM3Runtime runtime;
static IM3Module module;
static M3Result exception;

static bool failed(M3Result result, char *error, uint32_t bytes) {
    if (result == m3Err_none) return false;
    snprintf(error, bytes, "%s", result);
    return true;
}

bool wasm_runtime_full_init(RuntimeInitArgs *init_args) {
    const bool has_pool =
        init_args->mem_alloc_type == Alloc_With_Pool && init_args->mem_alloc_option.pool.heap_size > 0;
    environment = has_pool ? m3_NewEnvironment() : NULL;
    return environment != NULL;
}

void wasm_runtime_destroy(void) {
    m3_FreeEnvironment(environment);
}

wasm_module_t wasm_runtime_load(uint8_t *buf, uint32_t size, char *error_buf, uint32_t error_buf_size) {
    const M3Result result = m3_ParseModule(environment, &module, buf, size);
    return failed(result, error_buf, error_buf_size) ? NULL : (wasm_module_t)module;
}

void wasm_runtime_unload(wasm_module_t unloaded) {
    (void)unloaded; /* the runtime owns it */
}

wasm_module_inst_t wasm_runtime_instantiate(
    const wasm_module_t loaded, uint32_t default_stack_size, uint32_t host_managed_heap_size,
    char *error_buf, uint32_t error_buf_size) {
    (void)host_managed_heap_size;
    runtime = m3_NewRuntime(environment, default_stack_size, NULL);
    const M3Result result = m3_LoadModule(runtime, (IM3Module)loaded);
    return failed(result, error_buf, error_buf_size) ? NULL : (wasm_module_inst_t)runtime;
}

void wasm_runtime_deinstantiate(wasm_module_inst_t module_inst) {
    m3_FreeRuntime((IM3Runtime)module_inst);
}

wasm_function_inst_t wasm_runtime_lookup_function(const wasm_module_inst_t module_inst, const char *name) {
    IM3Function function = NULL;
    return m3_FindFunction(&function, (IM3Runtime)module_inst, name) == m3Err_none ? function : NULL;
}

wasm_exec_env_t wasm_runtime_create_exec_env(wasm_module_inst_t module_inst, uint32_t stack_size) {
    return stack_size > 0 ? (wasm_exec_env_t)module_inst : NULL;
}

void wasm_runtime_destroy_exec_env(wasm_exec_env_t exec_env) {
    (void)exec_env;
}

wasm_module_inst_t wasm_runtime_get_module_inst(wasm_exec_env_t exec_env) {
    return (wasm_module_inst_t)exec_env;
}

bool wasm_runtime_call_wasm(
    wasm_exec_env_t exec_env, wasm_function_inst_t function, uint32_t argc, uint32_t argv[]) {
    const void *arguments[1] = {argv};
    (void)exec_env;
    exception = argc == m3_GetArgCount(function) ? m3Err_none : "wrong number of arguments";
    if (exception == m3Err_none) exception = m3_Call(function, argc, arguments);
    if (exception == m3Err_none) exception = m3_GetResultsV(function, &argv[0]);
    return exception == m3Err_none;
}

const char *wasm_runtime_get_exception(wasm_module_inst_t module_inst) {
    (void)module_inst;
    return exception;
}

bool wasm_runtime_validate_app_addr(wasm_module_inst_t module_inst, uint64_t app_offset, uint64_t size) {
    return app_offset + size <= m3_GetMemorySize((IM3Runtime)module_inst);
}

void *wasm_runtime_addr_app_to_native(wasm_module_inst_t module_inst, uint64_t app_offset) {
    return m3_GetMemory((IM3Runtime)module_inst, NULL, 0) + app_offset;
}
