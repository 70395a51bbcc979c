const LOG_MAX = 500;
const HISTORY = 60;
const RELOADED_MAX = 2000;

// Returns a load with its rates since the one before.
function withRates(load, old, at) {
  const seconds = old ? (at - old.at) / 1000 : 0;
  const rate = (key) => (seconds > 0 ? Math.max(0, (load[key] - old[key]) / seconds) : 0);
  return { ...load, at, frames_s: rate('frames'), bytes_s: rate('bytes') };
}

// The network as the operator's page knows it. `apply` returns what has changed: 'servers',
// 'links', 'totals', 'users', 'log', or '' for anything else.
export class OperatorModel {
  constructor(now = Date.now) {
    this.now = now;
    this.self = null;
    this.reset();
  }

  // Forgets all but the log: the connection begins anew.
  reset() {
    this.servers = new Map();
    this.links = new Map();
    this.loads = new Map();
    this.totals = null;
    this.history = [];
    this.users = new Map();
    this.log ??= [];
    this.departed = new Map();
    this.portions = [];
  }

  apply(event) {
    switch (event.event) {
      case 'signed_in': this.self = event; return '';
      case 'servers': return this.#applyServers(event);
      case 'links': return this.#applyLinks(event);
      case 'loads': return this.#applyLoads(event);
      case 'totals': return this.#applyTotals(event);
      case 'users': return this.#applyUsers(event);
      case 'log':
        this.log.push(...event.lines);
        this.log.splice(0, this.log.length - LOG_MAX);
        return 'log';
      default: return '';
    }
  }

  #applyServers({ servers, gone = [], more }) {
    for (const server of servers ?? []) {
      const before = this.servers.get(server.id);
      // A server in a split keeps its place in the drawing until it is back, or given up.
      server.parent = server.lost && before ? before.parent : this.#parentOf(server);
      server.isBack = Boolean(before?.lost && !server.lost);
      this.servers.set(server.id, server);
    }
    for (const id of gone) {
      this.servers.delete(id);
      this.loads.delete(id);
      this.users.delete(id);
    }
    return more ? '' : 'servers';
  }

  // Returns the next server on the way to this one, as far as it is known.
  #parentOf({ id, next_id: next, first_link_id: first }) {
    if (id === this.self.id) return null;
    return next ?? (first === id ? this.self.id : first);
  }

  #applyLinks({ links }) {
    const at = this.now();
    const before = this.links;
    this.links = new Map(links.map((link) => {
      const load = { ...link, frames: link.frames_in + link.frames_out, bytes: link.bytes_in + link.bytes_out };
      return [link.link, withRates(load, before.get(link.link), at)];
    }));
    return 'links';
  }

  #applyLoads({ server, links }) {
    const at = this.now();
    const before = this.loads.get(server);
    this.loads.set(server, new Map(links.map((link) => [link.id, withRates(link, before?.get(link.id), at)])));
    return 'links';
  }

  // Returns what the link between two servers carries, if one of them has said so.
  load(near, far) {
    if (near === this.self.id) return this.linkTo(far);
    return this.loads.get(far)?.get(near) ?? this.loads.get(near)?.get(far);
  }

  // Returns the link of this server to another one.
  linkTo(id) {
    return [...this.links.values()].find((link) => link.id === id);
  }

  #applyTotals(totals) {
    const at = this.now();
    const messages = Object.values(totals.messages ?? {}).reduce((sum, count) => sum + count, 0);
    const old = this.totals;
    const seconds = old ? (at - old.at) / 1000 : 0;
    const rate = seconds > 0 ? Math.max(0, (messages - old.count) / seconds) : 0;
    this.totals = { ...totals, at, count: messages, messages_s: rate };
    if (old) this.history.push(rate);
    if (this.history.length > HISTORY) this.history.shift();
    return 'totals';
  }

  // Begins a list of users. An earlier one is shown until the new one is complete.
  loadUsers(server) {
    const items = this.users.get(server)?.items ?? [];
    this.users.set(server, { items, incoming: items.length ? [] : items, isComplete: false });
  }

  // Returns whether a complete list of users no longer has as many as the server.
  isStale(server) {
    const list = this.users.get(server);
    const count = this.servers.get(server)?.users;
    return Boolean(list?.isComplete) && count !== undefined && count !== list.items.length && count <= RELOADED_MAX;
  }

  #applyUsers({ server, users, more }) {
    const list = this.users.get(server);
    if (!list || list.isComplete) return '';
    for (const user of users) list.incoming.push(user);
    list.isComplete = !more;
    if (!more) list.items = list.incoming;
    return 'users';
  }
}
