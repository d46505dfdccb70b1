// Chromium as a host: one browser, one context (so one process) for each contender, served from
// 127.0.0.1. Requests name their contender's page; the rest goes to the Bench in it.
import { chromium } from "playwright-core";
import { serve } from "./lines.mjs";
import { startServer } from "./server.mjs";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A renderer of its own for every page: past the usual limit pages share them.
  "--renderer-process-limit=256",
];

const origin = await startServer();
const executablePath = process.argv[2];
const browser = await chromium.launch({ executablePath, args: FLAGS });
const pages = new Map();

async function freshPage(name) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on("pageerror", (error) => console.error(`${name}: ${error.message}`));
  await page.goto(`${origin}/js/page.html`);
  await page.waitForFunction(() => globalThis.bench);
  return page;
}

async function pageOf(name) {
  if (!pages.has(name)) pages.set(name, await freshPage(name));
  return pages.get(name);
}

function ask(page, request) {
  return page.evaluate((r) => globalThis.bench.answer(r), request);
}

async function cold(request) {
  const page = await freshPage(request.page);
  const answer = await ask(page, request);
  await page.context().close();
  return answer;
}

await serve(async (request) => {
  try {
    if (request.do === "version") return { version: browser.version() };
    if (request.do === "cold") return await cold(request);
    return await ask(await pageOf(request.page), request);
  } catch (error) {
    return { error: String(error?.message ?? error) };
  }
});
await browser.close();
process.exit(0);
