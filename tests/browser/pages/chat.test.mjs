import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Server, TerminalClient, checkAccess, eventually, has, launch, open, signIn, skip, type } from './support.mjs';

let browser;
before(async () => { if (!skip) browser = await launch(); });
after(() => browser?.close());

async function start(t, options) {
  const server = await Server.start(options);
  t.after(() => server.end());
  return server;
}

function terminal(t, server, name, id) {
  const client = new TerminalClient(server, name, id);
  t.after(() => client.end());
  return client;
}

const talk = (name) => `#talk-list button:has-text("${name}")`;
const message = (text) => `#log .line:has-text("${text}")`;

test('two pages and a terminal talk in a room and privately', { skip }, async (t) => {
  const server = await start(t);
  const sam = terminal(t, server, 'sam', 102);
  await sam.sees({ event: 'connected' });
  const frodo = await open(browser, t, `${server.url}/#lab`);
  await checkAccess(frodo, 'signing in');
  await signIn(frodo, 'frodo');
  await has(frodo, '#talk-name', '#lab');
  const rosie = await open(browser, t, server.url);
  await signIn(rosie, 'rosie');
  await has(rosie, '#rooms button', '#lab');
  await checkAccess(rosie, 'home');
  await rosie.click('#rooms button:has-text("#lab")');
  sam.type('/join #lab');
  await has(frodo, '#talk-about', '3 users');
  await has(rosie, '#talk-about', '3 users');

  await type(frodo, 'Good morning! The map is at http://localhost:3680/operator (for operators).');
  await sam.sees({ event: 'room', room: '#lab', name: 'frodo', text: 'Good morning! The map is at http://localhost:3680/operator (for operators).' });
  await rosie.waitForSelector(message('Good morning!'));
  const link = rosie.locator('#log a');
  assert.equal(await link.getAttribute('href'), 'http://localhost:3680/operator');
  assert.match(await link.getAttribute('rel'), /noopener/);
  sam.type('#lab Good morning, frodo <b>and</b> rosie');
  await has(frodo, '#log mark', 'frodo');
  await has(rosie, '#log mark', 'rosie');
  assert.equal(await frodo.locator('#log b').count(), 0, 'what others write is text');

  await type(rosie, '/msg sam Are you coming?');
  await sam.sees({ event: 'chat', name: 'rosie', text: 'Are you coming?' });
  await has(rosie, '#talk-name', 'sam');
  sam.type('rosie On my way');
  await rosie.waitForSelector(message('On my way'));
  await type(frodo, 'Where is everybody?');
  await has(rosie, `${talk('lab')} .count`, '1');
  await checkAccess(rosie, 'a private talk');
  await rosie.click(talk('lab'));
  await has(rosie, '#log .divider', 'new');

  await frodo.fill('#entry', 'thanks sa');
  await frodo.press('#entry', 'Tab');
  assert.equal(await frodo.inputValue('#entry'), 'thanks sam ');
  await frodo.press('#entry', 'Enter');
  await frodo.press('#entry', 'ArrowUp');
  assert.equal(await frodo.inputValue('#entry'), 'thanks sam ');
  await frodo.fill('#entry', '/nonsense');
  await frodo.press('#entry', 'Enter');
  await has(frodo, '#log .error', 'unknown command /nonsense');
  assert.equal(await frodo.inputValue('#entry'), '/nonsense', 'what is refused stays in the field');
  await type(frodo, '/names');
  await has(frodo, '#log .notice', '3 in #lab');
  await frodo.fill('#entry', '');
  sam.type('#lab The kettle is on. Tea at four?');
  await type(rosie, 'I bring the cake.');
  await frodo.waitForSelector(message('cake'));
  await frodo.emulateMedia({ colorScheme: 'dark' });
  await checkAccess(frodo, 'a room, dark');
  await frodo.emulateMedia({ colorScheme: 'light' });
  await checkAccess(frodo, 'a room, light');

  await type(rosie, '/part');
  await has(frodo, '#log .notice', 'rosie has left the room');
  await type(rosie, '/quit');
  await rosie.waitForSelector('#sign-in');
  await sam.sees({ event: 'quit', name: 'rosie' });
});

test('a page connects again after the server was killed, with its rooms and what was typed', { skip }, async (t) => {
  let server = await Server.start();
  t.after(() => server.end());
  const frodo = await open(browser, t, server.url);
  await signIn(frodo, 'frodo');
  await type(frodo, '/join #ops');
  await type(frodo, '/join #lab');
  await has(frodo, '#talk-about', '1 user in');
  await frodo.fill('#entry', 'half a sen');
  await server.end('SIGKILL');
  await has(frodo, '#offline', 'The connection is lost');
  await frodo.press('#entry', 'Enter');
  assert.equal(await frodo.inputValue('#entry'), 'half a sen');
  await checkAccess(frodo, 'without a connection');
  server = await server.again();
  await frodo.waitForSelector('#offline:empty', { state: 'attached' });
  await frodo.waitForSelector('#talk-list button:not(.away):has-text("ops")');
  await has(frodo, '#talk-about', '1 user in');
  const sam = terminal(t, server, 'sam', 102);
  await sam.sees({ event: 'join', name: 'frodo' });
  sam.type('/join #lab');
  await has(frodo, '#talk-about', '2 users in');
  await frodo.locator('#entry').pressSequentially('tence');
  await frodo.press('#entry', 'Enter');
  await sam.sees({ event: 'room', room: '#lab', text: 'half a sentence' });
  await frodo.reload();
  await has(frodo, '#talk-about', '2 users in');
  await frodo.waitForSelector(message('half a sentence'));
});

test('the page works on a phone', { skip }, async (t) => {
  const server = await start(t);
  const frodo = await open(browser, t, server.url, { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true });
  await signIn(frodo, 'frodo');
  const sam = terminal(t, server, 'sam', 102);
  await sam.sees({ event: 'join', name: 'frodo' });
  await type(frodo, '/join #lab');
  sam.type('frodo Hello!');
  await has(frodo, '#back-count', '1');
  await frodo.tap('#back');
  await checkAccess(frodo, 'the talks on a phone');
  await frodo.tap(talk('sam'));
  await frodo.waitForSelector(message('Hello!'));
  await frodo.tap('#show-people');
  await has(frodo, '#people-list', 'sam');
  await checkAccess(frodo, 'people on a phone');
  await frodo.tap('#hide-people');
  assert.equal(await frodo.evaluate(() => document.documentElement.scrollWidth), 390, 'nothing is wider than the screen');
});

test('every part of the page is reached by keyboard', { skip }, async (t) => {
  const server = await start(t);
  const frodo = await open(browser, t, server.url);
  await signIn(frodo, 'frodo');
  await type(frodo, '/join #lab');
  await has(frodo, '#talk-about', '1 user in');
  await frodo.keyboard.press('Alt+ArrowUp');
  await has(frodo, '#talk-name', 'Home');
  await frodo.keyboard.press('Alt+ArrowDown');
  await has(frodo, '#talk-name', '#lab');
  const wanted = new Set(['notify', 'theme', 'sign-out', 'leave', 'show-people', 'log', 'entry', 'people-filter', 'people-list']);
  for (let stops = 0; wanted.size && stops < 40; stops += 1) {
    await frodo.keyboard.press('Tab');
    wanted.delete(await frodo.evaluate(() => document.activeElement.id));
  }
  assert.deepEqual([...wanted], []);
});

test('a page of another origin cannot connect unless it is named', { skip }, async (t) => {
  const stranger = createServer((_, response) => response.end('<!doctype html><title>stranger</title>'));
  await new Promise((resolve) => { stranger.listen(0, '127.0.0.1', resolve); });
  t.after(() => stranger.close());
  const origin = `http://127.0.0.1:${stranger.address().port}`;
  const connects = async (server) => {
    const page = await open(browser, t, origin);
    return page.evaluate((url) => new Promise((resolve) => {
      const socket = new WebSocket(url, 'crc.json.v1');
      socket.onopen = () => resolve(true);
      socket.onerror = () => resolve(false);
    }), `${server.url.replace('http', 'ws')}/ws`);
  };
  assert.equal(await connects(await start(t)), false);
  assert.equal(await connects(await start(t, ['--web-origin', origin])), true);
});

test('a refused name is said at once', { skip }, async (t) => {
  const server = await start(t);
  const frodo = await open(browser, t, server.url);
  await frodo.evaluate(() => { document.getElementById('name').removeAttribute('maxlength'); });
  await frodo.fill('#name', 'x'.repeat(300));
  await frodo.press('#name', 'Enter');
  await eventually('an error', () => frodo.locator('#sign-in-error').textContent());
  assert.ok(await frodo.isVisible('#sign-in-form'));
});
