// Node as a host: one process for each contender.
import { readFile } from "node:fs/promises";
import { Bench } from "./bench.mjs";
import { serve } from "./lines.mjs";

const root = new URL("../", import.meta.url);
const read = async (path) => {
  const bytes = await readFile(new URL(`.${path}`, root));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
};
const bench = new Bench(read);
await serve((request) => bench.answer(request));
process.exit(0); // whatever a runtime still holds
