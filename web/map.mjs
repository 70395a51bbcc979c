import { byId, el } from './dom.mjs';
import { CHILDREN_MAX, buildTree, chooseVisible, place } from './tree.mjs';
import { printable } from './text.mjs';

const SVG = 'http://www.w3.org/2000/svg';
const GLIDE_MS = 450;
const [WIDTH, HEIGHT] = [150, 40];
const isStill = matchMedia('(prefers-reduced-motion: reduce)');

const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
export const amount = (count, word) => `${compact.format(count)} ${word}${count === 1 ? '' : 's'}`;
export const bytes = (count) => (count < 1000 ? `${Math.round(count)} B` : count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`);

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// The tree as a drawing that moves: servers glide to their places, a split falls off.
export class NetworkMap {
  #drawn = new Map();
  #frame = 0;
  #top = null;
  #shownTop = null;
  #skip = 0;

  // `pick(id)` is called for the server chosen.
  constructor({ pick }) {
    this.pick = pick;
    this.edges = draw('g', {});
    this.nodes = draw('g', {});
    this.svg = draw('svg', { role: 'group', 'aria-label': 'Map of the network' }, this.edges, this.nodes);
    byId('map').append(this.svg);
    this.svg.addEventListener('keydown', (event) => this.#key(event));
  }

  update(model, selected) {
    this.model = model;
    this.selected = selected;
    const rootId = model.self.id;
    this.tree = buildTree(model.servers, rootId);
    if (!this.tree.weight.has(this.#top)) [this.#top, this.#skip] = [rootId, 0];
    const nodes = chooseVisible(this.tree, this.#top, this.#skip);
    const size = place(nodes);
    this.#drawPath(rootId);
    this.#reconcile(nodes);
    this.#fit(size.width - 20, size.height + 40, nodes[0]);
  }

  // Scales a drawing that is a little too large for its place, and shows the top of another one.
  #fit(width, height, top) {
    const { svg } = this;
    const place = svg.parentElement;
    const scale = Math.max(0.6, Math.min(1, place.clientWidth / width, place.clientHeight / height));
    svg.setAttribute('viewBox', `-20 -24 ${width} ${height}`);
    Object.assign(svg.style, { width: `${width * scale}px`, height: `${height * scale}px` });
    if (this.#shownTop === top.key) return;
    this.#shownTop = top.key;
    place.scrollTo(0, (top.y + 24) * scale - place.clientHeight / 2);
  }

  // Shows the part of the tree with a server, if it is not drawn.
  reveal(id) {
    const parent = this.model.servers.get(id)?.parent;
    if (this.#drawn.has(`${id}`) || parent == null) return;
    const index = this.tree.children.get(parent)?.indexOf(id) ?? 0;
    this.focus(parent, index < CHILDREN_MAX ? 0 : index);
  }

  // Draws the part of the tree that begins at a server.
  focus(id, skip = 0) {
    [this.#top, this.#skip] = [id, skip];
    this.update(this.model, this.selected);
    this.svg.querySelector('[tabindex="0"]')?.focus();
  }

  // Returns the servers that are drawn.
  drawn() {
    return [...this.#drawn.values()].map(({ node }) => node.id).filter((id) => id !== undefined);
  }

  #name(id) {
    return printable(this.model.servers.get(id)?.name || `${id}`);
  }

  #drawPath(rootId) {
    const path = [];
    for (let id = this.#top; id != null && path.length < 8; id = this.model.servers.get(id)?.parent) path.unshift(id);
    if (path[0] !== rootId) path.unshift(rootId);
    const isWhole = this.#top === rootId && !this.#skip;
    byId('path').hidden = isWhole;
    byId('path').replaceChildren(...path.map((id) => el('button', { textContent: this.#name(id), onclick: () => this.focus(id) })));
  }

  #reconcile(nodes) {
    const now = performance.now();
    const keys = new Set(nodes.map(({ key }) => key));
    for (const [key, item] of this.#drawn) if (!keys.has(key)) this.#drop(key, item);
    const byKey = new Map();
    for (const node of nodes) {
      const parent = byKey.get(node.parentKey);
      let item = this.#drawn.get(node.key);
      if (!item) {
        item = this.#add(node);
        Object.assign(item, parent ? { x: parent.item.x, y: parent.item.y } : { x: node.x, y: node.y });
      }
      byKey.set(node.key, { item });
      const isLost = Boolean(this.model.servers.get(node.id)?.lost) || Boolean(parent?.item.isLost && !node.id);
      Object.assign(item, { node, parent: parent?.item, isLost, fromX: item.x, fromY: item.y, since: now });
      item.toX = node.x + (isLost ? 26 : 0);
      item.toY = node.y + (isLost ? 14 : 0);
      this.#label(item);
    }
    this.#animate();
  }

  #add(node) {
    const group = draw('g', { role: 'button', class: 'node' });
    const edge = draw('path', { class: 'edge' });
    const flow = draw('path', { class: 'flow' });
    const label = draw('text', { class: 'link-label' });
    const item = { group, edge, flow, label };
    group.addEventListener('click', ({ target }) => {
      if (target.classList.contains('under')) this.focus(item.node.id);
      else this.#choose(item);
    });
    this.nodes.append(group);
    this.edges.append(edge, flow, label);
    this.#drawn.set(node.key, item);
    return item;
  }

  #drop(key, item) {
    this.#drawn.delete(key);
    for (const part of [item.edge, item.flow, item.label]) part.remove();
    item.group.classList.add('gone');
    item.group.removeAttribute('tabindex');
    setTimeout(() => item.group.remove(), isStill.matches ? 0 : 900);
  }

  #label(item) {
    const { node, group } = item;
    const server = this.model.servers.get(node.id);
    const isSelf = node.id === this.model.self.id;
    const name = node.id === undefined ? `+ ${amount(node.hidden.servers, 'server')}` : this.#name(node.id);
    const users = node.id === undefined ? amount(node.hidden.users, 'user') : server?.users === undefined ? 'plain' : amount(server.users, 'user');
    const kind = node.id === undefined ? 'more' : server?.lost ? 'lost' : isSelf ? 'self' : server?.extended ? 'extended' : 'plain';
    const state = { lost: 'split', plain: 'plain', self: 'here' }[kind];
    const under = node.id !== undefined && node.hidden ? `+${compact.format(node.hidden.servers)}` : '';
    const text = [users, state].filter((part, i, all) => part && all.indexOf(part) === i).join(' · ');
    const signature = [name, text, under, kind, this.selected].join('|');
    if (item.signature === signature) return;
    item.signature = signature;
    group.setAttribute('class', `node ${kind}${server?.isBack ? ' back' : ''}${node.id !== undefined && node.id === this.selected ? ' selected' : ''}`);
    group.setAttribute('tabindex', node.id === this.selected || (!node.parentKey && !this.#isSelectedDrawn()) ? 0 : -1);
    const clip = (string) => (string.length > 18 ? `${string.slice(0, 17)}…` : string);
    group.replaceChildren(
      draw('rect', { width: WIDTH, height: HEIGHT, rx: 10 }),
      draw('circle', { cx: 15, cy: HEIGHT / 2, r: 5 }),
      draw('text', { x: 28, y: 17, class: 'name' }, `${clip(name)} `),
      draw('text', { x: 28, y: 32 }, text),
      draw('title', {}, node.id === undefined ? 'Show them' : `server ${node.id}: ${name}`),
    );
    if (under) group.append(draw('text', { x: WIDTH + 8, y: 25, class: 'under' }, ` ${under}`));
  }

  #isSelectedDrawn() {
    return this.#drawn.has(`${this.selected}`);
  }

  #drawEdge(item) {
    const { edge, flow, label, parent, node, isLost } = item;
    if (!parent) return;
    const [x1, y1, x2, y2] = [parent.x + WIDTH, parent.y + HEIGHT / 2, item.x, item.y + HEIGHT / 2];
    const middle = (x1 + x2) / 2;
    const path = `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
    const isBroken = isLost && !parent.isLost;
    const load = node.id === undefined ? undefined : this.model.load(parent.node.id, node.id);
    edge.setAttribute('d', path);
    edge.setAttribute('class', `edge${isBroken ? ' broken' : ''}`);
    flow.setAttribute('d', path);
    const rate = isLost ? 0 : load?.frames_s ?? 0;
    flow.style.display = rate > 0.05 ? '' : 'none';
    flow.style.animationDuration = `${Math.max(0.25, 3 / Math.sqrt(1 + rate)).toFixed(2)}s`;
    flow.style.strokeWidth = 2 + Math.min(4, Math.log10(1 + rate));
    const rtt = load?.rtt_ms === undefined ? '' : `${load.rtt_ms < 10 ? load.rtt_ms.toFixed(1) : Math.round(load.rtt_ms)} ms`;
    const queue = load?.queue_bytes ? `${bytes(load.queue_bytes)} queued` : '';
    label.textContent = isBroken ? 'split' : load ? [rtt, `${compact.format(rate)}/s`, queue].filter(Boolean).join(' · ') : '';
    label.setAttribute('class', `link-label${isBroken ? ' broken' : ''}`);
    label.setAttribute('x', x2 + 2);
    label.setAttribute('y', y2 - HEIGHT / 2 - 5);
  }

  // Moves everything towards its place.
  #animate() {
    cancelAnimationFrame(this.#frame);
    const step = (now) => {
      let isMoving = false;
      for (const item of this.#drawn.values()) {
        const part = isStill.matches ? 1 : Math.min(1, Math.max(0, (now - item.since) / GLIDE_MS));
        const eased = 1 - (1 - part) ** 3;
        item.x = item.fromX + (item.toX - item.fromX) * eased;
        item.y = item.fromY + (item.toY - item.fromY) * eased;
        item.group.setAttribute('transform', `translate(${item.x} ${item.y})`);
        if (part < 1) isMoving = true;
      }
      for (const item of this.#drawn.values()) this.#drawEdge(item);
      if (isMoving) this.#frame = requestAnimationFrame(step);
    };
    step(performance.now());
  }

  #choose({ node }) {
    if (node.id === undefined) this.focus(node.parentId, node.skip);
    else if (node.hidden && node.id === this.selected) this.focus(node.id);
    else this.pick(node.id);
  }

  #key(event) {
    const items = [...this.#drawn.values()];
    const item = items.find(({ group }) => group === document.activeElement);
    if (!item) return;
    const level = items.filter(({ node }) => node.depth === item.node.depth).sort((a, b) => a.toY - b.toY);
    const next = {
      Enter: () => this.#choose(item),
      ' ': () => this.#choose(item),
      ArrowLeft: () => item.parent,
      ArrowRight: () => this.#drawn.get(item.node.kids[0]?.key),
      ArrowUp: () => level[level.indexOf(item) - 1],
      ArrowDown: () => level[level.indexOf(item) + 1],
    }[event.key];
    if (!next) return;
    event.preventDefault();
    next()?.group.focus();
  }
}
