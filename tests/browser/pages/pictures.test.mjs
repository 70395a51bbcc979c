// Renews the pictures of the documents, in the folder of CRC_SCREENSHOTS.

import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Folder, Server, TerminalClient, has, launch, open, signIn, skip, type } from './support.mjs';

const pictures = process.env.CRC_SCREENSHOTS;
const TOKEN = 'mellon-mellon-mellon-mellon-mellon';
let browser;
let folder;
before(async () => {
  folder = new Folder();
  if (pictures && !skip) browser = await launch();
});
after(async () => {
  folder.remove();
  await browser?.close();
});

// Starts a tree of five servers with users. Returns servers and clients by name.
async function network(t) {
  const servers = new Map();
  const tree = [['theshire'], ['bree', 'theshire'], ['lorien', 'theshire'], ['rivendell', 'bree'], ['moria', 'bree']];
  for (const [index, [name, parent]] of tree.entries()) {
    const options = parent ? ['--parent', `127.0.0.1:${servers.get(parent).ports.crc}`] : ['--operator-token-file', folder.write('token', TOKEN), '--info', 'under the hill'];
    const server = await Server.start(['--name', name, '--id', `${index + 1}`, ...options]);
    t.after(() => server.end());
    servers.set(name, server);
  }
  const clients = new Map();
  const homes = { sam: 'theshire', merry: 'bree', pippin: 'bree', gandalf: 'rivendell', bilbo: 'rivendell', rosie: 'theshire', gimli: 'moria', galadriel: 'lorien' };
  for (const [index, [name, home]] of Object.entries(homes).entries()) {
    const client = new TerminalClient(servers.get(home), name, 102 + index);
    t.after(() => client.end());
    await client.sees({ event: 'connected' });
    clients.set(name, client);
  }
  return { servers, clients };
}

test('pictures', { skip: skip || (!pictures && 'CRC_SCREENSHOTS is not set') }, async (t) => {
  const { servers, clients } = await network(t);
  const root = servers.get('theshire');
  const keep = (page, name) => page.screenshot({ path: join(pictures, `${name}.png`) });
  const say = (name, line) => clients.get(name).type(line);
  const frodo = await open(browser, t, root.url, { viewport: { width: 1080, height: 620 } });
  await signIn(frodo, 'frodo');
  await type(frodo, '/join #shire');
  for (const name of ['sam', 'merry', 'pippin']) say(name, '/join #lab');
  for (const name of ['sam', 'rosie', 'merry']) say(name, '/join #shire');
  await has(frodo, '#talk-about', '4 users');
  await type(frodo, '/join #lab');
  await has(frodo, '#talk-about', '4 users');
  const lines = [
    ['sam', '#lab Good morning! The new relay is up, see https://chat.example/operator for the map.'],
    ['merry', '#lab It took two commands. I had planned the whole morning for it.'],
    ['frodo', 'Nice. Which servers are in the tree now?'],
    ['sam', '#lab bree and lorien, and two more behind bree. frodo, could you look at the link to lorien?'],
    ['frodo', 'It is at 0.3 ms and nothing waits in its queue.'],
    ['pippin', '#lab What about second breakfast?'],
  ];
  for (const [name, line] of lines) {
    if (name === 'frodo') await type(frodo, line);
    else say(name, line);
    await has(frodo, '#log .line', line.replace(/^#lab /, ''));
  }
  say('gandalf', '/msg frodo Is it secret? Is it safe?');
  say('rosie', '/msg #shire The garden gate needs paint.');
  await has(frodo, '#talk-list', 'gandalf');
  await has(frodo, '#talk-list .unread', 'shire');
  await keep(frodo, 'chat');

  const operator = await open(browser, t, `${root.url}/operator`, { viewport: { width: 1180, height: 720 } });
  await operator.fill('#token', TOKEN);
  await operator.press('#token', 'Enter');
  await has(operator, '.node', 'moria');
  await has(operator, '.link-label', ' ms');
  await has(operator, '#users', 'frodo');
  const chatter = setInterval(() => {
    for (const [name, client] of clients) if (Math.random() < 0.4) client.type(`/msg frodo ${name} was here`);
  }, 100);
  t.after(() => clearInterval(chatter));
  await operator.waitForFunction(() => document.querySelector('#totals polyline').getAttribute('points').split(' ').length > 18);
  await keep(operator, 'operator');
  await servers.get('bree').end('SIGKILL');
  await has(operator, '.lost', 'moria');
  await operator.evaluate(() => Promise.all(document.getAnimations().filter((a) => a.effect.getComputedTiming().iterations === 1).map((a) => a.finished)));
  await operator.locator('#map-section').screenshot({ path: join(pictures, 'split.png') });
});
