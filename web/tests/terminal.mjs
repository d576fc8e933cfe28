// A terminal in a container, through `wharf ui`: keys, sizes, colors, hostile and endless output, and its end.

import { STAGE, ask, check, run, until } from './browser.mjs';

const { address, container } = STAGE;
const base = address.split('#')[0];
const ROWS = '.xterm-rows';

await run(async (browser) => {
  const page = await browser.page();
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.goto(address);
  await until(page, 'h1', 'Rollouts');
  await page.goto(`${base}#/containers/anna/${container}`);
  const scripts = () => page.evaluate(() => performance.getEntriesByType('resource').filter(({ name }) => name.includes('screen-')).length);
  await page.getByRole('tab', { name: 'Terminal' }).click();
  check((await scripts()) === 0, 'the terminal is loaded before it is opened');
  await open(page);
  await keys(page);
  await looks(page);
  await resized(page);
  await hostile(page);
  await endless(page);
  await left(browser, page);
  await exits(page);
  await noShell(page);
  await broken(page);
  await closed(page);
});

async function say(page, text) {
  await page.keyboard.type(text);
  await page.keyboard.press('Enter');
}

/** Opens one, and waits for the prompt. */
async function open(page) {
  await page.getByRole('button', { name: /^Open a/ }).click();
  await until(page, ROWS, '#');
}

/** Characters of several bytes, keys that a page usually takes for itself, and a paste. */
async function keys(page) {
  await say(page, 'echo "$((6*7))-äöü€"');
  await until(page, ROWS, '42-äöü€');
  await page.keyboard.type('cat /versi');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await until(page, ROWS, (text) => /^v1\s*$/m.test(text), 'Tab completes');
  await say(page, 'echo "asleep:$((1+2))"; sleep 1000');
  await until(page, ROWS, 'asleep:3');
  await page.keyboard.press('Control+c');
  await say(page, 'echo "back:$((1+1))"');
  await until(page, ROWS, 'back:2');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  await until(page, ROWS, (text) => text.split('back:2').length === 3, 'the arrow brings the last line');
  await page.evaluate(() => {
    const clipboardData = new DataTransfer();
    clipboardData.setData('text/plain', 'echo "pasted:$((2+3))"\n');
    document.activeElement.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }));
  });
  await page.keyboard.press('Enter');
  await until(page, ROWS, 'pasted:5');
}

/** The sheets of the terminal are in force, although its policy allows no style elements. */
async function looks(page) {
  await say(page, "printf '\\033[31mr%s\\033[0m\\n' ed-text");
  await until(page, ROWS, (text) => /^red-text/m.test(text), 'red text');
  const seen = await page.evaluate(() => {
    const rows = document.querySelector('.xterm-rows');
    const red = [...rows.querySelectorAll('span')].find((span) => span.textContent.startsWith('red-text'));
    const [first, second] = [...rows.children].map((row) => row.getBoundingClientRect());
    const style = getComputedStyle(red);
    return {
      red: style.color, family: style.fontFamily, plain: getComputedStyle(rows).color,
      bad: getComputedStyle(document.documentElement).getPropertyValue('--bad'),
      height: second.top - first.top, width: red.getBoundingClientRect().width,
      sheets: document.adoptedStyleSheets.length, styles: document.querySelectorAll('style').length,
    };
  });
  const rgb = seen.bad.match(/[0-9a-f]{2}/g).map((part) => parseInt(part, 16)).join(', ');
  check(seen.red === `rgb(${rgb})`, `red is ${JSON.stringify(seen)}`);
  check(seen.plain !== seen.red && seen.family.includes('monospace'), `it looks as ${JSON.stringify(seen)}`);
  check(seen.height > 12 && seen.height < 30 && seen.width > 40 && seen.width < 120, `cells are ${JSON.stringify(seen)}`);
  check(seen.sheets >= 3 && seen.styles === 0, `sheets are ${JSON.stringify(seen)}`);
}

/** The size that the program in the container sees is the one that is shown. */
async function resized(page) {
  const sizes = [];
  for (const width of [1440, 800]) {
    await page.setViewportSize({ width, height: 900 });
    const start = Date.now();
    for (;;) {
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
      await say(page, `echo "at ${width}: $(busybox stty size | tr ' ' x)."`);
      const text = await until(page, ROWS, (all) => new RegExp(`at ${width}: \\d+x\\d+\\.`).test(all));
      const [, rows, columns] = [...text.matchAll(new RegExp(`at ${width}: (\\d+)x(\\d+)\\.`, 'g'))].at(-1).map(Number);
      const shown = await page.locator(`${ROWS} > div`).count();
      // The size may be on its way.
      if (rows === shown && (sizes.length === 0 || columns < sizes[0])) {
        sizes.push(columns);
        break;
      }
      check(Date.now() - start < 60_000, `at ${width} the program sees ${rows}x${columns}, and ${shown} rows are shown; before: ${sizes}`);
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
}

/** What a program writes stays on its screen. */
async function hostile(page) {
  const title = await page.title();
  await page.evaluate(() => navigator.clipboard.writeText('mine'));
  const pages = page.context().pages().length;
  const outputs = ['\\033]0;stolen\\007', '\\033]2;stolen\\007', '\\033]52;c;c3RvbGVu\\007', '\\033[21t', '\\033]8;;https://evil.example/\\007cl%s\\033]8;;\\007', '\\342\\200\\256gnp.exe'];
  await say(page, `clear; printf '${outputs.join(' ')} e%s\\n' ick-here nd-of-it`);
  const text = await until(page, ROWS, (all) => all.includes('click-here') && all.includes('end-of-it'));
  check(!/[\u202e]/.test(text) && text.includes('\ufffdgnp.exe'), 'a mark turns the direction of the text');
  check((await page.title()) === title, `the title is ${await page.title()}`);
  check((await page.evaluate(() => navigator.clipboard.readText())) === 'mine', 'the clipboard is stolen');
  const link = page.locator(`${ROWS} span`, { hasText: 'click-here' }).first();
  const decoration = await link.evaluate((span) => getComputedStyle(span).textDecorationLine);
  check(decoration === 'none', `a link is shown: ${decoration}`);
  const { x, y, width, height } = await link.boundingBox();
  await page.mouse.move(x + width / 2, y + height / 2);
  await page.mouse.click(x + width / 2, y + height / 2);
  check(page.context().pages().length === pages, 'a link opens a page');
  check((await page.locator(`${ROWS} a`).count()) === 0, 'there is a link');
}

/** Output without end: the page answers, Ctrl-C arrives, and all of a long one is shown to its end. */
async function endless(page) {
  await say(page, 'yes yes-without-end');
  await until(page, ROWS, 'yes-without-end');
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))));
  await page.keyboard.press('Control+c');
  await say(page, 'clear; echo "stopped:$((3+4))"');
  await until(page, ROWS, 'stopped:7');
  await say(page, 'yes 0123456789 | head -c 10000000; echo "all of it:$((4+5))"');
  await until(page, ROWS, 'all of it:9');
}

/** With the keyboard alone, and as axe sees it. */
async function left(browser, page) {
  await page.keyboard.press('Control+Shift+L');
  const active = await page.evaluate(() => document.activeElement.textContent);
  check(active === 'Close the terminal', `the focus is on ${active}`);
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Space');
  await until(page, '.xterm-accessibility', (text) => text.includes('all of it:9'), 'screen readers get the lines');
  await browser.inspect(page, 'terminal');
  await page.keyboard.press('Space');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await say(page, 'echo "again:$((5+6))"');
  await until(page, ROWS, 'again:11');
}

async function exits(page) {
  await say(page, 'exit 7');
  await until(page, '[role=status]', 'exit code 7');
  await page.getByRole('button', { name: 'Open a new terminal' }).waitFor();
}

async function noShell(page) {
  await page.getByLabel('Shell').fill('/bin/nosuch -l');
  await page.getByRole('button', { name: 'Open a new terminal' }).click();
  await until(page, '[role=status]', (text) => text.includes('nosuch') && text.includes('Try another shell'));
  await page.getByLabel('Shell').fill('sh -i');
  await page.getByLabel('User').fill('1000');
  await until(page, '[role=tabpanel]', `wharf exec -it -u 1000 anna/${container} sh -i`);
}

/** A connection that breaks is told, and the next one works. */
async function broken(page) {
  await page.getByRole('button', { name: 'Open a new terminal' }).click();
  await until(page, ROWS, '$');
  await say(page, 'id -u');
  await until(page, ROWS, '1000');
  await ask('restart wharfd');
  await until(page, '[role=status]', (text) => /broke|stopping|reached/.test(text));
  await page.getByLabel('User').fill('');
  await page.getByLabel('Shell').fill('sh');
  await page.getByRole('button', { name: 'Open a new terminal' }).click();
  await until(page, ROWS, '#');
}

/** No shell is left behind, whatever stands at its prompt. */
async function closed(page) {
  await page.keyboard.type('half a line');
  await until(page, ROWS, 'half a line');
  await ask('shells 1');
  await page.getByRole('tab', { name: 'Logs' }).click();
  await ask('shells 0');
  await page.getByRole('tab', { name: 'Terminal' }).click();
  await open(page);
  await ask('shells 1');
  await page.close();
  await ask('shells 0');
}
