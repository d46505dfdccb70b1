// onnxruntime-web: wasm backend, one thread. The same module serves the browser and Node.
const inNode = typeof process !== "undefined";
const ort = await import(inNode ? "onnxruntime-web" : "onnxruntime-web/wasm");
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";
if (!inNode) ort.env.wasm.wasmPaths = "/node_modules/onnxruntime-web/dist/";

export async function open({ read, files, input, shape }) {
  const bytes = new Uint8Array(await read(files.model));
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
  const session = await ort.InferenceSession.create(bytes, options);
  const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", input, shape) };
  const name = session.outputNames[0];
  return { run: async () => (await session.run(feeds))[name].data };
}
