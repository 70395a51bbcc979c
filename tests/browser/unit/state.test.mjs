import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connection, socketUrl } from '../../../web/connection.mjs';
import { Model } from '../../../web/model.mjs';

// A browser's clock, timers and sockets, moved by hand.
function world() {
  const env = { now: 0, sockets: [], timers: new Map(), next: 0 };
  env.Date = { now: () => env.now };
  env.Math = { random: () => 1 };
  env.setTimeout = (run, ms) => { env.timers.set(++env.next, { run, at: env.now + ms }); return env.next; };
  env.clearTimeout = (timer) => env.timers.delete(timer);
  env.pass = (ms) => {
    env.now += ms;
    for (const [key, { run, at }] of [...env.timers]) if (at <= env.now) { env.timers.delete(key); run(); }
  };
  env.WebSocket = class {
    constructor(url, protocol) { Object.assign(this, { url, protocol, readyState: 0, sent: [] }); env.sockets.push(this); }
    send(text) { this.sent.push(JSON.parse(text)); }
    close() { this.readyState = 3; }
    open() { this.readyState = 1; this.onopen(); }
    say(event) { this.onmessage({ data: JSON.stringify(event) }); }
    end(code = 1006, reason = '') { this.readyState = 3; this.onclose({ code, reason }); }
  };
  return env;
}

function connect(env) {
  const log = { states: [], events: [] };
  const connection = new Connection({
    url: 'ws://here/ws', protocol: 'crc.json.v1', env,
    greet: () => ({ do: 'hello', name: 'frodo' }),
    isWelcome: ({ event }) => event === 'connected',
    probe: { do: 'rooms' },
    onState: (state, reason) => log.states.push(reason ? `${state}: ${reason}` : state),
    onEvent: (event) => log.events.push(event.event),
  });
  connection.start();
  return { connection, log };
}

test('a connection greets, and is opened again with growing delays', () => {
  const env = world();
  const { connection, log } = connect(env);
  env.sockets[0].open();
  env.sockets[0].say({ event: 'connected', id: 1, name: 'frodo' });
  assert.deepEqual(env.sockets[0].sent, [{ do: 'hello', name: 'frodo' }]);
  assert.deepEqual(log.states, ['connecting', 'greeting', 'online']);
  const delays = [];
  for (let i = 0; i < 8; i += 1) {
    env.sockets.at(-1).end();
    delays.push(connection.retryAt - env.now);
    env.pass(delays.at(-1));
  }
  assert.deepEqual(delays, [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
  env.sockets.at(-1).open();
  env.sockets.at(-1).say({ event: 'connected', id: 1, name: 'frodo' });
  env.sockets.at(-1).end();
  assert.equal(connection.retryAt - env.now, 500, 'a success begins anew');
  connection.retryNow();
  assert.equal(connection.state, 'connecting');
});

test('a refusal for good is final, and a stopped connection stays closed', () => {
  const env = world();
  const { connection, log } = connect(env);
  env.sockets[0].open();
  env.sockets[0].end(1008, 'kicked');
  assert.equal(log.states.at(-1), 'closed: kicked');
  connection.start();
  connection.stop();
  env.pass(100_000);
  assert.equal(env.sockets.length, 2);
  assert.equal(connection.send({ do: 'rooms' }), false);
});

test('a connection that does not answer is given up', () => {
  const env = world();
  const { connection, log } = connect(env);
  env.pass(10_000);
  assert.equal(log.states.at(-1), 'waiting: no answer');
  env.pass(500);
  env.sockets[1].open();
  env.sockets[1].say({ event: 'connected', id: 1, name: 'frodo' });
  env.pass(60_000);
  assert.equal(connection.state, 'online', 'silence alone is no fault');
  connection.check();
  env.sockets[1].say({ event: 'rooms', rooms: [] });
  env.pass(10_000);
  assert.equal(connection.state, 'online');
  connection.check();
  env.pass(10_000);
  assert.equal(connection.state, 'waiting');
  env.sockets[1].say({ event: 'chat', from: 1, text: 'late' });
  assert.equal(log.events.includes('chat'), false, 'what an old socket brings is ignored');
});

test('what is sent after a silence is followed by a question', () => {
  const env = world();
  const { connection } = connect(env);
  env.sockets[0].open();
  env.sockets[0].say({ event: 'connected', id: 1, name: 'frodo' });
  env.pass(30_000);
  connection.send({ do: 'say', to: 2, text: 'Hi' });
  assert.deepEqual(env.sockets[0].sent.slice(1).map((message) => message.do), ['say']);
  env.pass(1);
  connection.send({ do: 'say', to: 2, text: 'Hi' });
  connection.send({ do: 'say', to: 2, text: 'Hi' });
  assert.deepEqual(env.sockets[0].sent.slice(2).map((message) => message.do), ['say', 'rooms', 'say']);
  env.pass(10_000);
  assert.equal(connection.state, 'waiting');
});

test('the address of the socket follows that of the page', () => {
  assert.equal(socketUrl('/ws', new URL('https://chat.example:8443/#lab')), 'wss://chat.example:8443/ws');
  assert.equal(socketUrl('/ws', new URL('http://127.0.0.1:3680/')), 'ws://127.0.0.1:3680/ws');
});

function session() {
  const model = new Model();
  const apply = (...events) => events.forEach((event) => model.apply(event));
  apply({ event: 'connected', id: 1, name: 'frodo' }, { event: 'join', id: 2, name: 'sam', info: 'crc' });
  return { model, apply };
}

const texts = (talk) => talk.lines.map(({ text }) => text);

test('messages out of sight count as unread, and mentions stand out', () => {
  const { model, apply } = session();
  apply({ event: 'room_join', room: '#lab', id: 1, name: 'frodo' }, { event: 'room', room: '#LAB', from: 2, name: 'sam', text: 'Hi' });
  const lab = model.talks.get('#lab');
  assert.deepEqual([lab.unread, lab.isMentioned, lab.isJoined], [1, false, true]);
  apply({ event: 'room', room: '#lab', from: 2, name: 'sam', text: 'frodo?' });
  assert.deepEqual([lab.unread, lab.isMentioned, model.unread], [2, true, 2]);
  model.show(lab);
  assert.deepEqual([lab.unread, lab.isMentioned], [0, false]);
  apply({ event: 'room', room: '#lab', from: 2, name: 'sam', text: 'seen' });
  assert.equal(lab.unread, 0);
  model.isSeen = false;
  apply({ event: 'room', room: '#lab', from: 2, name: 'sam', text: 'unseen' });
  assert.equal(lab.unread, 1);
  model.sent(lab, 'mine');
  assert.equal(lab.unread, 1);
});

test('a private talk goes on with the same user under another id', () => {
  const { model, apply } = session();
  apply({ event: 'chat', from: 2, name: 'sam', text: 'Hi' });
  const talk = model.talkWithUser({ id: 2, name: 'sam' });
  apply({ event: 'quit', id: 2, name: 'sam', text: 'bye' });
  assert.equal(model.isOnline(talk), false);
  apply({ event: 'join', id: 9, name: 'sam' });
  assert.deepEqual([talk.id, model.isOnline(talk)], [9, true]);
  assert.deepEqual(texts(talk), ['Hi', 'sam has left: bye.', 'sam is here as 9.']);
  apply({ event: 'join', id: 10, name: 'sam' }, { event: 'chat', from: 10, name: 'sam', text: 'another sam' });
  assert.equal(model.talks.get('@10').lines.length, 1, 'two users of one name have a talk each');
});

test('lists come in portions, and are shown to those who asked', () => {
  const { model, apply } = session();
  apply({ event: 'rooms', rooms: [{ room: '#a', users: 1 }], more: true });
  assert.equal(model.rooms.size, 0);
  apply({ event: 'rooms', rooms: [{ room: '#b', users: 2 }] });
  assert.deepEqual([...model.rooms], [['#a', 1], ['#b', 2]]);
  const before = model.home.lines.length;
  model.ask('rooms');
  apply({ event: 'rooms', rooms: [{ room: '#a', users: 1 }] });
  assert.deepEqual(texts(model.home).slice(before), ['1 room: #a (1)']);
});

test('a lost connection leaves talks, and rooms are to be joined again', () => {
  const { model, apply } = session();
  apply({ event: 'room_join', room: '#lab', id: 1, name: 'frodo' });
  const lab = model.talks.get('#lab');
  model.disconnected('');
  assert.deepEqual([lab.isJoined, lab.isWanted, model.users.size], [false, true, 0]);
  assert.match(texts(lab).at(-1), /^Disconnected/);
});

test('the lines of a talk are bounded', () => {
  const { model, apply } = session();
  for (let i = 0; i < 1100; i += 1) apply({ event: 'chat', from: 2, name: 'sam', text: `${i}` });
  const { lines } = model.talks.get('@2');
  assert.deepEqual([lines.length, lines[0].text], [1000, '100']);
});
