// Counts the linear memory of everything in this context, however a runtime makes it.

const memories = new Set();

function noteExports(result) {
  const instance = result.instance ?? result;
  for (const value of Object.values(instance.exports ?? {})) {
    if (value instanceof WebAssembly.Memory) memories.add(value);
  }
  return result;
}

/** From now on notes every memory; the returned function tells their bytes. */
export function watchMemory() {
  const { Memory, instantiate, instantiateStreaming } = WebAssembly;
  WebAssembly.Memory = new Proxy(Memory, {
    construct(target, args) {
      const memory = new target(...args);
      memories.add(memory);
      return memory;
    },
  });
  WebAssembly.instantiate = async (...args) => noteExports(await instantiate(...args));
  if (instantiateStreaming) {
    WebAssembly.instantiateStreaming = async (...args) => noteExports(await instantiateStreaming(...args));
  }
  WebAssembly.Instance = new Proxy(WebAssembly.Instance, {
    construct: (target, args) => noteExports(new target(...args)),
  });
  return () => [...memories].reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
}
