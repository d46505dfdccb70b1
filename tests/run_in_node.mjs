// One line of JSON in: {loader, jobs: [{module, feeds: {name: {dtype, data}}}]}, tensors in base64.
// One line out: [{outputs: {name: data}} or {error}].
import { readFileSync } from "node:fs";

const request = JSON.parse(readFileSync(0, "utf8"));
const { load } = await import(request.loader);

const ARRAYS = {
  f32: Float32Array,
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

function decode({ dtype, data }) {
  const bytes = new Uint8Array(Buffer.from(data, "base64")); // a copy: aligned
  return new ARRAYS[dtype](bytes.buffer);
}

function encode(array) {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
}

const answers = [];
for (const job of request.jobs) {
  try {
    const net = await load(Buffer.from(job.module, "base64"));
    const feeds = Object.fromEntries(Object.entries(job.feeds).map(([k, v]) => [k, decode(v)]));
    const outputs = Object.entries(net.run(feeds)).map(([k, v]) => [k, encode(v)]);
    answers.push({ outputs: Object.fromEntries(outputs) });
  } catch (problem) {
    answers.push({ error: `${problem.name}: ${problem.message}` });
  }
}
process.stdout.write(JSON.stringify(answers));
