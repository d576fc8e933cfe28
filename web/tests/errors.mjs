// Errors that others have written, on every place that shows one: two hosts answer with texts that would take
// over a careless page, and an image cannot be started for such a reason.

import { STAGE, check, run, until } from './browser.mjs';

const { address, container, hostile } = STAGE;
const base = address.split('#')[0];

/** What no text of an error may do to the page. */
async function sound(browser, page, selector, name) {
  await until(page, selector, hostile.word, name);
  const text = (await page.locator(selector).allInnerTexts()).join('\n');
  check(text.includes('<img src=x') || !text.includes('img'), `${name}: markup is not shown as it is: ${text.slice(0, 300)}`);
  // eslint-disable-next-line no-control-regex
  const bad = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/.exec(text);
  check(!bad, `${name}: U+${bad?.[0].charCodeAt(0).toString(16)} is on the page`);
  for (const height of await page.locator(selector).evaluateAll((all) => all.map((each) => each.getBoundingClientRect().height))) {
    check(height < 700, `${name}: an error is ${height} pixels high`);
  }
  await browser.inspect(page, `error-${name}`);
}

await run(async (browser) => {
  const page = await browser.page();
  await page.goto(address);
  await until(page, 'h1', 'Rollouts');

  await page.goto(`${base}#/hosts`);
  await until(page, '[aria-label=Hosts]', (text) => /emil\s+(failed|unreachable)/.test(text));
  await sound(browser, page, '[aria-label=Hosts] .line:has-text("emil")', 'hosts');
  await page.getByRole('button', { name: 'emil' }).click();
  await sound(browser, page, 'dialog .note.bad', 'host');
  await page.keyboard.press('Escape');

  await page.goto(`${base}#/containers/dora/${hostile.container}`);
  await sound(browser, page, 'main .note.bad', 'container');
  await sound(browser, page, '[role=log]', 'log');
  await page.getByRole('tab', { name: 'Run a command' }).click();
  await page.getByRole('textbox', { name: 'Command' }).fill('true');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await sound(browser, page, '[role=tabpanel] [role=status]', 'command');

  await page.goto(`${base}#/containers`);
  await page.getByRole('searchbox', { name: 'Search' }).fill(hostile.container);
  await page.getByRole('checkbox', { name: `Choose all of ${hostile.container}` }).check();
  await page.getByRole('button', { name: 'Restart…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Restart 1 container' }).click();
  await sound(browser, page, 'dialog tbody td:last-child', 'action');
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();

  await page.goto(`${base}#/images`);
  await sound(browser, page, 'main .note', 'images');

  const plan = async (entries, on) => {
    await page.goto(`${base}#/rollouts`);
    await page.getByRole('link', { name: 'New rollout' }).click();
    for (const [name, value] of Object.entries(entries)) {
      const label = page.locator('label.field').filter({ has: page.locator('span:first-child', { hasText: new RegExp(`^${name}$`) }) });
      await label.locator('input').fill(value);
    }
    await page.getByRole('combobox', { name: 'Hosts', exact: true }).selectOption(on ? 'labels' : 'all');
    if (on) await page.getByRole('textbox', { name: 'Labels', exact: true }).fill(on);
    await page.getByRole('button', { name: 'Show the plan' }).click();
  };
  await plan({ Container: hostile.container, 'New image': hostile.image });
  await sound(browser, page, 'main .note.bad', 'plan');

  await plan({ Container: container, 'New image': hostile.image, 'Failures to tolerate': '0' }, 'role');
  await page.getByRole('button', { name: 'Start: 3 hosts' }).click();
  await until(page, 'main', 'failed, restored');
  await sound(browser, page, 'main .note.bad', 'rollout');
});
