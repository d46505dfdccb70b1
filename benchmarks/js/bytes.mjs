// Reads paths, one a line as JSON; answers with [bytes, bytes after brotli].
import { readFile } from "node:fs/promises";
import { brotliCompressSync, constants } from "node:zlib";
import { serve } from "./lines.mjs";

// The highest quality (11) takes a minute for the runtimes and saves a twentieth.
const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 24 };

await serve(async ({ path }) => {
  const data = await readFile(path);
  return { sizes: [data.length, brotliCompressSync(data, { params }).length] };
});
