// Which part of a tree of servers is drawn, and where.

export const CHILDREN_MAX = 12;
const NODES_MAX = 40;
const ROW = 62;
const COLUMN = 220;

// Returns `{ children, order, weight }`: the children of each server by id, all ids with parents
// first, and what is below and at each: `{ servers, users }`. Servers whose parent is unknown are
// put under the root.
export function buildTree(servers, rootId) {
  const children = new Map([[rootId, []]]);
  for (const id of servers.keys()) children.set(id, []);
  for (const [id, { parent }] of servers) if (id !== rootId && children.has(parent)) children.get(parent).push(id);
  const seen = new Set([rootId]);
  const order = [rootId];
  const visit = (from) => {
    for (let at = from; at < order.length; at += 1) {
      for (const child of children.get(order[at])) if (!seen.has(child)) { seen.add(child); order.push(child); }
    }
  };
  visit(0);
  for (const [id] of servers) {
    if (seen.has(id)) continue;
    const parent = servers.get(id).parent;
    if (children.has(parent)) children.set(parent, children.get(parent).filter((child) => child !== id));
    children.get(rootId).push(id);
    seen.add(id);
    order.push(id);
    visit(order.length - 1);
  }
  const weight = new Map();
  for (let at = order.length - 1; at >= 0; at -= 1) {
    const id = order[at];
    const sum = { servers: 1, users: servers.get(id)?.users ?? 0 };
    for (const child of children.get(id)) {
      sum.servers += weight.get(child).servers;
      sum.users += weight.get(child).users;
    }
    weight.set(id, sum);
  }
  return { children, order, weight };
}

// Chooses what is drawn from `top` on: at most about `nodesMax` nodes, the largest subtrees first.
// The children of `top` before `skip` are left out. Returns nodes
// `{ key, id, depth, parentKey, hidden }`; `hidden` is what a node stands for besides itself, and
// nodes without `id` stand for further children, from `skip` on.
export function chooseVisible({ children, weight }, top, skip = 0, nodesMax = NODES_MAX) {
  const node = (id, depth, parentKey) => ({ key: `${id}`, id, depth, parentKey, kids: [] });
  const root = node(top, 0, null);
  let open = [root];
  let count = 1;
  while (open.length) {
    open.sort((a, b) => weight.get(b.id).servers - weight.get(a.id).servers);
    const parent = open.shift();
    const ids = children.get(parent.id) ?? [];
    const from = parent === root ? skip : 0;
    const shown = ids.slice(from, from + (parent === root ? CHILDREN_MAX * 2 : CHILDREN_MAX));
    if (!shown.length) continue;
    if (parent !== root && count + shown.length > nodesMax) {
      const { servers, users } = weight.get(parent.id);
      parent.hidden = { servers: servers - 1, users };
      continue;
    }
    for (const id of shown) parent.kids.push(node(id, parent.depth + 1, parent.key));
    count += shown.length;
    open = open.concat(parent.kids);
    const rest = ids.slice(from + shown.length);
    if (!rest.length) continue;
    const hidden = { servers: 0, users: 0 };
    for (const id of rest) { hidden.servers += weight.get(id).servers; hidden.users += weight.get(id).users; }
    parent.kids.push({ key: `${parent.id}+`, parentKey: parent.key, parentId: parent.id, depth: parent.depth + 1, kids: [], hidden, skip: from + shown.length });
  }
  return flatten(root);
}

function flatten(root) {
  const nodes = [];
  const stack = [root];
  while (stack.length) {
    const next = stack.pop();
    nodes.push(next);
    stack.push(...next.kids.slice().reverse());
  }
  return nodes;
}

// Sets `x` and `y` of nodes in the order of `chooseVisible`: leaves one below the other, parents in
// the middle of their children. Returns the size of the drawing.
export function place(nodes) {
  let row = 0;
  for (const node of nodes) {
    node.x = node.depth * COLUMN;
    if (!node.kids.length) node.y = row++ * ROW;
  }
  for (const node of [...nodes].reverse()) {
    if (node.kids.length) node.y = (node.kids[0].y + node.kids.at(-1).y) / 2;
  }
  return { width: Math.max(...nodes.map(({ x }) => x)) + COLUMN, height: row * ROW };
}
