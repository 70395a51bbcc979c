import { arrange } from './arrange.mjs';
import { el } from './dom.mjs';

const ROW_PX = 34;
const HEIGHT_MAX = 8_000_000;

// A table that sorts by any column and has elements only for the rows in view. A column is
// `{ title, value(item), text(item)?, isNumber?, element(item)? }`; without `value` it has elements
// only.
export class Table {
  #rows = [];
  #generation = 0;

  constructor(root, { label, columns, sortBy = 0, pick }) {
    Object.assign(this, { root, columns, sortBy, pick, isDescending: false, items: [], find: '' });
    this.head = el('tr', {}, ...columns.map((column, index) => el('th', { scope: 'col', className: column.isNumber ? 'number' : '' },
      column.value ? el('button', { textContent: column.title, onclick: () => this.sort(index) }) : el('span', { className: 'sr', textContent: column.title }))));
    this.body = el('tbody');
    this.table = el('table', { ariaLabel: label }, el('thead', {}, this.head), this.body);
    root.append(this.table);
    root.tabIndex = 0;
    root.setAttribute('role', 'region');
    root.ariaLabel = label;
    root.addEventListener('scroll', () => this.#draw());
    new ResizeObserver(() => this.#draw()).observe(root);
    this.#drawHead();
  }

  sort(index) {
    this.isDescending = this.sortBy === index ? !this.isDescending : Boolean(this.columns[index].isNumber);
    this.sortBy = index;
    this.#drawHead();
    return this.update(this.items);
  }

  // Shows other items, or the same ones with other values.
  async update(items, find = this.find) {
    Object.assign(this, { items, find });
    const generation = ++this.#generation;
    const { value } = this.columns[this.sortBy];
    const sign = this.isDescending ? -1 : 1;
    const rank = (item) => value(item) ?? -Infinity;
    const compare = (a, b) => { const [x, y] = [rank(a), rank(b)]; return x < y ? -sign : x > y ? sign : 0; };
    const wanted = find.toLowerCase();
    const accepts = wanted ? (item) => this.columns.some((column) => `${column.value?.(item) ?? ''}`.toLowerCase().includes(wanted)) : () => true;
    const rows = await arrange(items, { accepts, compare }, () => generation !== this.#generation);
    if (!rows) return;
    this.#rows = rows;
    this.#draw();
  }

  #drawHead() {
    [...this.head.children].forEach((th, index) => {
      if (index === this.sortBy) th.ariaSort = this.isDescending ? 'descending' : 'ascending';
      else th.removeAttribute('aria-sort');
    });
  }

  #draw() {
    const { root, columns } = this;
    const count = this.#rows.length;
    const [full, view] = [count * ROW_PX, root.clientHeight];
    const scale = full > HEIGHT_MAX ? (full - view) / (HEIGHT_MAX - view) : 1;
    const first = Math.max(0, Math.min(Math.floor((root.scrollTop * scale) / ROW_PX) - 3, count - 1));
    const last = Math.min(count, first + Math.ceil(view / ROW_PX) + 7);
    const above = scale > 1 ? root.scrollTop - Math.min(3 * ROW_PX, root.scrollTop) : first * ROW_PX;
    const below = Math.max(0, Math.min(full, HEIGHT_MAX) - above - (last - first) * ROW_PX);
    const space = (height) => { const tr = el('tr', { ariaHidden: 'true' }, el('td', { colSpan: columns.length })); tr.style.height = `${height}px`; return tr; };
    const rows = this.#rows.slice(first, last).map((item, i) => {
      const tr = el('tr', { ariaRowIndex: first + i + 2 }, ...columns.map((column) => {
        const cell = el('td', { className: column.isNumber ? 'number' : '' });
        cell.append(column.element?.(item) ?? (column.text ?? column.value)(item) ?? '–');
        return cell;
      }));
      if (this.pick) tr.onclick = () => this.pick(item);
      return tr;
    });
    this.table.ariaRowCount = count + 1;
    this.body.replaceChildren(...(above > 0 ? [space(above)] : []), ...rows, ...(below > 0 ? [space(below)] : []));
    if (!count) this.body.append(el('tr', {}, el('td', { colSpan: columns.length, className: 'muted', textContent: this.find ? 'Nothing matches.' : 'Nothing is here.' })));
  }
}
