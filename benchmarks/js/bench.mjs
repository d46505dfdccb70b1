// What a host answers to the harness: open a contender on a network, warm it, time a cell.
// Runs as it is in a browser's page and in Node; `read` is how files are got there.
import { cell, difference, settle } from "./measure.mjs";
import { watchMemory } from "./memory.mjs";

export class Bench {
  constructor(read) {
    this.read = read;
    this.cells = new Map();
  }

  /** Loads a network and compares its answer with the expected one. */
  async open({ key, contender, flavour, files, shape }) {
    const { open } = await import(`./contenders/${contender}.mjs`);
    const input = new Float32Array(await this.read(files.input));
    const expected = new Float32Array(await this.read(files.expected));
    const given = { ...files, outputs: expected.length };
    const opened = await open({ read: this.read, files: given, input, shape, flavour });
    const actual = await opened.run();
    this.cells.set(key, opened);
    return { difference: difference(actual, expected), note: opened.note ?? "" };
  }

  async settle({ key }) {
    const opened = this.cells.get(key);
    opened.calls = await settle(opened.run);
    return { calls: opened.calls };
  }

  async cell({ key }) {
    const { run, calls } = this.cells.get(key);
    return cell(run, calls);
  }

  /** From nothing to the first result: reads runtime and model, compiles, runs once. */
  async cold({ contender, flavour, files, shape }) {
    const input = new Float32Array(await this.read(files.input));
    await new Promise((resolve) => setTimeout(resolve, 200)); // the context itself is done starting
    const memory = watchMemory();
    const start = performance.now();
    const { open } = await import(`./contenders/${contender}.mjs`);
    const opened = await open({ read: this.read, files, input, shape, flavour });
    await opened.run();
    return { milliseconds: performance.now() - start, bytes: memory() };
  }

  async answer(request) {
    try {
      return await this[request.do](request);
    } catch (error) {
      return { error: String(error?.message ?? error) };
    }
  }
}
