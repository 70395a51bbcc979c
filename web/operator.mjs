import { Connection, socketUrl } from './connection.mjs';
import { byId, el, onceAFrame, themeButton } from './dom.mjs';
import { NetworkMap, amount, bytes } from './map.mjs';
import { OperatorModel } from './operator-model.mjs';
import { Table } from './table.mjs';
import { printable } from './text.mjs';

const model = new OperatorModel();
let connection = null;
let selected = null;
let token = '';

const map = new NetworkMap({ pick: select });
const safe = (value) => (value === undefined ? undefined : printable(value));
const seconds = (value) => (value === undefined ? undefined : value < 100 ? `${value.toFixed(1)} s` : value < 6000 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`);
const milliseconds = (value) => (value === undefined ? undefined : `${value.toFixed(1)} ms`);
const serverName = (id) => (model.servers.has(id) ? `${printable(model.servers.get(id).name)} (${id})` : id ?? undefined);
const column = (title, value, more) => ({ title, value, ...more });
const number = (title, value, text) => column(title, value, { isNumber: true, text: text ? (item) => text(value(item)) : (item) => value(item)?.toLocaleString() });

const servers = new Table(byId('panel-servers').firstChild, {
  label: 'Servers',
  pick: ({ id }) => select(id),
  columns: [
    column('Name', ({ name }) => name, { element: ({ id, name }) => el('button', { textContent: safe(name) || id, onclick: () => select(id) }) }),
    number('Id', ({ id }) => id, String),
    column('State', ({ lost, extended, self }) => (lost ? 'split' : self ? 'this server' : extended ? 'crc' : 'plain')),
    column('Behind', ({ parent }) => parent, { text: ({ parent }) => serverName(parent) }),
    number('Hops', ({ hops }) => hops),
    number('Users', ({ users }) => users),
    column('Info', ({ info }) => info, { text: ({ info }) => safe(info) }),
  ],
});

const links = new Table(byId('panel-links').firstChild, {
  label: 'Links of this server to other servers',
  columns: [
    column('Server', ({ name }) => name, { text: ({ name, id }) => safe(name) || id }),
    column('Address', ({ address }) => address),
    column('Wire', ({ wire, tls, extended }) => `${wire}${tls ? ' over TLS' : ''}${extended ? '' : ', plain'}`),
    number('Round trip', ({ rtt_ms: rtt }) => rtt, milliseconds),
    number('Frames/s', ({ frames_s: rate }) => rate, (rate) => rate.toFixed(1)),
    number('Rate', ({ bytes_s: rate }) => rate, (rate) => `${bytes(rate)}/s`),
    number('Queue', ({ queue_bytes: queue }) => queue, bytes),
    number('Silent', ({ silence_s: silence }) => silence, seconds),
    number('Open for', ({ age_s: age }) => age, seconds),
  ],
});

const users = new Table(byId('users'), {
  label: 'Users of the server',
  columns: [
    column('Name', ({ name }) => name, { text: ({ name }) => safe(name) }),
    number('Id', ({ id }) => id, String),
    column('Info', ({ info }) => info, { text: ({ info }) => safe(info) }),
    column('Kick', undefined, { element: (user) => (selected === model.self.id ? el('button', { className: 'quiet', textContent: 'Kick…', ariaLabel: `Kick ${safe(user.name)}`, onclick: () => kick(user) }) : '') }),
  ],
});

// What is drawn, at most once a frame.

const drawServers = onceAFrame(() => {
  if (!model.servers.has(selected)) selected = model.self.id;
  map.update(model, selected);
  servers.update([...model.servers.values()]);
  drawDetail();
});

const drawUsers = onceAFrame(() => {
  const list = model.users.get(selected);
  users.update(list?.items ?? [], byId('users-find').value);
  const title = list ? amount(list.items.length, 'user') : 'Users';
  byId('users-title').textContent = list && !list.isComplete ? `${title} …` : title;
});

const drawLinks = onceAFrame(() => {
  links.update([...model.links.values()]);
  if (model.servers.size) map.update(model, selected);
  drawDetail();
});

const drawTotals = onceAFrame(() => {
  const { totals, history } = model;
  const tile = (name, value) => el('div', {}, el('dt', { textContent: name }), el('dd', { textContent: value.toLocaleString() }));
  const rate = tile('messages/s', Math.round(totals.messages_s));
  rate.className = 'graph';
  rate.append(sparkline(history));
  byId('totals').replaceChildren(tile('users', totals.users), tile('here', totals.users_here), tile('servers', totals.servers), tile('rooms', totals.rooms), tile('mail', totals.mail?.messages ?? 0), rate);
});

function sparkline(values) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
  const max = Math.max(1, ...values);
  line.setAttribute('points', values.map((value, i) => `${60 - values.length + i},${20 - (value / max) * 18}`).join(' '));
  svg.setAttribute('viewBox', '0 0 60 22');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.ariaHidden = 'true';
  svg.append(line);
  return svg;
}

const drawLog = onceAFrame(() => {
  const log = byId('log');
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const find = byId('find').value.toLowerCase();
  const level = (line) => /\b(WARN|ERROR)\b/i.exec(line)?.[1].toLowerCase() ?? '';
  log.replaceChildren(...model.log.filter((line) => line.toLowerCase().includes(find)).map((line) => el('div', { className: level(line.slice(0, 60)), textContent: printable(line) })));
  if (isAtEnd) log.scrollTop = log.scrollHeight;
});

function drawDetail() {
  const server = model.servers.get(selected);
  if (!server) return;
  const link = server.self ? undefined : model.load(server.parent, selected);
  byId('detail-name').textContent = safe(server.name) || `${server.id}`;
  byId('detail-about').textContent = [`server ${server.id}`, safe(server.info)].filter(Boolean).join(' · ');
  const facts = {
    State: server.lost ? 'in a split' : server.self ? 'this server' : server.extended ? 'crc server' : 'plain server',
    Users: server.users?.toLocaleString(),
    Behind: server.self ? undefined : serverName(server.parent),
    Hops: server.self ? undefined : server.hops,
    'Round trip': milliseconds(link?.rtt_ms),
    Traffic: link && `${link.frames_s.toFixed(1)} frames/s, ${bytes(link.bytes_s)}/s`,
    Queue: link && bytes(link.queue_bytes),
    Address: link?.address,
  };
  byId('facts').replaceChildren(...Object.entries(facts).filter(([, value]) => value !== undefined).flatMap(([name, value]) => [el('dt', { textContent: name }), el('dd', { textContent: value })]));
}

// What the operator does.

// Shows a server; again, with its users as they are now.
function select(id) {
  const isAgain = id === selected;
  selected = id;
  if (isAgain || !model.users.has(id)) loadUsers();
  map.update(model, selected);
  map.reveal(id);
  drawDetail();
  drawUsers();
}

// Asks the servers that are drawn what their links carry. Those of this server come by themselves.
function askLoads() {
  const answers = (id) => {
    const server = model.servers.get(id);
    return server?.extended && !server.lost && !server.self;
  };
  const asked = document.hidden ? [] : map.drawn().filter(answers);
  if (asked.length) connection.send({ do: 'loads', servers: asked });
}

function loadUsers() {
  model.loadUsers(selected);
  connection.send({ do: 'users', server: selected });
}

// Asks, and returns the text of the field, or null.
function confirm(title, text, yes, hasReason) {
  const dialog = byId('confirm');
  byId('confirm-title').textContent = title;
  byId('confirm-text').textContent = text;
  byId('confirm-yes').textContent = yes;
  byId('reason-label').hidden = !hasReason;
  byId('reason').value = '';
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes' ? byId('reason').value : null), { once: true });
  });
}

async function kick({ id, name }) {
  const text = await confirm(`Kick ${safe(name)}?`, `The connection of ${safe(name)} (${id}) is closed. Nothing keeps the user from coming back.`, 'Kick', true);
  if (text !== null) connection.send({ do: 'kick', id, ...(text && { text }) });
}

async function shutDown() {
  const text = await confirm(`Shut down ${safe(model.self.name)}?`, 'Its users leave the network, and the servers below it join another one or wait until it is back.', 'Shut down', false);
  if (text !== null) connection.send({ do: 'shutdown' });
}

function note(text, isBad) {
  byId('note').textContent = text;
  byId('note').className = isBad ? 'bad' : '';
}

// Signing in, and the connection.

function signIn() {
  connection = new Connection({
    url: socketUrl('/operator/ws', location),
    protocol: 'crc.operator.v1',
    greet: () => ({ do: 'sign_in', token }),
    isWelcome: ({ event }) => event === 'signed_in',
    onState,
    onEvent,
  });
  connection.start();
}

function onState(state, reason) {
  const isIn = !byId('app').hidden;
  byId('sign-in-button').disabled = state === 'connecting' || state === 'greeting';
  if (state === 'closed' && reason) showSignIn(`Not signed in: ${reason}.`);
  else if (state === 'waiting' && !isIn) {
    connection.stop();
    showSignIn(`${location.host} does not answer. Try again in a moment.`);
  } else if (isIn) note(state === 'online' ? '' : 'The connection is lost; what is shown was true before. Trying again …', state !== 'online');
}

function showSignIn(text) {
  sessionStorage.removeItem('crc-token');
  byId('app').hidden = true;
  byId('sign-in').hidden = false;
  byId('sign-in-error').textContent = text;
  byId('token').focus();
}

function onEvent(event) {
  if (event.event === 'signed_in') welcome();
  const changed = model.apply(event);
  if (event.event === 'signed_in') {
    byId('server-name').textContent = document.title = safe(event.name);
    byId('server-about').textContent = `server ${event.id}${event.version ? ` · crc ${event.version}` : ''}`;
  }
  if (changed === 'servers' && (selected === null || !model.users.has(selected))) select(selected !== null && model.servers.has(selected) ? selected : model.self.id);
  ({ servers: drawServers, links: drawLinks, totals: drawTotals, users: drawUsers, log: drawLog })[changed]?.();
  if (changed === 'servers' && model.isStale(selected)) loadUsers();
  if (event.event === 'links') askLoads();
  if (event.event === 'done') {
    note(event.text, false);
    loadUsers();
  } else if (event.event === 'error') note(event.text, true);
}

function welcome() {
  sessionStorage.setItem('crc-token', token);
  byId('sign-in').hidden = true;
  byId('app').hidden = false;
  model.reset();
}

// The rest of the page.

const tabs = [...document.querySelectorAll('[role=tab]')];

function openTab(tab) {
  for (const other of tabs) {
    other.ariaSelected = String(other === tab);
    other.tabIndex = other === tab ? 0 : -1;
    byId(other.getAttribute('aria-controls')).hidden = other !== tab;
  }
  find();
}

function find() {
  const text = byId('find').value;
  servers.update(servers.items, text);
  links.update(links.items, text);
  drawLog();
}

for (const tab of tabs) {
  tab.addEventListener('click', () => openTab(tab));
  tab.addEventListener('keydown', ({ key }) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    openTab(next);
    next.focus();
  });
}
byId('find').addEventListener('input', find);
byId('users-find').addEventListener('input', drawUsers);
byId('shutdown').addEventListener('click', shutDown);
byId('sign-out').addEventListener('click', () => { connection.stop(); showSignIn(''); });
byId('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault();
  byId('sign-in-error').textContent = '';
  token = byId('token').value.trim();
  byId('token').value = '';
  signIn();
});
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  connection?.retryNow();
  connection?.check();
});

themeButton(byId('theme'));
byId('network').textContent = location.host;
token = sessionStorage.getItem('crc-token') ?? '';
if (token) signIn();
else showSignIn('');
