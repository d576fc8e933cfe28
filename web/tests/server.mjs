// At wharfd itself, over TLS: a token becomes a session, with the role of the token.

import { STAGE, ask, check, run, until } from './browser.mjs';

const { address, tokens, container, certificate } = STAGE;

await run(async (browser) => {
  const page = await browser.page();
  await page.goto(address);
  const signIn = async (token) => {
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Sign in' }).click();
  };
  await until(page, 'main', 'Token');
  await browser.inspect(page, 'sign-in');
  await signIn('no-such-token-0123456789');
  await until(page, '[role=alert]', 'does not know this token');

  await signIn(tokens.reader);
  await until(page, 'header', 'token:reader');
  check((await page.evaluate(() => document.cookie)) === '', 'scripts see the cookie');
  check(!JSON.stringify(await page.evaluate(() => ({ ...localStorage, ...sessionStorage }))).includes(tokens.reader), 'the token is stored');
  check((await page.getByRole('link', { name: 'New rollout' }).count()) === 0, 'a reader may start rollouts');
  await page.goto(`${address}#/containers`);
  await until(page, '[aria-label=Containers]', container);
  check((await page.getByRole('checkbox', { name: /^Choose/ }).count()) === 0, 'a reader may choose containers');
  await page.goto(`${address}#/hosts`);
  await until(page, '[aria-label=Hosts]', 'reachable');
  check((await page.getByRole('button', { name: 'Add a host' }).count()) === 0, 'a reader may add hosts');
  await page.goto(`${address}#/containers/anna/${container}`);
  await page.getByRole('tab', { name: 'Logs' }).waitFor();
  check((await page.getByRole('tab', { name: /Terminal|Run/ }).count()) === 0, 'a reader may run commands');
  // Whoever forges the call is refused by the server.
  for (const method of ['HostService/RemoveHost', 'ExecService/StartSession', 'ExecService/SendSessionInput']) {
    const forged = await page.evaluate(async (path) => {
      const response = await fetch(`/wharf.v1.${path}`, {
        method: 'POST', headers: { 'content-type': 'application/grpc-web+proto' }, body: new Uint8Array(5),
      });
      return response.headers.get('grpc-status') ?? (await response.text());
    }, method);
    check(forged === '7' || forged.includes('grpc-status:7'), `a forged call of ${method}: ${forged}`);
  }

  // The session is one of the browser, until it ends.
  await page.reload();
  await until(page, 'header', 'token:reader');
  await browser.inspect(page, 'server-reader');
  await page.goto(`${address}#/about`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await until(page, 'main', 'Token');
  await signIn(tokens.operator);
  await until(page, 'header', 'token:operator');
  await page.goto(`${address}#/rollouts`);
  await page.getByRole('link', { name: 'New rollout' }).waitFor();
  await page.goto(`${address}#/containers`);
  await page.getByRole('checkbox', { name: `Choose all of ${container}` }).waitFor();

  await terminal(page);
  await everyPage(browser, page, 'operator');
  await foreignPages(browser);
  await withCertificate(browser);
});

/** Over HTTP/2, and closed with its page. */
async function terminal(page) {
  await page.goto(`${address}#/containers/anna/${container}`);
  await page.getByRole('tab', { name: 'Terminal' }).click();
  await page.getByRole('button', { name: 'Open a terminal' }).click();
  await until(page, '.xterm-rows', '#');
  await page.keyboard.type('echo "over TLS: $((6*7))"');
  await page.keyboard.press('Enter');
  await until(page, '.xterm-rows', 'over TLS: 42');
  await ask('shells 1');
  await page.goto(`${address}#/hosts`);
  await ask('shells 0');
}

/** All pages of somebody who is signed in at wharfd, in light and dark. */
async function everyPage(browser, page, who) {
  const pages = {
    rollouts: ['h1', 'Rollouts'],
    'rollouts/new': ['h1', 'New rollout'],
    containers: ['[aria-label=Containers]', container],
    [`containers/anna/${container}`]: ['h1', container],
    images: ['main', 'in use,'],
    hosts: ['[aria-label=Hosts]', 'reachable'],
    about: ['main', who],
  };
  for (const [path, [selector, text]] of Object.entries(pages)) {
    await page.goto(`${address}#/${path}`);
    await until(page, selector, text);
    await browser.inspect(page, `server-${who}-${path.replaceAll('/', '-')}`);
  }
}

/** A certificate in the browser is enough, and has its own role. */
async function withCertificate(browser) {
  const [certPath, keyPath] = certificate;
  const page = await browser.page({ clientCertificates: [{ origin: new URL(address).origin, certPath, keyPath }] });
  await page.goto(address);
  await until(page, 'header', 'cert:ann');
  check((await page.getByLabel('Token').count()) === 0, 'a caller with a certificate is asked for a token');
  await page.goto(`${address}#/hosts`);
  await until(page, '[aria-label=Hosts]', 'reachable');
  check((await page.getByRole('button', { name: 'Add a host' }).count()) === 0, 'an operator may add hosts');
  await page.goto(`${address}#/about`);
  await until(page, 'main', 'operator');
  await browser.inspect(page, 'server-certificate');
  await page.context().close();
}

/** Another page can neither frame this one nor call in its name. */
async function foreignPages(browser) {
  const page = await browser.page();
  await page.goto(address);
  await until(page, 'main', 'Token');
  const framed = await page.context().newPage();
  await framed.setContent(`<iframe src="${address}"></iframe>`);
  await framed.waitForTimeout(500);
  const inside = framed.frames()[1];
  const text = await inside?.evaluate(() => document.body?.innerText ?? '').catch(() => '');
  check(!text?.includes('Token'), 'another page frames this one');
}
