// Through `wharf ui`: everything that an operator does, on three real Engines.

import { STAGE, ask, check, run, until } from './browser.mjs';

const { address, container, images, hostile } = STAGE;
const base = address.split('#')[0];

await run(async (browser) => {
  const page = await browser.page();
  await page.goto(address);
  await until(page, 'h1', 'Rollouts');
  check(!page.url().includes('open='), 'the secret stays in the address');

  await stolenAddress(browser);
  await hosts(browser, page);
  await containers(browser, page);
  await oneContainer(browser, page);
  await storedImages(browser, page);
  await offeredTags(page);
  const upgraded = await upgrade(browser, page);
  await undo(page, upgraded);
  await broken(browser, page);
  await page.goto(`${base}#/rollouts`);
  await until(page, '[aria-label=Rollouts]', (text) => text.includes('rolled back') && text.includes('succeeded'));
  await browser.inspect(page, 'rollouts');
  await page.goto(`${base}#/about`);
  await until(page, 'main', 'admin: may also change hosts');
  await browser.inspect(page, 'about');
  await frozenHost(page);
  await page.goto(`${base}#/about`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await until(page, 'main', 'Run wharf ui again');
  await browser.inspect(page, 'signed-out');
});

/** Whoever has seen the address is too late. */
async function stolenAddress(browser) {
  const thief = await browser.page();
  await thief.goto(address);
  await until(thief, 'main', 'was used already');
  check((await thief.getByRole('link').count()) === 0, 'a thief sees pages');
  await thief.context().close();
}

async function hosts(browser, page) {
  await page.getByRole('link', { name: 'Hosts', exact: true }).click();
  const list = '[aria-label=Hosts]';
  await until(page, list, (text) => text.split('reachable').length === 4 && /\d\/\d/.test(text));
  const labels = page.getByRole('textbox', { name: 'Labels' });
  await labels.fill('role=web');
  await until(page, list, (text) => !text.includes('anna') && text.includes('bert') && text.includes('carl'));
  await labels.fill('role in (web');
  await until(page, '#selector-problem', 'is not KEY');
  await labels.fill('');
  await browser.inspect(page, 'hosts');
  // With the keyboard alone: open a host, cordon it, and lift the cordon.
  for (const [button, then] of [['Cordon', 'cordoned'], ['Uncordon', '']]) {
    await page.getByRole('button', { name: 'bert' }).focus();
    await page.keyboard.press('Enter');
    if (button === 'Cordon') await page.getByRole('textbox', { name: 'Reason' }).fill(hostile.text);
    await page.getByRole('button', { name: button, exact: true }).focus();
    await page.keyboard.press('Enter');
    await until(page, list, (text) => text.includes('cordoned') === (then !== ''));
  }
}

async function containers(browser, page) {
  await page.getByRole('link', { name: 'Containers', exact: true }).click();
  const list = '[aria-label=Containers]';
  await until(page, list, (text) => text.includes(container) && text.includes(hostile.name));
  await browser.inspect(page, 'containers');
  const search = page.getByRole('searchbox', { name: 'Search' });
  await search.fill(`carl ${container}`);
  await until(page, 'main', '1 container, 1 running');
  await search.fill(hostile.name);
  // Two hosts have another image under one name.
  await until(page, list, '2 images');
  // Choose all of a group, and see the exact list before anything happens.
  await page.getByRole('checkbox', { name: `Choose all of ${hostile.name}` }).check();
  await page.getByRole('button', { name: 'Restart…' }).click();
  const dialog = page.getByRole('dialog');
  await until(page, 'dialog', `Restart 2 containers on 2 hosts`);
  await until(page, 'dialog', `wharf restart anna/${hostile.name} bert/${hostile.name}`);
  await dialog.getByRole('button', { name: 'Restart 2 containers' }).click();
  await until(page, 'dialog', (text) => text.includes('2 of 2 ended') && text.split('done').length === 3);
  await dialog.getByRole('button', { name: 'Close' }).click();
}

async function oneContainer(browser, page) {
  await page.goto(`${base}#/containers/anna/${hostile.name}`);
  await until(page, '[role=log]', (text) => text.includes('<script>') && text.includes('<img src=x'));
  const log = await page.locator('[role=log]').innerText();
  check(!/[\u001b\u202e]/.test(log), 'controls of a terminal are on the page');
  await browser.inspect(page, 'container');
  await page.getByRole('tab', { name: 'Usage' }).click();
  await until(page, '[role=tabpanel]', 'Memory:');
  await page.getByRole('tab', { name: 'Inspect' }).click();
  await until(page, '[role=tabpanel]', 'RestartPolicy');
  await page.getByRole('tab', { name: 'Run a command' }).click();
  await page.getByRole('textbox', { name: 'Command' }).fill('cat /version; exit 3');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await until(page, '[role=tabpanel]', (text) => text.includes('v1') && text.includes('exit code 3'));
}

async function storedImages(browser, page) {
  await page.getByRole('link', { name: 'Images', exact: true }).click();
  await until(page, 'main', (text) => text.includes('in use,') && text.includes('Hosts that differ'));
  await browser.inspect(page, 'images');
  await page.getByRole('button', { name: 'Look for newer ones' }).click();
  await until(page, 'main', 'newer image');
}

/** Fills the form, and shows the plan. */
async function planned(page, image, policy) {
  await page.goto(`${base}#/rollouts`);
  await page.getByRole('link', { name: 'New rollout' }).click();
  const entries = { Container: container, 'New image': image, 'Healthy for': '1s', 'Then watch the host': '1s', ...policy };
  for (const [name, value] of Object.entries(entries)) {
    const label = page.locator('label.field').filter({ has: page.locator('span:first-child', { hasText: new RegExp(`^${name}$`) }) });
    const field = label.locator('input, select');
    if ((await field.evaluate((element) => element.tagName)) === 'SELECT') await field.selectOption(value);
    else await field.fill(value);
  }
  check((await page.getByRole('button', { name: /^Start/ }).count()) === 0, 'it can be started without a plan');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await until(page, '[aria-label=Plan]', (text) => text.includes('Plan: 3 hosts change') && text.includes('image'));
}

/** The registry's tags are an offer, and a registry that is none is no alarm. */
async function offeredTags(page) {
  await page.goto(`${base}#/rollouts/new`);
  const image = page.locator('input[list=references]');
  // Version 3 is on no host, only in the registry.
  await image.fill(images.v3.replace(/:v3$/, ''));
  await page.locator(`#references option[value="${images.v3}"]`).waitFor({ state: 'attached' });
  await until(page, 'main', (text) => /\d tags of .* in the registry/.test(text));
  await image.fill('127.0.0.1:1/nothing');
  await until(page, 'main', 'No tags from the registry');
  check((await page.getByRole('alert').count()) === 0, 'a registry that cannot be reached is an alarm');
  check((await page.locator('#references option').count()) > 0, 'what is on the hosts is not offered any more');
}

async function upgrade(browser, page) {
  await planned(page, images.v2, { Canary: '1' });
  await browser.inspect(page, 'new-rollout');
  await page.getByRole('button', { name: 'Start: 3 hosts' }).click();
  await until(page, 'h1', `${container} to ${images.v2}`);
  await until(page, 'main', '1 on the new version');
  // The server is killed in the middle, and the page sees it through.
  await ask('restart wharfd');
  await until(page, 'main', (text) => text.includes('succeeded') && text.includes('All 3 hosts are on the new version'));
  await until(page, '[aria-label=Waves]', (text) => text.includes('1 of 1 host') && text.includes('2 of 2 hosts'));
  await browser.inspect(page, 'rollout');
  await ask('expect v2');
  return page.url();
}

async function undo(page, url) {
  await page.goto(url);
  await page.getByRole('button', { name: 'Undo', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await until(page, 'dialog', 'bring back the container that was kept');
  await dialog.getByRole('button', { name: 'Undo', exact: true }).click();
  await until(page, 'h1', 'undo of');
  await until(page, 'main', 'All 3 hosts are on the previous version');
  await ask('expect v1');
}

async function broken(browser, page) {
  await planned(page, images.v3, { 'Failures to tolerate': '0' });
  await page.getByRole('button', { name: 'Start: 3 hosts' }).click();
  await until(page, 'main', (text) => text.includes('more hosts failed than the policy tolerates') && text.includes('failed, restored'));
  await until(page, 'main', (text) => text.includes('Why it stopped') && text.includes('no table "orders"'));
  await until(page, 'main', 'wharf rollout resume');
  await browser.inspect(page, 'rollout-stopped');
  await page.getByRole('button', { name: 'Abort', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Abort', exact: true }).click();
  await until(page, 'main', 'aborted');
  await ask('expect v1');
  // The same once more, with a policy that takes it back by itself.
  await planned(page, images.v3, { 'If hosts fail': 'rollback' });
  await page.getByRole('button', { name: 'Start: 3 hosts' }).click();
  await until(page, 'main', 'rolled back');
}

/** A host that hangs delays no other, and is said to hang. */
async function frozenHost(page) {
  await ask('freeze carl');
  await page.goto(`${base}#/hosts`);
  await until(page, '[aria-label=Hosts]', (text) => /carl\s+(failed|unreachable)/.test(text) && text.split('reachable').length >= 3);
  await ask('thaw carl');
}
