import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Folder, Server, TerminalClient, checkAccess, eventually, has, launch, open, skip } from './support.mjs';

const TOKEN = 'mellon-mellon-mellon-mellon-mellon';
let browser;
let folder;
before(async () => {
  folder = new Folder();
  if (!skip) browser = await launch();
});
after(async () => {
  folder.remove();
  await browser?.close();
});

const node = (name) => `.node:has-text("${name}")`;

async function start(t, name, id, options, ports) {
  const server = await Server.start(['--name', name, '--id', `${id}`, ...options], ports);
  t.after(() => server.end());
  return server;
}

async function signIn(page, token) {
  await page.fill('#token', token);
  await page.press('#token', 'Enter');
}

test('the map follows the tree through a split, and the operator acts', { skip }, async (t) => {
  const options = ['--operator-token-file', folder.write('token', `${TOKEN}\n`), '--split-grace', '3'];
  const theshire = await start(t, 'theshire', 1, options);
  const parent = (server) => ['--parent', `127.0.0.1:${server.ports.crc}`];
  let bree = await start(t, 'bree', 2, parent(theshire));
  const rivendell = await start(t, 'rivendell', 3, parent(bree));
  await start(t, 'lorien', 4, parent(theshire));
  const clients = [];
  for (const [server, name, id] of [[theshire, 'frodo', 101], [theshire, 'sam', 102], [rivendell, 'bilbo', 103], [bree, 'rosie', 104]]) {
    const client = new TerminalClient(server, name, id);
    t.after(() => client.end());
    await client.sees({ event: 'connected' });
    clients.push(client);
  }
  const page = await open(browser, t, `${theshire.url}/operator`, { viewport: { width: 1300, height: 800 } });
  await checkAccess(page, 'signing in');
  await signIn(page, 'wrong');
  await has(page, '#sign-in-error', 'Not signed in');
  await signIn(page, TOKEN);
  for (const name of ['theshire', 'bree', 'rivendell', 'lorien']) await page.waitForSelector(node(name));
  await has(page, node('rivendell'), '1 user');
  await has(page, '#totals', '4');
  await has(page, '.link-label', ' ms');
  await checkAccess(page, 'the map');
  await page.click(node('rivendell'));
  await has(page, '#users', 'bilbo');
  await has(page, '#facts', 'Round trip');
  await page.waitForFunction(() => [...document.querySelectorAll('.link-label')].filter(({ textContent }) => textContent.includes(' ms')).length === 3);

  await bree.end('SIGKILL');
  await page.waitForSelector(`.lost${node('bree')}`);
  await page.waitForSelector(`.lost${node('rivendell')}`);
  await has(page, '.link-label.broken', 'split');
  bree = await bree.again();
  t.after(() => bree.end());
  await page.waitForSelector(`.extended${node('bree')}`);
  await page.waitForSelector(`.extended${node('rivendell')}`);

  await page.click(node('theshire'));
  await page.click('#users tr:has-text("sam") button');
  await checkAccess(page, 'the question before a kick');
  await page.fill('#reason', 'good night');
  await page.click('#confirm-yes');
  await clients[1].exit;
  await has(page, '#note', '102');
  await eventually('sam is no longer listed', async () => !(await page.locator('#users').textContent()).includes('sam'));

  await page.click('#panel-servers th:has-text("Id") button');
  assert.equal(await page.locator('#panel-servers th[aria-sort]').getAttribute('aria-sort'), 'descending');
  await page.click('#tab-links');
  await has(page, '#panel-links', 'lorien');
  await page.click('#tab-log');
  await has(page, '#log', 'bree joined');
  await checkAccess(page, 'the log');

  await page.click('#shutdown');
  await page.click('#confirm [value=no]');
  const late = new TerminalClient(theshire, 'pippin', 105);
  t.after(() => late.end());
  await late.sees({ event: 'connected' });
  await page.click('#shutdown');
  await page.click('#confirm-yes');
  assert.deepEqual(await theshire.exit, { code: 0, signal: null });
  await has(page, '#note', 'The connection is lost');
});

test('without a token file there is no operator\'s page', { skip }, async (t) => {
  const server = await start(t, 'theshire', 1, []);
  const page = await open(browser, t, server.url);
  assert.equal(await page.evaluate(async () => (await fetch('/operator')).status), 404);
});
