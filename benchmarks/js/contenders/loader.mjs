// A module through nn2wasm's own loader, as a page would start it.

export async function open({ read, files, input }) {
  const { load } = await import("../../.cache/loader.mjs");
  const net = await load(await read(files.model));
  return { run: () => net.run(input) };
}
