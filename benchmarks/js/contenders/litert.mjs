// LiteRT.js on its wasm CPU backend (XNNPACK). The package has one wasm for engines with relaxed
// SIMD and a "compat" one for those without; naming the file forces the choice.
import { loadLiteRt, Tensor } from "@litertjs/core";

const WASM = {
  relaxed: "/node_modules/@litertjs/core/wasm/litert_wasm_internal.js",
  compat: "/node_modules/@litertjs/core/wasm/litert_wasm_compat_internal.js",
};
let loading;

export async function open({ read, files, input, shape, flavour }) {
  const litert = await (loading ??= loadLiteRt(WASM[flavour]));
  const bytes = new Uint8Array(await read(files.model));
  const model = await litert.loadAndCompile(bytes, { accelerator: "wasm" });
  const x = new Tensor(input, shape);
  return {
    async run() {
      const [y] = await model.run([x]);
      const values = y.toTypedArray();
      y.delete();
      return values;
    },
    note: model.isFullyAccelerated ? "" : "says that XNNPACK does not run every operator",
  };
}
