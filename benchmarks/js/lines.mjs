// The protocol with the harness: a line of JSON in, a line of JSON out.
import { createInterface } from "node:readline";

export async function serve(answer) {
  console.log = console.info = console.warn = console.error; // stdout is for answers
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
  }
}
