/** Element types of tensors. f16 is Float16Array, its bits where an engine has none; bf16, f8… and f4… are bits. */
export type DType = "f32" | "f64" | "f16" | "bf16" | "f8e4m3fn" | "f8e4m3fnuz" | "f8e5m2" | "f8e5m2fnuz" | "f8e8m0" | "f4e2m1" | "s8" | "u8" | "s16" | "u16" | "s32" | "u32" | "s64" | "u64" | "bool";

export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** Numbers of a tensor, nested or flat, in the order of its shape. */
export type Values =
  | TypedArray
  | Uint8ClampedArray
  | number
  | bigint
  | ReadonlyArray<number | bigint | boolean | ReadonlyArray<unknown>>;

/** An input or output of a model. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Product of the shape. */
  readonly length: number;
  /** Of a quantized tensor: real = (q - zero_point) * scale. */
  readonly scale?: number | null;
  readonly zero_point?: number | null;
  /** Names of classes: what an output's integers are indices into; of floats, the last axis. */
  readonly labels?: readonly string[] | null;
}

/** The section "nn2wasm" of a module. */
export interface Metadata {
  readonly abi: number;
  readonly model: string;
  readonly version: string;
  readonly target: string;
  readonly inputs: ReadonlyArray<Omit<TensorInfo, "length">>;
  readonly outputs: ReadonlyArray<Omit<TensorInfo, "length">>;
  readonly arena_bytes: number;
  readonly weight_bytes: number;
  readonly macs: number;
  readonly model_sha256: string;
  readonly [key: string]: unknown;
}

export type Source = string | URL | Response | ArrayBuffer | ArrayBufferView | WebAssembly.Module;

/** Of modules compiled with weights from the host; the file beside the module where left out. */
export type Weights = string | URL | Response | ArrayBuffer | ArrayBufferView;

/** A loaded model. Not reentrant, but `run` never waits: concurrent requests may share one. */
export declare class Model {
  /**
   * From a compiled module, synchronously: for edge workers at module scope. Of a list, best first,
   * the first that is exact here.
   * @throws Error named InexactError: this processor or engine would compute none of them exactly
   */
  constructor(
    modules: WebAssembly.Module | readonly WebAssembly.Module[],
    options?: { weights?: ArrayBuffer | ArrayBufferView },
  );
  /** `metadata.target` tells which module of a list was taken. */
  readonly metadata: Metadata;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /**
   * Compute the outputs, in typed arrays of their own.
   * @throws TypeError wrong names or element types
   * @throws RangeError wrong length, or a value that does not fit
   * @throws Error the model failed
   */
  run(feeds: Readonly<Record<string, Values>> | Values): Record<string, TypedArray>;
  /** What stays from run to run is zero again; nothing where the model keeps nothing. */
  reset(): void;
}

/**
 * Load a model. A string without a scheme is a path in Node and a relative URL in browsers.
 *
 * Of a list, best first, the first module that this engine takes and computes exactly; those behind
 * it are not fetched.
 * @throws WebAssembly.CompileError the engine does not take the only module
 * @throws Error named InexactError: this processor or engine would not compute the only module exactly
 * @throws AggregateError none of several modules can be used; `errors` says why for each, `cause` for the last
 */
export declare function load(
  source: Source | PromiseLike<Source> | readonly Source[],
  options?: { weights?: Weights | PromiseLike<Weights> },
): Promise<Model>;

/** What a compiled module tells about itself. */
export declare function metadata(module: WebAssembly.Module): Metadata;

/** Real values to the integers of a quantized tensor. */
export declare function quantize(info: TensorInfo, values: Iterable<number>): TypedArray;

/** The integers of a quantized tensor to real values. */
export declare function dequantize(info: TensorInfo, values: Iterable<number>): Float32Array;
