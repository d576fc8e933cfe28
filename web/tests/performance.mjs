// Measures the page on a large simulated fleet, for docs/performance.md; nothing is asserted.
//
//   wharf-sim --hosts 1000 --containers 20 --print-config >sim.toml
//   wharfd --config sim.toml --no-local
//   node web/tests/performance.mjs "$(wharf ui | head -n 1)" sim.toml MINUTES
//
// Meanwhile, containers are restarted on the simulated Engines, fifty a second, which are two changes each.

import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [address = '', config = '', minutes = '1'] = process.argv.slice(2);
const base = address.split('#')[0];
const engines = [...readFileSync(config, 'utf8').matchAll(/^address = "tcp:(.*)"$/gm)].map(([, place]) => `http:${place}`);

const post = (engine, path) => fetch(`${engine}/containers/${path}`, { method: 'POST' }).catch(() => {});

const browser = await chromium.launch({
  executablePath: process.env.WHARF_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});
const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
page.on('pageerror', (error) => console.error(error));
await page.goto(address);
await page.locator('h1').waitFor();

async function heap() {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return (usedSize / 1e6).toFixed(1);
}

const at = (sorted, share) => sorted[Math.floor((sorted.length - 1) * share)].toFixed(0);

let begun = Date.now();
await page.goto(`${base}#/containers`);
await page.locator('.list .line[aria-rowindex]').first().waitFor();
console.log(`first row: ${Date.now() - begun} ms`);
const all = (engines.length * 20).toLocaleString('en');
await page.waitForFunction((text) => document.querySelector('.lead')?.textContent?.includes(`${text} containers`), all, { polling: 50, timeout: 120_000 });
console.log(`all ${all} rows: ${Date.now() - begun} ms, ${await heap()} MB`);

/** The times between frames while each frame scrolls by most of a screen. */
async function scroll(what) {
  await page.evaluate(() => scrollTo(0, 0));
  const frames = await page.evaluate(() => new Promise((resolve) => {
    const times = [];
    let last = performance.now();
    const step = (now) => {
      times.push(now - last);
      last = now;
      scrollBy(0, 700);
      if (times.length < 300) requestAnimationFrame(step);
      else resolve(times.slice(1).sort((a, b) => a - b));
    };
    requestAnimationFrame(step);
  }));
  console.log(`frames while scrolling ${what}: median ${at(frames, 0.5)} ms, 95 % ${at(frames, 0.95)} ms, longest ${at(frames, 1)} ms`);
}

await scroll('at rest');
let number = 0;
const churn = setInterval(() => void post(engines[number % engines.length], `web-${2 + (number++ % 19)}/restart?t=0`), 20);
await scroll('with changes');

await page.getByRole('searchbox', { name: 'Search' }).fill('renamed-');
const delays = [];
for (let time = 0; time < 20; time++) {
  begun = Date.now();
  await post(engines[time], `web-1/rename?name=renamed-${time}`);
  await page.locator('.list .group', { hasText: `renamed-${time}` }).first().waitFor();
  delays.push(Date.now() - begun);
}
delays.sort((a, b) => a - b);
console.log(`a change on the screen: median ${at(delays, 0.5)} ms, longest ${at(delays, 1)} ms`);
await page.getByRole('searchbox', { name: 'Search' }).fill('');

begun = Date.now();
console.log(`heap at the beginning: ${await heap()} MB`);
for (const minute of [2, 5, 10].filter((each) => each < Number(minutes)).concat(Number(minutes))) {
  while (Date.now() < begun + minute * 60_000) await page.waitForTimeout(1000);
  console.log(`after ${minute} minutes with ${number} restarts: ${await heap()} MB`);
}
clearInterval(churn);
await browser.close();
