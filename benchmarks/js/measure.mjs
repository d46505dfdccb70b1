// How everything is timed, in browsers and in Node alike.

const BATCH_MS = 2; // clocks of browsers tick in microseconds: short runs are timed several at a time
const CELL_MS = 50;
const WARM_MS = 300;
const WARM_CALLS = 20;
const WARM_MS_AT_MOST = 6000;
const REST_MS = 30;
const SETTLED = 1.03;

/** Milliseconds of one call, averaged over `calls`. */
async function batch(run, calls) {
  const start = performance.now();
  for (let i = 0; i < calls; i++) {
    const result = run();
    if (result instanceof Promise) await result;
  }
  return (performance.now() - start) / calls;
}

/**
 * Runs until it gets no faster; answers how many calls make a batch. Between cells it rests, so
 * that the engine's compilers, which share the core, get on.
 */
export async function settle(run) {
  const start = performance.now();
  const history = [];
  let calls = 1;
  let total = 0;
  for (;;) {
    const { milliseconds, made } = await cell(run, calls);
    history.push(milliseconds);
    total += made;
    calls = Math.max(1, Math.ceil(BATCH_MS / Math.max(milliseconds, 1e-4)));
    const spent = performance.now() - start;
    if (spent > WARM_MS_AT_MOST) return calls;
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    if (spent < WARM_MS || total < WARM_CALLS || history.length < 6) continue;
    if (Math.min(...history.slice(-6, -3)) < Math.min(...history.slice(-3)) * SETTLED) return calls;
  }
}

/**
 * One cell, its milliseconds and calls: batches until 50 ms and three calls are full, of them the lower
 * quartile, which other programs on the core do not reach.
 */
export async function cell(run, calls) {
  const values = [];
  for (let spent = 0; spent < CELL_MS || (values.length < 3 && spent < 3 * CELL_MS); ) {
    const each = await batch(run, calls);
    values.push(each);
    spent += each * calls;
  }
  const milliseconds = values.sort((a, b) => a - b)[(values.length - 1) >> 2];
  return { milliseconds, made: values.length * calls };
}

/** Largest difference to the expected outputs, as a part of their range. */
export function difference(actual, expected) {
  if (actual.length !== expected.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < actual.length; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    if (!(error <= largest)) largest = error; // NaN counts
  }
  let low = Infinity;
  let high = -Infinity;
  for (const value of expected) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return largest / (high - low || 1);
}
