// A Chromium for the tests of tests/e2e/page.rs, and what every page must fulfill: no script of others runs,
// the policy is not violated, and axe finds nothing serious. The test and this program talk in lines: this
// one asks for what only the test can do, such as to kill wharfd, and waits for the answer.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const LIMIT = 60_000;

/** What the test says about its stage. */
export const STAGE = JSON.parse(process.env.WHARF_PAGE_STAGE ?? '{}');
/** Where screenshots go; none are made without. */
const SCREENSHOTS = process.env.WHARF_PAGE_SCREENSHOTS;

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has the test do something. */
export async function ask(what) {
  process.stdout.write(`${what}\n`);
  const { value } = await answers.next();
  if (value !== 'done') throw new Error(`${what}: ${value}`);
}

export function check(so, what) {
  if (!so) throw new Error(what);
}

/** Waits until the text of a page, or of a part of it, is as it should be. */
export async function until(page, selector, so, what) {
  let text = '';
  const end = Date.now() + LIMIT;
  while (Date.now() < end) {
    text = (await page.locator(selector).allInnerTexts()).join('\n');
    if (typeof so === 'string' ? text.includes(so) : so(text)) return text;
    await page.waitForTimeout(50);
  }
  throw new Error(`${what ?? so}: ${selector} says:\n${text}`);
}

export class Browser {
  faults = [];

  static async start() {
    const browser = new Browser();
    browser.chromium = await chromium.launch({
      executablePath: process.env.WHARF_CHROMIUM ?? '/usr/bin/chromium',
      // Tests run as root, which Chromium's sandbox does not accept.
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    });
    return browser;
  }

  /** A page with cookies of its own. */
  async page(options = {}) {
    const context = await this.chromium.newContext({ viewport: { width: 1440, height: 900 }, ignoreHTTPSErrors: true, ...options });
    context.setDefaultTimeout(LIMIT);
    const page = await context.newPage();
    page.on('pageerror', (error) => this.faults.push(`an exception: ${error.stack ?? error}`));
    page.on('dialog', (dialog) => {
      this.faults.push(`a dialog of a script of others: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('console', (message) => {
      const text = message.text();
      if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(text)) this.faults.push(`the console: ${text}`);
    });
    page.on('request', (request) => {
      const { protocol, host } = new URL(request.url());
      if (protocol !== 'data:' && host !== new URL(STAGE.address).host) this.faults.push(`a request elsewhere: ${request.url()}`);
    });
    return page;
  }

  /** Looks at a page in light and dark, wide and narrow. */
  async inspect(page, name) {
    const wide = page.viewportSize();
    const done = await page.evaluate(() => 'axe' in window);
    if (!done) await page.evaluate(AXE);
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      for (const { id, impact, nodes } of violations) {
        if (impact !== 'serious' && impact !== 'critical') continue;
        this.faults.push(`axe, ${name}, ${colorScheme}: ${id}: ${nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`).join('\n')}`);
      }
    }
    for (const width of [2560, 1440, 360]) {
      await page.setViewportSize({ width, height: width === 360 ? 740 : 900 });
      const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (beyond > 0) this.faults.push(`${name} is ${beyond} pixels too wide for ${width}`);
      if (SCREENSHOTS && width !== 2560) await page.screenshot({ path: `${SCREENSHOTS}/${name}-${width}.png` });
    }
    await page.setViewportSize(wide);
  }

  async end() {
    await this.chromium.close();
    if (this.faults.length) throw new Error(this.faults.join('\n'));
  }
}

/** Runs a test, and ends the program with its result. */
export async function run(test) {
  const browser = await Browser.start();
  try {
    await test(browser);
    await browser.end();
    process.exit(0);
  } catch (error) {
    console.error(error, browser.faults.join('\n'));
    await browser.chromium.close();
    process.exit(1);
  }
}
