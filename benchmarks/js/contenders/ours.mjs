// A module made by nn2wasm: no imports, two addresses, one function.

export async function open({ read, files, input }) {
  const { instance } = await WebAssembly.instantiate(await read(files.model));
  const { memory, nn_input, nn_output, nn_run } = instance.exports;
  if (nn_run()) throw new Error("refuses this processor: its products of bytes are not exact");
  const x = new Float32Array(memory.buffer, nn_input(0), input.length);
  const y = new Float32Array(memory.buffer, nn_output(0), files.outputs);
  return {
    run() {
      x.set(input);
      nn_run();
      return y.slice();
    },
  };
}
