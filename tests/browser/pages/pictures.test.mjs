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

// Starts a tree of five servers with users, and returns its root and the clients by name.
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
  return { root: servers.get('theshire'), clients };
}

test('pictures', { skip: skip || (!pictures && 'CRC_SCREENSHOTS is not set') }, async (t) => {
  const { root, clients } = await network(t);
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
});
