import { el } from './dom.mjs';

// A list of any length that has elements only for the rows in view: one stop for Tab, arrow keys
// inside. Heights beyond what browsers allow are scaled.
const HEIGHT_MAX = 8_000_000;

export class VirtualList {
  #rows = new Map();
  #items = [];
  #active = -1;

  // `options` has `rowHeight`, `fill(row, item)`, which sets the content of a row, and `pick(item)`,
  // which is called for the one chosen.
  constructor(root, options) {
    Object.assign(this, { root }, options);
    root.tabIndex = 0;
    root.setAttribute('role', 'listbox');
    this.body = root.appendChild(el('div', { className: 'rows', role: 'presentation' }));
    root.onscroll = () => this.#draw();
    root.onkeydown = (event) => this.#key(event);
    root.onclick = (event) => {
      const row = event.target.closest('[role=option]');
      if (row) this.#choose(Number(row.dataset.index));
    };
    new ResizeObserver(() => this.#draw()).observe(root);
  }

  get items() { return this.#items; }

  set items(items) {
    this.#items = items;
    this.#active = Math.min(this.#active, items.length - 1);
    this.body.style.height = `${Math.min(items.length * this.rowHeight, HEIGHT_MAX)}px`;
    this.#draw();
  }

  // Returns the position of the top of the view in the unscaled list.
  #offset() {
    const [view, height] = [this.root.clientHeight, this.#items.length * this.rowHeight];
    if (height <= HEIGHT_MAX) return this.root.scrollTop;
    return this.root.scrollTop * ((height - view) / (HEIGHT_MAX - view));
  }

  #draw() {
    const { rowHeight, root } = this;
    const offset = this.#offset();
    const first = Math.max(0, Math.floor(offset / rowHeight) - 4);
    const last = Math.min(this.#items.length, Math.ceil((offset + root.clientHeight) / rowHeight) + 4);
    for (const [index, row] of this.#rows) {
      if (index >= first && index < last) continue;
      row.remove();
      this.#rows.delete(index);
    }
    for (let index = first; index < last; index += 1) {
      const row = this.#rows.get(index) ?? this.#add(index);
      row.style.transform = `translateY(${index * rowHeight - offset + root.scrollTop}px)`;
      row.ariaSetSize = this.#items.length;
      row.ariaSelected = String(index === this.#active);
      this.fill(row, this.#items[index]);
    }
    const active = this.#rows.get(this.#active);
    if (active) root.setAttribute('aria-activedescendant', active.id);
    else root.removeAttribute('aria-activedescendant');
  }

  #add(index) {
    const row = el('div', { className: 'row', role: 'option', id: `${this.root.id}-${index}`, ariaPosInSet: index + 1 });
    row.dataset.index = index;
    row.style.height = `${this.rowHeight}px`;
    this.#rows.set(index, row);
    const later = [...this.body.children].find((other) => Number(other.dataset.index) > index);
    this.body.insertBefore(row, later ?? null);
    return row;
  }

  #key(event) {
    const page = Math.max(1, Math.floor(this.root.clientHeight / this.rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === 'Enter' || event.key === ' ') this.#choose(this.#active);
    else if (event.key in steps) this.#move(this.#active + steps[event.key]);
    else return;
    event.preventDefault();
  }

  #move(index) {
    this.#active = Math.min(Math.max(index, 0), this.#items.length - 1);
    const { root, rowHeight } = this;
    const [top, offset] = [this.#active * rowHeight, this.#offset()];
    const height = this.#items.length * rowHeight;
    const scale = height <= HEIGHT_MAX ? 1 : (HEIGHT_MAX - root.clientHeight) / (height - root.clientHeight);
    if (top < offset) root.scrollTop = top * scale;
    else if (top + rowHeight > offset + root.clientHeight) root.scrollTop = (top + rowHeight - root.clientHeight) * scale;
    this.#draw();
  }

  #choose(index) {
    const item = this.#items[index];
    if (item === undefined) return;
    this.#active = index;
    this.#draw();
    this.pick(item);
  }
}
