// node run_in_node.mjs LOADER: for each line of JSON in, a list of jobs, a line out, their answers (run_jobs.mjs).
import { createInterface } from "node:readline";
import { answerAll } from "./run_jobs.mjs";

const { load } = await import(process.argv[2]);
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answerAll(load, JSON.parse(line))) + "\n");
}
