import { isMention } from './text.mjs';

const LINES_MAX = 1000;
const LISTED_MAX = 50;
// Number of members above which those who come and go are not shown line by line.
const BUSY_ROOM = 100;

export const roomKey = (room) => room.replace(/[A-Z]/g, (c) => c.toLowerCase());
const userKey = (id) => `@${id}`;

// What the page knows, from events and from what the user does. `onChange(kind, talk, line)` is
// called with 'line', 'talks', 'people' (which may change talks, too) or 'rooms'.
//
// A talk is `{ key, kind: 'home' | 'room' | 'user', isRoom, name, id, lines, unread, isMentioned, … }`, a
// line `{ at, kind: 'text' | 'notice' | 'error' | 'help', from, isOwn, isMention, text }`.
export class Model {
  constructor(onChange = () => {}, now = Date.now) {
    Object.assign(this, { onChange, now, me: null, isSeen: true, isConnected: false });
    for (const map of ['users', 'rooms', 'talks', 'portions', 'asked']) this[map] = new Map();
    this.current = this.home = this.#open('home', 'home', 'Home');
  }

  // Returns the unread messages of all talks.
  get unread() {
    return [...this.talks.values()].reduce((sum, talk) => sum + talk.unread, 0);
  }

  apply(event) {
    const { event: kind, more, ...rest } = event;
    const handle = this[`_${kind}`];
    if (!handle) return;
    const list = rest.users ?? rest.rooms;
    if (!list) return handle.call(this, rest);
    const key = `${kind} ${rest.room ?? ''}`;
    const all = this.portions.get(key) ?? [];
    for (const item of list) all.push(item);
    if (more) return void this.portions.set(key, all);
    this.portions.delete(key);
    handle.call(this, rest, all);
  }

  // Opens a talk; its messages count as read.
  show(talk) {
    this.current = talk;
    this.see();
    this.onChange('talks');
  }

  // Marks the open talk as read, if the page is in view.
  see() {
    if (!this.isSeen || !this.current.unread) return;
    Object.assign(this.current, { unread: 0, isMentioned: false });
    this.onChange('talks');
  }

  // Returns the talk with a room or a user, new if need be.
  talkWithRoom(room) {
    return this.talks.get(roomKey(room)) ?? this.#open(roomKey(room), 'room', room);
  }

  talkWithUser({ id, name }) {
    return this.talks.get(userKey(id)) ?? this.#rebind(id, name) ?? this.#open(userKey(id), 'user', name ?? `${id}`, id);
  }

  close(talk) {
    const order = this.ordered();
    const index = order.indexOf(talk);
    this.talks.delete(talk.key);
    if (this.current === talk) this.show(order[index + 1] ?? order[index - 1]);
    this.onChange('talks');
  }

  // Returns the talks in the order in which they are listed.
  ordered() {
    const rank = { home: 0, room: 1, user: 2 };
    return [...this.talks.values()].sort((a, b) => rank[a.kind] - rank[b.kind] || a.name.localeCompare(b.name));
  }

  // Adds what this user has sent.
  sent(talk, text) {
    this.#add(talk, { kind: 'text', from: this.me, isOwn: true, text });
  }

  note(text, kind = 'notice', talk = this.current) {
    this.#add(talk, { kind, text });
  }

  // Forgets who is there: the connection has ended.
  disconnected(reason) {
    for (const talk of this.talks.values()) {
      talk.members = new Map();
      if (talk.isJoined) this.note(`Disconnected${reason ? `: ${reason}` : ''}. What others write meanwhile is not shown here.`, 'notice', talk);
      talk.isJoined = false;
    }
    this.isConnected = false;
    this.users.clear();
    this.portions.clear();
    this.onChange('people');
  }

  // Returns the users with a name.
  named(name) {
    return [...this.users.values()].filter((user) => user.name === name);
  }

  isOnline(talk) {
    return talk.kind !== 'user' || !this.isConnected || this.users.has(talk.id);
  }

  // Remembers that the answer to a request is for the user to read, in the open talk.
  ask(kind) {
    this.asked.set(kind, this.current);
  }

  _connected({ id, name }) {
    const isAgain = this.me !== null;
    this.me = { id, name };
    this.isConnected = true;
    this.note(`${isAgain ? 'Connected again' : 'Connected'} as ${name} (${id}).`, 'notice', this.home);
    this.onChange('talks');
  }

  _status({ code, text }) {
    if (code) this.note(text, 'error');
  }

  _error({ text }) {
    this.note(text, 'error');
  }

  _join({ id, name, info }) {
    this.users.set(id, { id, name, info });
    const talk = this.talks.get(userKey(id));
    if (talk && talk.name !== name) talk.name = name;
    if (!talk) this.#rebind(id, name);
    this.onChange('people');
  }

  _quit({ id, name, text }) {
    const user = this.users.get(id) ?? { id, name };
    this.users.delete(id);
    const talk = this.talks.get(userKey(id));
    if (talk) this.note(`${user.name ?? id} has left${text ? `: ${text}` : ''}.`, 'notice', talk);
    for (const room of this.talks.values()) room.members.delete(id);
    this.onChange('people');
  }

  _chat({ from, name, text }) {
    const user = { id: from, name: name ?? this.users.get(from)?.name };
    const talk = this.talkWithUser(user);
    this.#add(talk, { kind: 'text', from: user, text });
  }

  _room({ room, from, name, text }) {
    const talk = this.talkWithRoom(room);
    if (name !== undefined && from !== undefined) talk.members.set(from, { id: from, name });
    this.#add(talk, { kind: 'text', from: { id: from, name }, text });
  }

  _room_join({ room, id, name }) {
    const talk = this.talkWithRoom(room);
    talk.members.set(id, { id, name });
    if (id === this.me?.id) {
      talk.isJoined = talk.isWanted = true;
      this.note('You are in the room.', 'notice', talk);
    } else if (talk.members.size <= BUSY_ROOM) {
      this.note(`${name} has come in.`, 'notice', talk);
    }
    this.onChange('people');
  }

  _room_part({ room, id, name, text }) {
    const talk = this.talks.get(roomKey(room));
    if (!talk) return;
    talk.members.delete(id);
    const isOwn = id === this.me?.id;
    if (isOwn) talk.isJoined = false;
    const who = isOwn ? 'You have' : `${name} has`;
    if (talk.members.size <= BUSY_ROOM) this.note(`${who} left the room${text ? `: ${text}` : ''}.`, 'notice', talk);
    this.onChange('people');
  }

  _users(_, users) {
    for (const { id, name } of users) if (!this.users.has(id)) this.users.set(id, { id, name });
    this.onChange('people');
    this.#answer('users', `${users.length} online`, users);
  }

  _rooms(_, rooms) {
    this.rooms = new Map(rooms.map(({ room, users }) => [room, users]));
    this.onChange('rooms');
    this.#answer('rooms', rooms.length === 1 ? '1 room' : `${rooms.length} rooms`, rooms.map(({ room, users }) => ({ name: room, id: users })));
  }

  _room_users({ room }, users) {
    const talk = this.talks.get(roomKey(room));
    if (talk) talk.members = new Map(users.map((user) => [user.id, user]));
    this.onChange('people');
    this.#answer(`names ${roomKey(room)}`, `${users.length} in ${room}`, users);
  }

  #answer(kind, title, list) {
    const talk = this.asked.get(kind);
    if (!talk) return;
    this.asked.delete(kind);
    const shown = list.slice(0, LISTED_MAX).map(({ id, name }) => `${name} (${id})`).join(', ');
    this.note(`${title}${shown ? ': ' : ''}${shown}${list.length > LISTED_MAX ? ' …' : ''}`, 'notice', talk);
  }

  #open(key, kind, name, id) {
    const talk = { key, kind, isRoom: kind === 'room', name, id, lines: [], members: new Map(), unread: 0, draft: '', sent: [] };
    this.talks.set(key, talk);
    this.onChange('talks');
    return talk;
  }

  // Continues the talk with a user who is back under another id, if only one can be meant.
  #rebind(id, name) {
    const [talk, ...others] = [...this.talks.values()].filter((t) => t.kind === 'user' && t.name === name && !this.users.has(t.id));
    if (!talk || others.length || talk.id === id || this.named(name).some((user) => user.id !== id)) return null;
    this.talks.delete(talk.key);
    Object.assign(talk, { id, key: userKey(id) });
    this.talks.set(talk.key, talk);
    this.note(`${name} is here as ${id}.`, 'notice', talk);
    this.onChange('talks');
    return talk;
  }

  #add(talk, line) {
    line.at = this.now();
    line.isMention = line.kind === 'text' && !line.isOwn && isMention(line.text, this.me?.name);
    talk.lines.push(line);
    if (talk.lines.length > LINES_MAX) talk.lines.shift();
    const isUnread = line.kind === 'text' && !line.isOwn && !(talk === this.current && this.isSeen);
    if (isUnread) {
      if (!talk.unread) talk.firstUnread = line;
      talk.unread += 1;
      talk.isMentioned ||= line.isMention || talk.kind === 'user';
    }
    this.onChange('line', talk, line);
    if (isUnread) this.onChange('talks');
  }
}
