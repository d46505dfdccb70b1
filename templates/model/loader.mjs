// Runs a WebAssembly module that nn2wasm compiled. No dependency; browsers, Node, Deno, edge workers.
//
//     import { load } from "./model.mjs";
//     const net = await load(new URL("./resnet8.wasm", import.meta.url));
//     const { scores } = net.run({ image: new Int8Array(3072) });
//
// Names, shapes and element types come from the module's own section "nn2wasm". Several modules of one
// model, best first, are tried until one is for this engine:
//
//     const net = await load(["./resnet8.relaxed.wasm", "./resnet8.simd.wasm", "./resnet8.wasm"]);

const ABI_VERSION = 1;

// Of nn_check(), which asks 512 times a call. So many make V8 compile it again, optimized.
const ASKED = 160;

// Types that JavaScript lacks are their bits.
const ARRAYS = {
  f32: Float32Array,
  f16: globalThis.Float16Array ?? Uint16Array,
  bf16: Uint16Array,
  f8e4m3fn: Uint8Array,
  f8e4m3fnuz: Uint8Array,
  f8e5m2: Uint8Array,
  f8e5m2fnuz: Uint8Array,
  f8e8m0: Uint8Array,
  f4e2m1: Uint8Array,
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

const RANGES = {
  s8: [-128, 127],
  u8: [0, 255],
  s16: [-32768, 32767],
  u16: [0, 65535],
  s32: [-2147483648, 2147483647],
  u32: [0, 4294967295],
  bool: [0, 1],
};

/** What a compiled module tells about itself; throws if it is not one of nn2wasm. */
export function metadata(module) {
  const sections = WebAssembly.Module.customSections(module, "nn2wasm");
  if (sections.length === 0) {
    throw new TypeError("this WebAssembly module was not made by nn2wasm (no section 'nn2wasm')");
  }
  const found = JSON.parse(new TextDecoder().decode(sections[0]));
  if (found.abi !== ABI_VERSION) {
    throw new TypeError(`the model has interface version ${found.abi}, this loader knows ${ABI_VERSION}`);
  }
  return found;
}

/** A loaded model. Not reentrant, but `run` never waits: concurrent requests may share one. */
export class Model {
  #exports;

  /**
   * From a compiled module, or the first of several that is exact here, at once: edge workers cannot
   * wait at module scope. `weights`: bytes, of modules that read them from the host.
   */
  constructor(modules, { weights } = {}) {
    const { module, exports } = modules instanceof Started ? modules : startFirst(modules, weights);
    this.metadata = metadata(module);
    this.inputs = tensors(this.metadata.inputs);
    this.outputs = tensors(this.metadata.outputs);
    this.#exports = exports;
    if (
      this.#exports.nn_input_count() !== this.inputs.length ||
      this.#exports.nn_output_count() !== this.outputs.length
    ) {
      throw new TypeError("the metadata of the model does not fit its code");
    }
  }

  /** Outputs by name, for inputs by name; a model with one input takes the bare array too. */
  run(feeds) {
    const values = byName(this.inputs, feeds);
    const arrays = this.inputs.map((info) => convert(info, values[info.name]));
    const exports = this.#exports;
    const status = this.metadata.feed ? this.#feed(arrays[0]) : this.#run(arrays);
    if (status !== 0) {
      throw exports.nn_check?.() ? new Inexact(this.metadata) : new Error(`the model reports status ${status}`);
    }
    return Object.fromEntries(
      this.outputs.map((info, index) => [info.name, this.#memory(exports.nn_output(index), info).slice()]),
    );
  }

  /** What stays from run to run is zero again; nothing where the model keeps nothing. */
  reset() {
    this.#exports.nn_reset?.();
  }

  #run(arrays) {
    const exports = this.#exports;
    arrays.forEach((array, index) => {
      this.#memory(exports.nn_input(index), this.inputs[index]).set(array);
    });
    return exports.nn_run();
  }

  // An image row by row, pixel after pixel with its channels together.
  #feed(image) {
    const { rows, shape, planes } = this.metadata.feed;
    const [columns, channels] = shape;
    const exports = this.#exports;
    const row = { ...this.inputs[0], length: columns * channels };
    let left = rows;
    exports.nn_begin();
    for (let y = 0; y < rows; ++y) {
      const to = this.#memory(exports.nn_input(0), row);
      for (let i = 0; i < row.length; ++i) {
        const at = planes ? ((i % channels) * rows + y) * columns + Math.floor(i / channels) : y * row.length + i;
        to[i] = image[at];
      }
      left = exports.nn_feed(1);
    }
    return left;
  }

  #memory(address, info) {
    return new ARRAYS[info.dtype](this.#exports.memory.buffer, address >>> 0, info.length);
  }
}

/**
 * Load a model from a URL, a path or URL as text, a Response (or a promise of one), bytes, or a
 * compiled WebAssembly.Module.
 *
 * Of a list, best first, the first module that this engine takes and computes exactly; those behind
 * it are not fetched. `metadata.target` tells which it was.
 *
 * `weights`, of modules that read them from the host: whatever `source` may be, the file beside the
 * module by default.
 */
export async function load(source, { weights } = {}) {
  const given = await source;
  const sources = Array.isArray(given) ? given : [given];
  const reasons = [];
  for (const each of sources) {
    try {
      return await loadOne(await each, weights);
    } catch (problem) {
      if (!(problem instanceof WebAssembly.CompileError || problem instanceof Inexact)) {
        throw problem; // a file that is missing should be noticed
      }
      reasons.push(problem);
    }
  }
  throw noneOf(sources, reasons);
}

async function loadOne(source, weights) {
  const module = await compile(source);
  const fromHost = metadata(module).weights === "host";
  const started = start(module, fromHost ? await bytesOf((await weights) ?? besideModule(source)) : undefined);
  if (started.exports.nn_check && typeof setTimeout === "function") {
    // Optimized code comes from another thread. At module scope edge workers refuse timers.
    await new Promise((done) => setTimeout(done)).catch(() => {});
    ask(started);
  }
  return new Model(started);
}

/** A module whose results would be wrong on this processor, or in this engine. */
class Inexact extends Error {
  constructor({ model, target }) {
    super(
      `'${model}' for ${target} would not be exact on this processor or in this engine (nn_check); ` +
        "offer another module too, such as one for wasm-simd128: load([best, other])",
    );
    this.name = "InexactError";
  }
}

/** A module that runs, and was exact when asked. */
class Started {
  constructor(module, exports) {
    this.module = module;
    this.exports = exports;
  }
}

function start(module, weights) {
  const started = new Started(module, new WebAssembly.Instance(module, imports(module, weights, () => started)).exports);
  ask(started);
  return started;
}

// Nothing, or the function that copies a part of the weights into the module's memory.
function imports(module, weights, started) {
  const { model, weights: place, weights_file_bytes: size } = metadata(module);
  if (place !== "host") {
    return {};
  }
  const bytes = ArrayBuffer.isView(weights)
    ? new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength)
    : new Uint8Array(weights ?? 0);
  if (bytes.length !== size) {
    throw new TypeError(`'${model}' reads ${size} bytes of weights from the host, not ${bytes.length}: load(source, { weights })`);
  }
  const read = (to, offset, count) =>
    new Uint8Array(started().exports.memory.buffer, to >>> 0, count >>> 0).set(
      bytes.subarray(offset >>> 0, (offset >>> 0) + (count >>> 0)),
    );
  return { nn2wasm: { read } };
}

// Engines compile what runs long a second time, and may compute relaxed SIMD otherwise then.
function ask({ module, exports }) {
  for (let count = 0; exports.nn_check && count < ASKED; ++count) {
    if (exports.nn_check() !== 0) {
      throw new Inexact(metadata(module));
    }
  }
}

function startFirst(modules, weights) {
  const list = Array.isArray(modules) ? modules : [modules];
  const reasons = [];
  for (const module of list) {
    try {
      return start(module, weights);
    } catch (problem) {
      if (!(problem instanceof Inexact)) {
        throw problem;
      }
      reasons.push(problem);
    }
  }
  throw noneOf(list, reasons);
}

// The error of the only source; of several, one that holds all, and the last as its cause.
function noneOf(sources, reasons) {
  if (reasons.length === 0) {
    return new TypeError("the list of modules is empty");
  }
  if (reasons.length === 1) {
    return reasons[0];
  }
  const lines = reasons.map((reason, index) => `\n  ${sourceName(sources[index], index)}: ${reason.message}`);
  const message = `none of ${reasons.length} modules can be used here${lines.join("")}`;
  return new AggregateError(reasons, message, { cause: reasons.at(-1) });
}

function sourceName(source, index) {
  const text = typeof source === "string" || source instanceof URL ? String(source) : source?.url;
  return text || `module ${index + 1}`;
}

/** Real values to the integers of a quantized tensor: round(x / scale) + zero_point, clamped. */
export function quantize(info, values) {
  if (info.scale == null || !(info.dtype in RANGES)) {
    throw new TypeError(`'${info.name}' is not quantized`);
  }
  const [low, high] = RANGES[info.dtype];
  const scale = Math.fround(info.scale);
  return ARRAYS[info.dtype].from(values, (value) => {
    const q = roundHalfEven(Math.fround(Math.fround(value) / scale)) + info.zero_point;
    return Math.min(high, Math.max(low, q));
  });
}

/** The integers of a quantized tensor to real values: (q - zero_point) * scale. */
export function dequantize(info, values) {
  if (info.scale == null) {
    throw new TypeError(`'${info.name}' is not quantized`);
  }
  return Float32Array.from(values, (q) => (q - info.zero_point) * info.scale);
}

function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest === 0.5) {
    return below % 2 === 0 ? below : below + 1;
  }
  return rest < 0.5 ? below : below + 1;
}

function tensors(entries) {
  return entries.map((entry) => {
    if (!(entry.dtype in ARRAYS)) {
      throw new TypeError(`'${entry.name}' has the unknown element type ${entry.dtype}`);
    }
    const length = entry.shape.reduce((product, size) => product * size, 1);
    return Object.freeze({ ...entry, length });
  });
}

function byName(inputs, feeds) {
  if (Array.isArray(feeds) || ArrayBuffer.isView(feeds) || typeof feeds === "number") {
    if (inputs.length !== 1) {
      throw new TypeError(`the model has ${inputs.length} inputs: pass an object from name to array`);
    }
    return { [inputs[0].name]: feeds };
  }
  if (feeds === null || typeof feeds !== "object") {
    throw new TypeError("run() wants an object from input name to array");
  }
  const names = inputs.map((info) => info.name);
  const unknown = Object.keys(feeds).filter((name) => !names.includes(name));
  const missing = names.filter((name) => !Object.hasOwn(feeds, name));
  if (unknown.length > 0 || missing.length > 0) {
    const parts = [
      unknown.length > 0 ? `unknown: ${unknown.join(", ")}` : "",
      missing.length > 0 ? `missing: ${missing.join(", ")}` : "",
    ];
    throw new TypeError(`the input names do not match the model; ${parts.filter(Boolean).join("; ")}`);
  }
  return feeds;
}

// A typed array must hold the tensor's own type; plain numbers must fit it.
function convert(info, value) {
  const Wanted = ARRAYS[info.dtype];
  const where = `input '${info.name}' (${info.dtype} [${info.shape.join(", ")}])`;
  const array = typeof value === "number" || typeof value === "bigint" ? [value] : value;
  const typed = ArrayBuffer.isView(array);
  if ((!typed && !Array.isArray(array)) || array instanceof DataView) {
    throw new TypeError(`${where}: expected a ${Wanted.name} or an array of numbers`);
  }
  const flat = typed ? array : array.flat(Infinity);
  if (flat.length !== info.length) {
    throw new RangeError(`${where}: expected ${info.length} values, found ${flat.length}`);
  }
  if (flat instanceof Wanted) {
    return flat;
  }
  if (typed && !(Wanted === Uint8Array && flat instanceof Uint8ClampedArray)) {
    const floats = flat instanceof Float32Array || flat instanceof Float64Array;
    const real = info.dtype === "f32" || info.dtype === "f64" || (info.dtype === "f16" && Wanted !== Uint16Array);
    if (!(floats && real)) {
      const hint = info.scale != null && floats ? "; quantize() converts real values" : "";
      throw new TypeError(`${where}: expected ${Wanted.name}, found ${flat.constructor.name}${hint}`);
    }
  }
  checkValues(info, flat, where);
  return Wanted.from(flat, info.dtype === "s64" || info.dtype === "u64" ? BigInt : undefined);
}

function checkValues(info, values, where) {
  const range = RANGES[info.dtype];
  for (const value of values) {
    const long = info.dtype === "s64" || info.dtype === "u64";
    if (typeof value !== "number" && typeof value !== "boolean" && !(long && typeof value === "bigint")) {
      throw new TypeError(`${where}: found a ${typeof value} among the values`);
    }
    const number = Number(value);
    if ((range || long) && !Number.isInteger(number)) {
      const hint = info.scale != null ? "; quantize() converts real values" : "";
      throw new TypeError(`${where}: ${value} is not an integer${hint}`);
    }
    if (range && (number < range[0] || number > range[1])) {
      throw new RangeError(`${where}: ${value} is not between ${range[0]} and ${range[1]}`);
    }
    if (long && BigInt.asIntN(64, BigInt(value)) !== BigInt(value) && info.dtype === "s64") {
      throw new RangeError(`${where}: ${value} does not fit 64 bits`);
    }
    if (long && BigInt.asUintN(64, BigInt(value)) !== BigInt(value) && info.dtype === "u64") {
      throw new RangeError(`${where}: ${value} does not fit 64 bits without a sign`);
    }
  }
}

/** The file of weights beside a module's. */
function besideModule(source) {
  const place = source?.url ?? source;
  if (typeof place !== "string" && !(place instanceof URL)) {
    throw new TypeError("the module reads its weights from the host: load(source, { weights })");
  }
  const url = String(place).replace(/\.wasm(?=$|[?#])/, ".weights");
  return place instanceof URL ? new URL(url) : url;
}

async function bytesOf(source) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) {
    return source;
  }
  if (typeof Response !== "undefined" && source instanceof Response) {
    return fetched(source).arrayBuffer();
  }
  const file = localFile(source);
  return file === null ? fetched(await fetch(source)).arrayBuffer() : readLocal(file);
}

async function compile(source) {
  if (source instanceof WebAssembly.Module) {
    return source;
  }
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) {
    return WebAssembly.compile(source);
  }
  if (typeof Response !== "undefined" && source instanceof Response) {
    return compileResponse(source);
  }
  if (typeof source !== "string" && !(source instanceof URL)) {
    throw new TypeError("load() wants a URL, a Response, bytes or a WebAssembly.Module, or a list of them");
  }
  const file = localFile(source);
  if (file !== null) {
    return WebAssembly.compile(await readLocal(file));
  }
  return compileResponse(await fetch(source));
}

// Only Node and its like get here; the variable keeps bundlers from resolving the name.
async function readLocal(file) {
  const files = "node:fs/promises";
  const { readFile } = await import(/* @vite-ignore */ /* webpackIgnore: true */ files);
  return readFile(file);
}

function fetched(response) {
  if (!response.ok) {
    throw new Error(`cannot fetch the model: ${response.status} ${response.statusText} ${response.url}`);
  }
  return response;
}

async function compileResponse(response) {
  fetched(response);
  const mime = (response.headers.get("content-type") ?? "").split(";")[0].trim();
  if (mime === "application/wasm" && typeof WebAssembly.compileStreaming === "function") {
    return WebAssembly.compileStreaming(response);
  }
  return WebAssembly.compile(await response.arrayBuffer()); // a server that does not know .wasm
}

// What readFile takes, or null where the source must be fetched.
function localFile(source) {
  const local = typeof process !== "undefined" && Boolean(process.versions?.node);
  if (source instanceof URL || /^[a-z][a-z0-9+.-]+:/i.test(source)) {
    const url = new URL(source);
    return url.protocol === "file:" && local ? url : null;
  }
  return local ? source : null;
}
