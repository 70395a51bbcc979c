import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperatorModel } from '../../../web/operator-model.mjs';
import { arrange } from '../../../web/arrange.mjs';
import { buildTree, chooseVisible, place } from '../../../web/tree.mjs';

const tree = (parents, rootId = 1) => buildTree(new Map(parents.map(([id, parent]) => [id, { parent, users: 1 }])), rootId);

test('a tree of ten thousand servers is drawn by a few nodes that stand for all', () => {
  const shapes = {
    chain: (i) => i - 1,
    star: () => 1,
    random: (i) => 1 + ((i * 7919) % (i - 1)),
  };
  for (const [shape, parent] of Object.entries(shapes)) {
    const parents = [[1, null]];
    for (let i = 2; i <= 10_000; i += 1) parents.push([i, parent(i)]);
    const nodes = chooseVisible(tree(parents), 1);
    place(nodes);
    const shown = nodes.filter(({ id }) => id !== undefined).length;
    const hidden = nodes.reduce((sum, node) => sum + (node.hidden?.servers ?? 0), 0);
    assert.ok(nodes.length <= 70, `${shape}: ${nodes.length} nodes`);
    assert.equal(shown + hidden, 10_000, shape);
    assert.equal(new Set(nodes.map(({ x, y }) => `${x} ${y}`)).size, nodes.length, `${shape}: no two in one place`);
  }
});

test('further children of a server are reached from the node that stands for them', () => {
  const parents = [[1, null]];
  for (let i = 2; i <= 101; i += 1) parents.push([i, 1]);
  const star = tree(parents);
  const seen = new Set();
  for (let skip = 0; skip !== undefined;) {
    const nodes = chooseVisible(star, 1, skip);
    nodes.forEach(({ id }) => seen.add(id));
    skip = nodes.at(-1).skip;
  }
  assert.equal([...seen].filter((id) => id !== undefined).length, 101);
});

test('servers without a known parent, and circles, hang below the root', () => {
  const { order, weight } = tree([[1, null], [2, 77], [3, 4], [4, 3]]);
  assert.deepEqual(order.toSorted(), [1, 2, 3, 4]);
  assert.equal(weight.get(1).servers, 4);
});

test('a server in a split keeps its place until it is gone', () => {
  const model = new OperatorModel();
  const server = (id, more) => ({ id, name: `s${id}`, first_link_id: id, ...more });
  model.apply({ event: 'signed_in', id: 1, name: 'one' });
  assert.equal(model.apply({ event: 'servers', servers: [server(1), server(2, { next_id: 1 })], more: true }), '');
  assert.equal(model.apply({ event: 'servers', servers: [server(3, { next_id: 2 }), server(4)] }), 'servers');
  assert.deepEqual([...model.servers.values()].map(({ parent }) => parent), [null, 1, 2, 1]);
  model.apply({ event: 'servers', servers: [server(3, { lost: true })] });
  assert.deepEqual([model.servers.get(3).parent, model.servers.get(3).lost], [2, true]);
  model.apply({ event: 'servers', servers: [server(3, { next_id: 1 })] });
  assert.deepEqual([model.servers.get(3).parent, model.servers.get(3).isBack], [1, true]);
  model.apply({ event: 'servers', gone: [3] });
  assert.equal(model.servers.size, 3);
});

test('rates are differences of counters', () => {
  let now = 0;
  const model = new OperatorModel(() => now);
  const links = (frames) => model.apply({ event: 'links', links: [{ link: '0.1', id: 2, frames_in: frames, frames_out: 0, bytes_in: 0, bytes_out: 0 }] });
  links(100);
  now = 2000;
  links(150);
  assert.equal(model.linkTo(2).frames_s, 25);
  const totals = (count) => model.apply({ event: 'totals', messages: { crc: count, http: 1 } });
  totals(10);
  now = 3000;
  totals(17);
  assert.deepEqual([model.totals.messages_s, model.history], [7, [7]]);
});

test('long lists are sorted and filtered without a long pause', async () => {
  const items = Array.from({ length: 200_000 }, (_, i) => (i * 7919) % 200_003);
  const compare = (a, b) => a - b;
  const sorted = await arrange(items, { accepts: () => true, compare });
  assert.deepEqual([sorted.length, sorted.every((item, i) => !i || sorted[i - 1] <= item)], [200_000, true]);
  assert.deepEqual(await arrange(items, { accepts: (item) => item < 3, compare }), [0, 1, 2]);
  assert.deepEqual(await arrange([], { accepts: () => true, compare }), []);
  assert.equal(await arrange(items, { accepts: () => true, compare }, () => true), null, 'no longer wanted');
});

test('a list of users is loaded anew when their number has changed', () => {
  const model = new OperatorModel();
  const servers = (users) => model.apply({ event: 'servers', servers: [{ id: 1, name: 'one', users }] });
  const list = (ids, more) => model.apply({ event: 'users', server: 1, users: ids.map((id) => ({ id })), more });
  const shown = () => model.users.get(1).items.map(({ id }) => id);
  model.apply({ event: 'signed_in', id: 1, name: 'one' });
  servers(3);
  assert.equal(list([9]), '', 'nobody has asked');
  model.loadUsers(1);
  list([5, 6], true);
  assert.deepEqual([shown(), model.isStale(1)], [[5, 6], false], 'what has come is shown');
  list([7]);
  assert.deepEqual([shown(), model.isStale(1)], [[5, 6, 7], false]);
  servers(2);
  assert.equal(model.isStale(1), true);
  model.loadUsers(1);
  list([5], true);
  assert.deepEqual(shown(), [5, 6, 7], 'until the new one is complete');
  list([7]);
  assert.deepEqual([shown(), model.isStale(1)], [[5, 7], false]);
});

test('each end of a link can say what it carries, and rates are those of one end', () => {
  let now = 0;
  const model = new OperatorModel(() => now);
  model.apply({ event: 'signed_in', id: 1, name: 'one' });
  const loads = (server, id, frames) => model.apply({ event: 'loads', server, links: [{ id, rtt_ms: 0.5, queue_bytes: 9, frames, bytes: 10 * frames }] });
  assert.equal(model.load(2, 3), undefined);
  assert.equal(loads(2, 3, 100), 'links');
  assert.deepEqual([model.load(2, 3).frames_s, model.load(2, 3).queue_bytes], [0, 9]);
  now = 2000;
  loads(2, 3, 140);
  assert.deepEqual([model.load(2, 3).frames_s, model.load(3, 2).bytes_s], [20, 200]);
  loads(3, 2, 7);
  assert.equal(model.load(2, 3).frames_s, 0, 'the farther end speaks for the link');
  now = 3000;
  loads(3, 2, 2);
  assert.equal(model.load(2, 3).frames_s, 0, 'a new link begins at 0');
  model.apply({ event: 'servers', gone: [3] });
  assert.equal(model.load(2, 3).frames_s, 20);
});
