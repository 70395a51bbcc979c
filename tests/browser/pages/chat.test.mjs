import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Server, TerminalClient, checkAccess, eventually, has, launch, open, picture, signIn, skip, type } from './support.mjs';

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
  const ivy = await open(browser, t, `${server.url}/#lab`);
  await checkAccess(ivy, 'signing in');
  await signIn(ivy, 'ivy');
  await has(ivy, '#talk-name', '#lab');
  const rosie = await open(browser, t, server.url);
  await signIn(rosie, 'rosie');
  await has(rosie, '#rooms button', '#lab');
  await checkAccess(rosie, 'home');
  await picture(rosie, 'home');
  await rosie.click('#rooms button:has-text("#lab")');
  sam.type('/join #lab');
  await has(ivy, '#talk-about', '3 users');
  await has(rosie, '#talk-about', '3 users');

  await type(ivy, 'Good morning! The map is at http://localhost:3680/operator (for operators).');
  await sam.sees({ event: 'room', room: '#lab', name: 'ivy', text: 'Good morning! The map is at http://localhost:3680/operator (for operators).' });
  await rosie.waitForSelector(message('Good morning!'));
  const link = rosie.locator('#log a');
  assert.equal(await link.getAttribute('href'), 'http://localhost:3680/operator');
  assert.match(await link.getAttribute('rel'), /noopener/);
  sam.type('#lab Good morning, ivy <b>and</b> rosie');
  await has(ivy, '#log mark', 'ivy');
  await has(rosie, '#log mark', 'rosie');
  assert.equal(await ivy.locator('#log b').count(), 0, 'what others write is text');

  await type(rosie, '/msg sam Are you coming?');
  await sam.sees({ event: 'chat', name: 'rosie', text: 'Are you coming?' });
  await has(rosie, '#talk-name', 'sam');
  sam.type('rosie On my way');
  await rosie.waitForSelector(message('On my way'));
  await type(ivy, 'Where is everybody?');
  await has(rosie, `${talk('lab')} .count`, '1');
  await checkAccess(rosie, 'a private talk');
  await rosie.click(talk('lab'));
  await has(rosie, '#log .divider', 'new');

  await ivy.fill('#entry', 'thanks sa');
  await ivy.press('#entry', 'Tab');
  assert.equal(await ivy.inputValue('#entry'), 'thanks sam ');
  await ivy.press('#entry', 'Enter');
  await ivy.press('#entry', 'ArrowUp');
  assert.equal(await ivy.inputValue('#entry'), 'thanks sam ');
  await ivy.fill('#entry', '/nonsense');
  await ivy.press('#entry', 'Enter');
  await has(ivy, '#log .error', 'unknown command /nonsense');
  assert.equal(await ivy.inputValue('#entry'), '/nonsense', 'what is refused stays in the field');
  await type(ivy, '/names');
  await has(ivy, '#log .notice', '3 in #lab');
  await ivy.fill('#entry', '');
  sam.type('#lab The kettle is on. Tea at four?');
  await type(rosie, 'I bring the cake.');
  await ivy.waitForSelector(message('cake'));
  await picture(ivy, 'chat');
  await ivy.emulateMedia({ colorScheme: 'dark' });
  await checkAccess(ivy, 'a room, dark');
  await ivy.emulateMedia({ colorScheme: 'light' });
  await checkAccess(ivy, 'a room, light');

  await type(rosie, '/part');
  await has(ivy, '#log .notice', 'rosie has left the room');
  await type(rosie, '/quit');
  await rosie.waitForSelector('#sign-in');
  await sam.sees({ event: 'quit', name: 'rosie' });
});

test('a page connects again after the server was killed, with its rooms and what was typed', { skip }, async (t) => {
  let server = await Server.start();
  t.after(() => server.end());
  const ivy = await open(browser, t, server.url);
  await signIn(ivy, 'ivy');
  await type(ivy, '/join #lab');
  await has(ivy, '#talk-about', '1 user in');
  await ivy.fill('#entry', 'half a sen');
  await server.end('SIGKILL');
  await has(ivy, '#offline', 'The connection is lost');
  await ivy.press('#entry', 'Enter');
  assert.equal(await ivy.inputValue('#entry'), 'half a sen');
  await checkAccess(ivy, 'without a connection');
  server = await server.again();
  await ivy.waitForSelector('#offline:empty', { state: 'attached' });
  await has(ivy, '#talk-about', '1 user in');
  const sam = terminal(t, server, 'sam', 102);
  await sam.sees({ event: 'join', name: 'ivy' });
  sam.type('/join #lab');
  await has(ivy, '#talk-about', '2 users in');
  await ivy.locator('#entry').pressSequentially('tence');
  await ivy.press('#entry', 'Enter');
  await sam.sees({ event: 'room', room: '#lab', text: 'half a sentence' });
  await ivy.reload();
  await has(ivy, '#talk-about', '2 users in');
  await ivy.waitForSelector(message('half a sentence'));
});

test('the page works on a phone', { skip }, async (t) => {
  const server = await start(t);
  const ivy = await open(browser, t, server.url, { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true });
  await signIn(ivy, 'ivy');
  const sam = terminal(t, server, 'sam', 102);
  await sam.sees({ event: 'join', name: 'ivy' });
  await type(ivy, '/join #lab');
  sam.type('ivy Hello!');
  await has(ivy, '#back-count', '1');
  await ivy.tap('#back');
  await checkAccess(ivy, 'the talks on a phone');
  await ivy.tap(talk('sam'));
  await ivy.waitForSelector(message('Hello!'));
  await picture(ivy, 'phone');
  await ivy.tap('#show-people');
  await has(ivy, '#people-list', 'sam');
  await checkAccess(ivy, 'people on a phone');
  await ivy.tap('#hide-people');
  assert.equal(await ivy.evaluate(() => document.documentElement.scrollWidth), 390, 'nothing is wider than the screen');
});

test('every part of the page is reached by keyboard', { skip }, async (t) => {
  const server = await start(t);
  const ivy = await open(browser, t, server.url);
  await signIn(ivy, 'ivy');
  await type(ivy, '/join #lab');
  await has(ivy, '#talk-about', '1 user in');
  await ivy.keyboard.press('Alt+ArrowUp');
  await has(ivy, '#talk-name', 'Home');
  await ivy.keyboard.press('Alt+ArrowDown');
  await has(ivy, '#talk-name', '#lab');
  const wanted = new Set(['notify', 'theme', 'sign-out', 'leave', 'show-people', 'log', 'entry', 'people-filter', 'people-list']);
  for (let stops = 0; wanted.size && stops < 40; stops += 1) {
    await ivy.keyboard.press('Tab');
    wanted.delete(await ivy.evaluate(() => document.activeElement.id));
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
  const ivy = await open(browser, t, server.url);
  await ivy.evaluate(() => { document.getElementById('name').removeAttribute('maxlength'); });
  await ivy.fill('#name', 'x'.repeat(300));
  await ivy.press('#name', 'Enter');
  await eventually('an error', () => ivy.locator('#sign-in-error').textContent());
  assert.ok(await ivy.isVisible('#sign-in-form'));
});
