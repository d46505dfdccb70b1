// What node and browsers do for engines.py. A job: {module, feeds: {name: {dtype, data}}, times}; module is base64 or
// a list of such, best first. Its answer: {target, outputs: {name: data}} or {error}.

const ARRAYS = {
  f32: Float32Array,
  f16: globalThis.Float16Array ?? Uint16Array,
  bf16: Uint16Array,
  ...Object.fromEntries(["8e4m3fn", "8e4m3fnuz", "8e5m2", "8e5m2fnuz", "8e8m0", "4e2m1"].map((f) => [`f${f}`, Uint8Array])),
  f64: Float64Array,
  s8: Int8Array,
  u8: Uint8Array,
  s16: Int16Array,
  u16: Uint16Array,
  s32: Int32Array,
  u32: Uint32Array,
  s64: BigInt64Array,
  u64: BigUint64Array,
  bool: Uint8Array,
};

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function textOf(array) {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(text);
}

async function answer(load, { module, feeds, times, weights }) {
  const net = await load(Array.isArray(module) ? module.map(bytesOf) : bytesOf(module), {
    weights: weights === undefined ? undefined : bytesOf(weights),
  });
  const arrays = Object.entries(feeds).map(([k, { dtype, data }]) => [k, new ARRAYS[dtype](bytesOf(data).buffer)]);
  const run = () => Object.entries(net.run(Object.fromEntries(arrays))).map(([k, v]) => [k, textOf(v)]);
  const outputs = run();
  for (let again = 1; again < times; ++again) {
    if (String(run()) !== String(outputs)) {
      throw new Error(`run ${again + 1} gives other bytes than the first`);
    }
  }
  return { target: net.metadata.target, outputs: Object.fromEntries(outputs) };
}

export async function answerAll(load, jobs) {
  const answers = [];
  for (const job of jobs) {
    answers.push(await answer(load, job).catch((problem) => ({ error: `${problem.name}: ${problem.message}` })));
  }
  return answers;
}
