import { ChatView } from './chat-view.mjs';
import { Composer } from './composer.mjs';
import { Connection, socketUrl } from './connection.mjs';
import { byId, el, themeButton } from './dom.mjs';
import { parse, roomProblem } from './grammar.mjs';
import { Model, roomKey } from './model.mjs';
import { printable } from './text.mjs';

const KEPT_LINES = 200;
const TEXT_BYTES_MAX = 30_000;
const ID_TAKEN = 2;

let model = null;
let connection = null;
let isReady = false;

const app = byId('app');
const entry = byId('entry');

const request = (what, more) => connection.send({ do: what, ...more });

const view = new ChatView({ open, openUser: (user) => { if (user.id !== model.me?.id) open(model.talkWithUser(user)); }, join });
const composer = new Composer({
  send,
  names: () => ({
    users: [...model.users.values()].map(({ name }) => name),
    members: [...model.current.members.values()].map(({ name }) => name),
    rooms: new Set([...model.rooms.keys(), ...[...model.talks.values()].filter(({ isRoom }) => isRoom).map(({ name }) => name)]),
  }),
  announce: (text) => view.announce(text),
});

// Signing in, and the connection.

function signIn(name, kept) {
  model = new Model();
  isReady = false;
  view.attach(model);
  const change = model.onChange;
  model.onChange = (kind, talk, line) => { change(kind, talk, line); if (kind === 'line') notify(talk, line); };
  if (kept) restore(kept);
  composer.show(model.current);
  let id = kept?.id;
  connection = new Connection({
    url: socketUrl('/ws', location),
    protocol: 'crc.json.v1',
    greet: () => ({ do: 'hello', name, ...(id && { id }) }),
    isWelcome: ({ event }) => event === 'connected',
    probe: { do: 'rooms' },
    onState: drawConnection,
    onEvent: (event) => {
      if (event.event === 'connected') {
        id = event.id;
        connected(event);
      } else if (connection.state === 'greeting' && event.code === ID_TAKEN) {
        // The server has not noticed yet that the former connection is gone.
        id = undefined;
        request('hello', { name });
      } else if (connection.state === 'greeting' && event.event === 'error') {
        refused(event.text);
      } else if (event.event === 'disconnected') {
        model.note(`Disconnected: ${event.text}`, 'error');
      } else {
        model.apply(event);
        if (event.event === 'room_join' && event.id === id) request('names', { room: event.room });
      }
    },
  });
  connection.start();
}

const offline = byId('offline');

function connected(event) {
  isReady = true;
  byId('sign-in').hidden = true;
  const isFirst = app.hidden;
  app.hidden = false;
  model.apply(event);
  localStorage.setItem('crc-name', event.name);
  byId('me').replaceChildren(el('bdi', {}, printable(event.name)), el('small'));
  drawConnection('online', '');
  for (const talk of model.talks.values()) if (talk.isWanted) request('join', { room: talk.name });
  request('rooms');
  const linked = linkedRoom();
  if (linked) join(linked);
  if (isFirst) entry.focus();
}

function refused(text) {
  connection.stop();
  sessionStorage.removeItem('crc');
  showSignIn(text);
}

function showSignIn(text) {
  app.hidden = true;
  byId('sign-in').hidden = false;
  byId('sign-in-error').textContent = text;
  byId('sign-in-button').disabled = false;
  byId('name').focus();
}

let countdown;

function drawConnection(state, reason) {
  clearInterval(countdown);
  if (!isReady) {
    byId('sign-in-button').disabled = state === 'connecting' || state === 'greeting';
    if (state === 'waiting') {
      connection.stop();
      showSignIn(reason ? `Not connected: ${reason}.` : `${location.host} does not answer. Try again in a moment.`);
    }
    return;
  }
  if (state === 'waiting' || state === 'closed') model.disconnected(reason);
  const isOnline = state === 'online';
  const small = byId('me').querySelector('small');
  small.className = isOnline ? 'online' : '';
  small.textContent = isOnline ? `${model.me.id}` : 'not connected';
  if (isOnline) return offline.replaceChildren();
  if (offline.children.length && state !== 'closed') {
    if (state === 'waiting') drawCountdown();
    return undefined;
  }
  const text = state === 'closed' ? `Signed out${reason ? `: ${reason}` : ''}.` : 'The connection is lost. What you write stays here.';
  offline.replaceChildren(el('span', {}, text), el('span', { ariaHidden: 'true' }),
    el('button', { onclick: () => (connection.state === 'closed' ? connection.start() : connection.retryNow()) }, state === 'closed' ? 'Connect' : 'Try now'));
  return drawCountdown();
}

function drawCountdown() {
  const draw = () => {
    const seconds = Math.ceil((connection.retryAt - Date.now()) / 1000);
    const [, left] = offline.children;
    if (left) left.textContent = connection.state === 'waiting' && seconds > 0 ? `Next attempt in ${seconds} s` : '';
  };
  draw();
  countdown = setInterval(draw, 1000);
}

// What the user does.

function open(talk) {
  app.dataset.pane = 'talk';
  seen();
  if (innerWidth <= 1000) showPeople(false);
  model.show(talk);
  composer.show(talk);
  history.replaceState(null, '', talk.isRoom ? talk.name : ' ');
  if (talk.isRoom && talk.isJoined) request('names', { room: talk.name });
  if (talk.kind === 'home') request('rooms');
  if (matchMedia('(hover: hover)').matches) entry.focus();
}

function join(room) {
  const talk = model.talkWithRoom(room);
  talk.isWanted = true;
  if (!talk.isJoined) request('join', { room });
  open(talk);
}

function leave(talk, text) {
  talk.isWanted = false;
  if (talk.isJoined) request('part', { room: talk.name, ...(text && { text }) });
  model.close(talk);
  open(model.current);
}

function signOut(text) {
  request('quit', text && { text });
  connection.stop();
  isReady = false;
  sessionStorage.removeItem('crc');
  showSignIn('');
}

// Carries out a line. Returns whether it was taken.
function send(line) {
  const command = parse(line, model.current.kind !== 'home');
  if (!command) return true;
  if (command.error) refuse(command.error);
  else if (command.do === 'help') model.note('', 'help');
  else if (command.do === 'quit') signOut(command.text);
  else if (connection.state !== 'online') view.announce('Not connected: what you write stays here.');
  else return carryOut(command);
  return command.do === 'help' || command.do === 'quit';
}

function carryOut(command) {
  const talk = command.room ? model.talks.get(roomKey(command.room)) : model.current;
  const ask = (kind, what, more) => { model.ask(kind); return request(what, more); };
  switch (command.do) {
    case 'here': return say(model.current, command.text);
    case 'user': return sayTo(command.to, command.text);
    case 'room': return say(model.talkWithRoom(command.room), command.text);
    case 'join': return join(command.room), true;
    case 'part':
      if (!talk?.isRoom) return refuse('You are not in that room.');
      return leave(talk, command.text), true;
    case 'names': {
      const room = command.room ?? (talk.isRoom ? talk.name : '');
      if (!room) return refuse('/names needs a room: write /names #ROOM');
      return ask(`names ${roomKey(room)}`, 'names', { room });
    }
    case 'rooms': return ask('rooms', 'rooms');
    default: return ask('users', 'list');
  }
}

// Shows why a line is not carried out.
function refuse(text) {
  model.note(text, 'error');
  return false;
}

function say(talk, text) {
  if (talk.isRoom && !talk.isJoined) return refuse('You are not in this room: write /join to come in.');
  if (new TextEncoder().encode(text).length > TEXT_BYTES_MAX) return refuse(`The message is too long: at most ${TEXT_BYTES_MAX.toLocaleString()} bytes.`);
  if (!request('say', { to: talk.isRoom ? talk.name : talk.id, text })) return false;
  model.sent(talk, text);
  if (talk !== model.current) open(talk);
  return true;
}

function sayTo(to, text) {
  const byName = model.named(to);
  if (byName.length > 1) return refuse(`Several users have the name ${to}: write to one of the ids ${byName.map(({ id }) => id).join(', ')}.`);
  const user = byName[0] ?? (/^\d+$/.test(to) ? { ...model.users.get(Number(to)), id: Number(to) } : null);
  return user ? say(model.talkWithUser(user), text) : request('say', { to, text });
}

// Notifications.

function notify(talk, { kind, isOwn, isMention, from, text }) {
  if (kind !== 'text' || isOwn || (talk === model.current && model.isSeen)) return;
  const isForMe = isMention || talk.kind === 'user';
  const name = printable(from.name ?? `${from.id}`);
  const title = talk.isRoom ? `${name} in ${printable(talk.name)}` : name;
  if (model.isSeen && isForMe) view.announce(`${title}: ${text}`);
  if (model.isSeen || !isForMe || !isNotifying()) return;
  try {
    const note = new Notification(title, { body: text.slice(0, 200), tag: talk.key, icon: '/icon.svg' });
    note.onclick = () => { window.focus(); open(talk); note.close(); };
  } catch {
    // Some phones allow notifications to service workers only.
  }
}

const isNotifying = () => globalThis.Notification?.permission === 'granted' && localStorage.getItem('crc-notify') === 'yes';

function drawNotify() {
  byId('notify').hidden = !globalThis.Notification;
  byId('notify').ariaPressed = String(isNotifying());
}

byId('notify').onclick = async () => {
  const isWanted = !isNotifying() && await Notification.requestPermission() === 'granted';
  if (!isWanted && Notification.permission === 'denied') view.announce('Notifications are blocked in the settings of the browser.');
  localStorage.setItem('crc-notify', isWanted ? 'yes' : 'no');
  drawNotify();
};

// What is kept while the page is reloaded.

function keep() {
  if (!isReady) return;
  const talks = model.ordered().map(({ kind, name, id, draft, sent, isWanted, lines }) => ({ kind, name, id, draft, sent, isWanted, lines: lines.slice(-KEPT_LINES) }));
  try {
    sessionStorage.setItem('crc', JSON.stringify({ ...model.me, talks, current: model.ordered().indexOf(model.current) }));
  } catch {
    // The storage is full or forbidden: a reload begins anew.
  }
}

const stored = () => JSON.parse(sessionStorage.getItem('crc') ?? 'null');

function restore({ talks, current }) {
  const restored = talks.map(({ kind, name, id, ...rest }) => {
    const talk = kind === 'room' ? model.talkWithRoom(name) : kind === 'user' ? model.talkWithUser({ id, name }) : model.home;
    return Object.assign(talk, rest);
  });
  model.show(restored[current] ?? model.home);
}

// Returns the room in the address, such as /#lab.
const linkedRoom = () => {
  const room = decodeURIComponent(location.hash);
  return room && !roomProblem(room) ? room : '';
};

// The rest of the page.

function showPeople(isShown) {
  app.classList.toggle('no-people', !isShown);
  byId('show-people').ariaExpanded = String(isShown);
}

function move(step) {
  const order = model.ordered();
  open(order[(order.indexOf(model.current) + step + order.length) % order.length]);
}

byId('sign-in-form').onsubmit = (event) => {
  event.preventDefault();
  byId('sign-in-error').textContent = '';
  const name = byId('name').value.trim();
  const kept = stored();
  signIn(name, kept?.name === name ? kept : null);
};
byId('join-form').onsubmit = (event) => {
  event.preventDefault();
  const room = `#${byId('room').value.trim().replace(/^#/, '')}`;
  const problem = roomProblem(room);
  if (problem) return refuse(problem);
  byId('room').value = '';
  return join(room);
};
byId('leave').onclick = () => leave(model.current);
byId('sign-out').onclick = () => signOut();
byId('back').onclick = () => {
  app.dataset.pane = 'talks';
  byId('talk-list').querySelector('[aria-current]').focus();
  seen();
};
byId('show-people').onclick = () => { showPeople(app.classList.contains('no-people')); };
byId('hide-people').onclick = () => { showPeople(false); byId('show-people').focus(); };
document.addEventListener('keydown', (event) => {
  if (!isReady) return;
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (event.altKey && step) {
    event.preventDefault();
    move(step);
  } else if (event.key === 'Escape') {
    view.toNewest();
    entry.focus();
  }
});

function seen() {
  if (!model) return;
  // On a phone the list of talks may cover the open one.
  model.isSeen = !document.hidden && document.hasFocus() && (app.dataset.pane === 'talk' || innerWidth > 680);
  model.see();
  if (document.hidden) keep();
  else if (model.isSeen) connection.check();
  if (!document.hidden) connection.retryNow();
}

for (const event of ['focus', 'blur', 'online']) addEventListener(event, seen);
document.addEventListener('visibilitychange', seen);
addEventListener('pagehide', keep);
addEventListener('hashchange', () => { if (isReady && linkedRoom()) join(linkedRoom()); });

themeButton(byId('theme'));
drawNotify();
if (innerWidth <= 1000) showPeople(false);
byId('network').textContent = location.host;
byId('name').value = localStorage.getItem('crc-name') ?? '';
if (stored()) signIn(stored().name, stored());
else showSignIn('');
