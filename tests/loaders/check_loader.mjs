// node check_loader.mjs FOLDER: prints "name<TAB>ok" or what went wrong, a line for each check.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.argv[2];
const file = (name) => join(folder, `${name}.wasm`);
const bytes = (name) => readFileSync(file(name));
const { Model, dequantize, load, metadata, quantize } = await import(pathToFileURL(join(folder, "model.mjs")));

const checks = [];
function check(name, body) {
  checks.push([name, body]);
}

const ones = new Int8Array(8).fill(1);
const twos = new Int8Array(8).fill(2);
async function adds(source) {
  const net = await load(source);
  assert.deepEqual(net.run({ x: ones }), { y: twos });
}

const fetched = [];
const server = createServer((request, response) => {
  const name = request.url.slice(1).split("?")[0];
  fetched.push(name);
  if (name === "missing") {
    response.writeHead(404).end("no such thing");
    return;
  }
  const mime = request.url.includes("wrong") ? "application/octet-stream" : "application/wasm";
  response.writeHead(200, { "content-type": mime }).end(bytes(name));
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const base = `http://127.0.0.1:${server.address().port}`;

check("path", () => adds(file("add_one")));
check("file URL", () => adds(pathToFileURL(file("add_one"))));
check("file URL as text", () => adds(pathToFileURL(file("add_one")).href));
check("Uint8Array", () => adds(new Uint8Array(bytes("add_one"))));
check("Buffer inside a larger one", () => adds(Buffer.concat([Buffer.alloc(3), bytes("add_one")]).subarray(3)));
check("ArrayBuffer", () => adds(new Uint8Array(bytes("add_one")).buffer));
check("URL over HTTP", () => adds(new URL(`${base}/add_one`)));
check("text over HTTP", () => adds(`${base}/add_one`));
check("wrong MIME type", () => adds(`${base}/add_one?wrong`));
check("Response", async () => adds(await fetch(`${base}/add_one`)));
check("promise of a Response", () => adds(fetch(`${base}/add_one?wrong`)));
check("compiled module", async () => adds(await WebAssembly.compile(bytes("add_one"))));
check("compiled module at once", () => {
  const net = new Model(new WebAssembly.Module(bytes("add_one")));
  assert.deepEqual(net.run(ones).y, twos);
});
check("missing over HTTP", () => assert.rejects(load(`${base}/missing`), /cannot fetch the model: 404/));
check("missing file", () => assert.rejects(load(join(folder, "none.wasm")), /ENOENT/));
check("unknown source", () => assert.rejects(load(42), { name: "TypeError", message: /load\(\) wants/ }));
check("module from elsewhere", () => {
  const empty = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
  return assert.rejects(load(empty), { name: "TypeError", message: /not made by nn2wasm/ });
});

const later = { name: "InexactError", message: /^'add_one' for inexact would not be exact .* offer another module/ };
async function taken(...names) {
  const net = await load(names.map(file));
  assert.deepEqual(net.run(ones).y, twos);
  return net.metadata.target;
}
check("list: the best that works", async () => {
  assert.equal(await taken("exact", "add_one"), "exact");
  assert.equal(await taken("add_one", "exact"), "wasm");
});
check("list: not what the engine does not know", async () => assert.equal(await taken("unknown", "exact"), "exact"));
check("list: not what is inexact", async () => assert.equal(await taken("inexact", "exact"), "exact"));
check("list: not what changes its answer", async () => assert.equal(await taken("wavers", "exact"), "exact"));
check("list: all in order", async () => {
  assert.equal(await taken("unknown", "inexact", "wavers", "exact", "add_one"), "exact");
});
check("list: only what is tried is fetched", async () => {
  fetched.length = 0;
  await load([`${base}/inexact`, new URL(`${base}/add_one`), `${base}/exact`, `${base}/missing`]);
  assert.deepEqual(fetched, ["inexact", "add_one"]);
});
check("list: of any sources", async () => {
  const module = await WebAssembly.compile(bytes("inexact"));
  const net = await load([bytes("unknown"), module, await fetch(`${base}/exact`)]);
  assert.equal(net.metadata.target, "exact");
});
check("list: none works", async () => {
  const problem = await load([bytes("unknown"), file("wavers"), `${base}/inexact`]).catch((error) => error);
  assert.equal(problem.name, "AggregateError");
  const [first, ...lines] = problem.message.split("\n");
  assert.equal(first, "none of 3 modules can be used here");
  assert.match(lines[0], /^ {2}module 1: WebAssembly\.compile\(\)/);
  assert.match(lines[1], /^ {2}\S*wavers\.wasm: 'add_one' for wavers would not be exact/);
  assert.match(lines[2], /^ {2}http:\S*\/inexact: 'add_one' for inexact would not be exact/);
  assert.equal(lines.length, 3);
  assert.deepEqual(problem.errors.map((e) => e.name), ["CompileError", "InexactError", "InexactError"]);
  assert.equal(problem.cause, problem.errors[2]);
});
check("list: of one", async () => {
  await assert.rejects(load([file("inexact")]), later);
  await assert.rejects(load([bytes("unknown")]), WebAssembly.CompileError);
});
check("list: empty", () => assert.rejects(load([]), { name: "TypeError", message: /list of modules is empty/ }));
check("list: a missing file is noticed", () => {
  return assert.rejects(load([join(folder, "none.wasm"), file("add_one")]), /ENOENT/);
});
check("list: a page that is missing is noticed", () => {
  return assert.rejects(load([file("inexact"), `${base}/missing`, file("add_one")]), /cannot fetch the model: 404/);
});
check("inexact", async () => {
  await assert.rejects(load(file("inexact")), later);
  assert.throws(() => new Model(new WebAssembly.Module(bytes("inexact"))), later);
});
check("inexact after a while", async () => {
  await assert.rejects(load(file("wavers")), { name: "InexactError" });
  assert.throws(() => new Model(new WebAssembly.Module(bytes("wavers"))), { name: "InexactError" });
});
check("inexact while it runs", async () => {
  const net = await load(file("spoils"));
  assert.throws(() => net.run(2), { name: "Error", message: "the model reports status 2" });
  assert.throws(() => net.run(1), { name: "InexactError" });
});
check("list of compiled modules at once", () => {
  const modules = ["inexact", "wavers", "exact", "add_one"].map((name) => new WebAssembly.Module(bytes(name)));
  const net = new Model(modules);
  assert.equal(net.metadata.target, "exact");
  assert.deepEqual(net.run(ones).y, twos);
  assert.throws(() => new Model(modules.slice(0, 2)), { name: "AggregateError", message: /none of 2 modules/ });
  assert.throws(() => new Model([]), TypeError);
});

check("description", async () => {
  const net = await load(file("add_one"));
  assert.deepEqual(net.inputs, [
    { name: "x", dtype: "s8", shape: [1, 8], scale: 0.5, zero_point: 3, length: 8 },
  ]);
  assert.equal(net.outputs[0].name, "y");
  assert.equal(net.metadata.model, "add_one");
  assert.equal(metadata(new WebAssembly.Module(bytes("add_one"))).abi, 1);
});
check("plain and nested arrays", async () => {
  const net = await load(file("add_one"));
  assert.deepEqual(net.run({ x: [1, 1, 1, 1, 1, 1, 1, 1] }).y, twos);
  assert.deepEqual(net.run([[1, 1, 1, 1, 1, 1, 1, 1]]).y, twos);
});
check("two inputs and outputs", async () => {
  const net = await load(file("two_inputs"));
  const out = net.run({ first: [1, 2, NaN], second: new Float64Array([4, 5, 6]) });
  assert.deepEqual(out.sum, new Float32Array([5, 7, NaN]));
  assert.deepEqual(out.difference, new Float32Array([-3, -3, NaN]));
});
check("outputs are copies", async () => {
  const net = await load(file("add_one"));
  const first = net.run(ones).y;
  net.run(twos);
  assert.deepEqual(first, twos);
});
check("64-bit integers", async () => {
  const net = await load(file("long"));
  assert.deepEqual(net.run([-1, 2n ** 62n]).y, new BigInt64Array([-1n, 2n ** 62n]));
  assert.throws(() => net.run([0, 2n ** 63n]), { name: "RangeError", message: /64 bits/ });
  assert.throws(() => net.run([0, 0.5]), { name: "TypeError", message: /not an integer/ });
  const natural = await load(file("unsigned"));
  assert.deepEqual(natural.run([1, 2n ** 63n]).y, new BigUint64Array([1n, 2n ** 63n]));
  assert.throws(() => natural.run([0, -1]), { name: "RangeError", message: /without a sign/ });
});
check("pixels of a canvas", async () => {
  const net = await load(file("picture"));
  const pixels = new Uint8ClampedArray([0, 1, 254, 255]);
  assert.deepEqual(net.run(pixels).y, new Uint8Array([0, 1, 254, 255]));
});
check("truth values", async () => {
  const net = await load(file("truth"));
  assert.deepEqual(net.run([true, false]).y, new Uint8Array([1, 0]));
  assert.throws(() => net.run([2, 0]), RangeError);
});
check("output named __proto__", async () => {
  const out = (await load(file("proto"))).run([5]);
  assert.deepEqual(Object.entries(out), [["__proto__", new Int8Array([5])]]);
});

check("wrong length", async () => {
  const net = await load(file("add_one"));
  const expected = { name: "RangeError", message: "input 'x' (s8 [1, 8]): expected 8 values, found 9" };
  assert.throws(() => net.run({ x: new Int8Array(9) }), expected);
});
check("wrong element type", async () => {
  const net = await load(file("add_one"));
  const expected = { name: "TypeError", message: /expected Int8Array, found Float32Array; quantize\(\)/ };
  assert.throws(() => net.run({ x: new Float32Array(8) }), expected);
  assert.throws(() => net.run({ x: new Uint8Array(8) }), { name: "TypeError", message: /found Uint8Array$/ });
  assert.throws(() => net.run({ x: "12345678" }), { name: "TypeError", message: /array of numbers/ });
  assert.throws(() => net.run({ x: new DataView(new ArrayBuffer(8)) }), TypeError);
  assert.throws(() => net.run({ x: Array(8).fill("1") }), { name: "TypeError", message: /found a string/ });
});
check("values out of range", async () => {
  const net = await load(file("add_one"));
  assert.throws(() => net.run(Array(8).fill(128)), { name: "RangeError", message: /between -128 and 127/ });
  assert.throws(() => net.run(Array(8).fill(0.5)), { name: "TypeError", message: /not an integer; quantize/ });
});
check("wrong names", async () => {
  const net = await load(file("two_inputs"));
  const expected = { name: "TypeError", message: /unknown: frist; missing: first$/ };
  assert.throws(() => net.run({ frist: [1, 2, 3], second: [1, 2, 3] }), expected);
  assert.throws(() => net.run([1, 2, 3]), { name: "TypeError", message: /has 2 inputs/ });
  assert.throws(() => net.run(null), TypeError);
});
check("status and trap", async () => {
  const net = await load(file("status"));
  assert.throws(() => net.run(7), { name: "Error", message: "the model reports status 7" });
  assert.throws(() => net.run([-1]), WebAssembly.RuntimeError);
});
check("quantize and back", async () => {
  const [x] = (await load(file("add_one"))).inputs;
  const q = quantize(x, [0, 0.25, 0.75, -0.25, 1000, -1000, NaN]);
  assert.deepEqual(q, new Int8Array([3, 3, 5, 3, 127, -128, 0]));
  assert.deepEqual(dequantize(x, q.subarray(0, 3)), new Float32Array([0, 0, 1]));
  const [plain] = (await load(file("two_inputs"))).inputs;
  assert.throws(() => quantize(plain, [1]), /is not quantized/);
  assert.throws(() => dequantize(plain, [1]), /is not quantized/);
});

for (const [name, body] of checks) {
  let answer = "ok";
  try {
    await body();
  } catch (problem) {
    answer = String(problem).replaceAll(/\s+/g, " ").slice(0, 500);
  }
  process.stdout.write(`${name}\t${answer}\n`);
}
server.close();
server.closeAllConnections();
