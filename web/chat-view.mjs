import { arrange } from './arrange.mjs';
import { byId, clock, el, onceAFrame } from './dom.mjs';
import { HELP, KEYS } from './grammar.mjs';
import { VirtualList } from './list.mjs';
import { printable, segments } from './text.mjs';

const GROUP_MS = 5 * 60_000;
const MANY = 2000;
const SHOWN_MAX = 1200;
const GLYPHS = { home: '⌂', room: '#', user: '@' };

const hue = (name) => ([...name].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 9973, 7) * 137.5) % 360;
const bare = (talk) => printable(talk.isRoom ? talk.name.slice(1) : talk.name);
const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

// Draws a model. `actions` has `open(talk)`, `openUser(user)`, `join(room)`.
export class ChatView {
  #shown = null;
  #entries = new Map();
  #peopleDrawn = 0;
  #added = [];

  constructor(actions) {
    this.actions = actions;
    this.log = byId('log');
    this.people = new VirtualList(byId('people-list'), { rowHeight: matchMedia('(pointer: coarse)').matches ? 44 : 36, fill: (row, user) => this.#fillPerson(row, user), pick: (user) => actions.openUser(user) });
    this.drawLines = onceAFrame(() => this.#drawLines());
    this.drawTalks = onceAFrame(() => this.#drawTalks());
    this.drawPeople = onceAFrame(() => this.#drawPeople(), () => (this.model.users.size > MANY ? 500 : 0));
    this.drawRooms = onceAFrame(() => this.#drawRooms());
    byId('people-filter').oninput = this.drawPeople;
    this.newer = byId('newer');
    this.newer.onclick = () => this.toNewest();
    new ResizeObserver(() => { if (this.stick) this.toNewest(); }).observe(this.log);
    this.log.onscroll = () => {
      this.stick = this.isAtEnd;
      if (this.stick) this.newer.hidden = true;
    };
  }

  // Shows another model: that of a new session.
  attach(model) {
    this.model = model;
    this.#shown = null;
    this.#entries.clear();
    byId('talk-list').replaceChildren();
    model.onChange = (kind, talk, line) => {
      if (kind === 'line') { if (talk === this.#shown) { this.#added.push(line); this.drawLines(); } }
      else if (kind === 'talks') this.drawTalks();
      else if (kind === 'people') { this.drawPeople(); this.drawTalks(); }
      else this.drawRooms();
    };
    this.drawTalks();
    this.drawPeople();
    this.drawRooms();
  }

  get isAtEnd() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
  }

  toNewest() {
    this.log.scrollTop = this.log.scrollHeight;
    this.newer.hidden = true;
    this.stick = true;
  }

  announce(text) {
    byId('announce').textContent = text;
  }

  #drawTalks() {
    const { model } = this;
    const list = byId('talk-list');
    const wanted = [];
    let kind = 'home';
    for (const talk of model.ordered()) {
      if (talk.kind !== kind) wanted.push(this.#entry(talk.kind, () => el('h2', {}, talk.isRoom ? 'Rooms' : 'Private')));
      kind = talk.kind;
      wanted.push(this.#drawEntry(talk));
    }
    // Elements that stay are not moved, since that would take the focus from them.
    if (wanted.some((element, i) => element !== list.children[i]) || wanted.length !== list.children.length) list.replaceChildren(...wanted);
    const { unread } = model;
    document.title = `${unread ? `(${unread}) ` : ''}${model.current.kind === 'home' ? 'crc' : printable(model.current.name)}`;
    this.#drawCount(byId('back-count'), unread, true);
    this.#drawHeader();
    if (this.#shown !== model.current) this.#drawLog();
  }

  #entry(key, make) {
    if (!this.#entries.has(key)) this.#entries.set(key, make());
    return this.#entries.get(key);
  }

  #drawEntry(talk) {
    const button = this.#entry(talk, () => el('button', { onclick: () => this.actions.open(talk) },
      el('span', { className: 'glyph', ariaHidden: 'true' }, GLYPHS[talk.kind]),
      el('bdi', { className: 'label' }), el('span', { className: 'count' })));
    const [, label, count] = button.children;
    label.textContent = bare(talk);
    const isAway = talk.isRoom ? !talk.isJoined : !this.model.isOnline(talk);
    button.className = `${talk.unread ? 'unread' : ''} ${isAway ? 'away' : ''}`;
    if (talk === this.model.current) button.ariaCurrent = 'page';
    else button.removeAttribute('aria-current');
    this.#drawCount(count, talk.unread, talk.isMentioned);
    return button;
  }

  #drawCount(count, unread, isHot) {
    count.hidden = !unread;
    count.className = isHot ? 'count hot' : 'count';
    count.replaceChildren(`${unread}`, el('span', { className: 'sr' }, ' unread'));
  }

  #drawHeader() {
    const { model } = this;
    const talk = model.current;
    byId('talk-name').textContent = printable(talk.name);
    const user = model.users.get(talk.id);
    const info = user?.info ? ` · ${printable(user.info)}` : '';
    byId('talk-about').textContent = {
      home: () => `${location.host} · ${plural(model.users.size + 1, 'user')} online`,
      room: () => (!model.isConnected ? 'not connected' : talk.isJoined ? `${plural(talk.members.size, 'user')} in this room` : 'you are not in this room'),
      user: () => `${talk.id} · ${user ? `online${info}` : model.isConnected ? 'not online' : 'not connected'}`,
    }[talk.kind]();
    byId('home').hidden = talk.kind !== 'home';
    byId('leave').hidden = talk.kind === 'home';
    byId('leave').textContent = talk.isRoom && talk.isJoined ? 'Leave' : 'Close';
    const to = talk.kind === 'home' ? 'Message or command' : `Message to ${printable(talk.name)}`;
    Object.assign(byId('entry'), { ariaLabel: to, placeholder: talk.kind === 'home' ? 'sam Hi!  or  /join #lab' : to });
  }

  #drawLog() {
    const talk = this.model.current;
    this.#shown = talk;
    this.#added.length = 0;
    this.last = null;
    // A log that is live would be read out as a whole.
    this.log.ariaLive = 'off';
    this.log.ariaLabel = `Messages in ${printable(talk.name)}`;
    const lines = talk.lines.flatMap((line) => this.#line(line, line === talk.firstUnread));
    talk.firstUnread = null;
    this.log.replaceChildren(...lines);
    if (!lines.length) this.log.append(this.#empty(talk));
    this.toNewest();
    setTimeout(() => { this.log.ariaLive = 'polite'; }, 200);
    this.drawPeople();
  }

  #empty(talk) {
    const text = talk.kind === 'user' ? 'Only the two of you see what is written here.' : 'Say hello.';
    return el('div', { className: 'empty' }, el('b', {}, printable(talk.name)), el('span', {}, text));
  }

  #drawLines() {
    const lines = this.#added.splice(0);
    if (!lines.length) return;
    const isAtEnd = this.isAtEnd || lines.some(({ isOwn }) => isOwn);
    const { firstUnread } = this.#shown;
    this.log.querySelector('.empty')?.remove();
    if (lines.includes(firstUnread)) this.log.querySelector('.new')?.remove();
    this.log.append(...lines.slice(-SHOWN_MAX).flatMap((line) => this.#line(line, line === firstUnread)));
    while (this.log.children.length > SHOWN_MAX) this.log.firstChild.remove();
    if (isAtEnd) return this.toNewest();
    this.newer.hidden = false;
  }

  // Returns the elements of a line, with a divider before it where one is due.
  #line(line, isFirstUnread) {
    const result = [];
    const { last } = this;
    const day = new Date(line.at).toDateString();
    if (last && new Date(last.at).toDateString() !== day) result.push(el('div', { className: 'divider' }, day));
    if (isFirstUnread) result.push(el('div', { className: 'divider new' }, 'new'));
    const isFirst = line.kind === 'text' && !(last?.kind === 'text' && !result.length && last.from.id === line.from.id && last.from.name === line.from.name && line.at - last.at < GROUP_MS);
    this.last = line;
    const element = el('div', { className: `line ${line.kind}${isFirst ? ' first' : ''}${line.isMention ? ' mention' : ''}` });
    const time = el('time', { dateTime: new Date(line.at).toISOString() }, clock(line.at));
    if (line.kind === 'text') {
      const name = printable(line.from.name ?? `(${line.from.id})`);
      element.style.setProperty('--hue', hue(name));
      if (isFirst) {
        element.append(
          el('span', { className: 'avatar', ariaHidden: 'true' }, [...name][0].toUpperCase()),
          el('p', { className: 'who', title: `${line.from.id ?? ''}` }, el('bdi', {}, name), time),
        );
      } else {
        element.append(time, el('span', { className: 'sr' }, `${name}: `));
      }
      element.append(el('p', {}, ...segments(line.text, line.isOwn ? '' : this.model.me?.name).map(segment)));
    } else if (line.kind === 'help') {
      element.append(table('Commands', HELP), table('Keys', KEYS));
    } else {
      element.append(time, el('p', {}, printable(line.text)));
    }
    result.push(element);
    return result;
  }

  async #drawPeople() {
    const { current: talk, users, me } = this.model;
    const find = byId('people-filter').value.toLowerCase();
    const people = [...(talk.isRoom ? talk.members : users).values()];
    if (!talk.isRoom && me) people.push(me);
    const shown = await arrange(people, {
      accepts: ({ id, name }) => !find || name.toLowerCase().includes(find) || `${id}` === find,
      compare: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id - b.id),
    }, this.#newest());
    if (!shown) return;
    this.people.items = shown;
    byId('people-title').textContent = `${talk.isRoom ? `In ${printable(talk.name)}` : 'Online'} · ${shown.length.toLocaleString()}`;
  }

  // Returns whether a later list of people has been asked for.
  #newest() {
    const people = ++this.#peopleDrawn;
    return () => people !== this.#peopleDrawn;
  }

  #fillPerson(row, { id, name }) {
    if (row.dataset.user === `${id} ${name}`) return;
    row.dataset.user = `${id} ${name}`;
    row.replaceChildren(el('span', { className: 'dot', ariaHidden: 'true' }), el('bdi', {}, printable(name)),
      el('small', {}, id === this.model.me?.id ? 'you' : id));
  }

  #drawRooms() {
    const rooms = [...this.model.rooms].sort((a, b) => b[1] - a[1]).slice(0, 60);
    byId('rooms').replaceChildren(...rooms.map(([room, users]) => el('button', { className: 'quiet', onclick: () => this.actions.join(room) },
      el('b', {}, printable(room)), el('small', { className: 'muted' }, plural(users, 'user')))));
    if (!rooms.length) byId('rooms').append(el('p', { className: 'muted' }, 'There is no room yet. Join one to make it.'));
  }
}

function segment({ kind, text }) {
  if (kind === 'link') return el('a', { href: text, target: '_blank', rel: 'noopener noreferrer' }, text);
  return kind === 'mention' ? el('mark', {}, text) : text;
}

function table(caption, rows) {
  return el('table', {}, el('caption', { className: 'sr' }, caption),
    ...rows.map(([typed, does]) => el('tr', {}, el('th', { scope: 'row' }, typed), el('td', {}, does))));
}
