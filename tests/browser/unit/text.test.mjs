import assert from 'node:assert/strict';
import { test } from 'node:test';
import { complete } from '../../../web/completion.mjs';
import { parse, roomProblem } from '../../../web/grammar.mjs';
import { parseJson } from '../../../web/json.mjs';
import { isMention, printable, segments } from '../../../web/text.mjs';

test('ids that a number cannot hold become strings', () => {
  const check = (json, expected) => assert.deepEqual(parseJson(json), expected, json);
  check('{"id":77252666718255105,"n":101}', { id: '77252666718255105', n: 101 });
  check('{"text":"77252666718255105 \\" 77252666718255105"}', { text: '77252666718255105 " 77252666718255105' });
  check('[0.30000000000000004,1.5e3,-9223372036854775807]', [0.30000000000000004, 1500, '-9223372036854775807']);
});

test('links and the own name are found in a text', () => {
  const check = (text, expected) => assert.deepEqual(segments(text, 'frodo').map(({ kind, text: part }) => `${kind[0]}:${part}`), expected, text);
  check('plain', ['t:plain']);
  check('see https://a.example/x(2), ok', ['t:see ', 'l:https://a.example/x(2)', 't:, ok']);
  check('(http://a.example/x).', ['t:(', 'l:http://a.example/x', 't:).']);
  check('javascript:alert(1) ftp://x', ['t:javascript:alert(1) ftp://x']);
  check('https://x.example/"><b>', ['l:https://x.example/', 't:"><b>']);
  check('Frodo: look, frodoleaf', ['m:Frodo', 't:: look, frodoleaf']);
  check('pofrodo', ['t:pofrodo']);
  check('http://frodo.example frodo', ['l:http://frodo.example', 't: ', 'm:frodo']);
});

test('characters that change what is seen are escaped', () => {
  assert.equal(printable('a\u202eb\u0007c\nd'), 'a\\u{202e}b\\u{7}c\nd');
  assert.equal(isMention('hi a+b', 'a+b'), true);
  assert.equal(isMention('hi aab', 'a+b'), false);
  assert.equal(isMention('anything', ''), false);
});

test('lines parse as in the bundled client', () => {
  const check = (line, expected, isTalk = false) => assert.deepEqual(parse(line, isTalk), expected, line);
  check('', null);
  check('3 Hi there!', { do: 'user', to: '3', text: 'Hi there!' });
  check('(bob smith) Hi (you)', { do: 'user', to: 'bob smith', text: 'Hi (you)' });
  check('/msg bob Hi there!', { do: 'user', to: 'bob', text: 'Hi there!' });
  check('/msg #lab  Hi', { do: 'room', room: '#lab', text: ' Hi' });
  check('(#lab) Hi', { do: 'user', to: '#lab', text: 'Hi' });
  check('/JOIN  #Lab ', { do: 'join', room: '#Lab', text: '' });
  check('/part #lab so  long', { do: 'part', room: '#lab', text: 'so  long' });
  check('/part', { do: 'part', text: '' });
  check('@List', { do: 'list' });
  check('/quit so  long', { do: 'quit', text: 'so  long' });
  check('bob Hi', { do: 'here', text: 'bob Hi' }, true);
  check('@bob Hi', { do: 'here', text: '@bob Hi' }, true);
  for (const line of ['/lst', '/msg', '/msg bob', '/join', '/join lab', '/join #a #b', '/rooms #a', '(bob', 'bob', '@bob Hi']) {
    assert.ok(parse(line, false).error, line);
  }
  assert.ok(parse('/lst', true).error);
});

test('names of rooms are checked before they are sent', () => {
  assert.equal(roomProblem('#lab'), '');
  assert.equal(roomProblem(`#${'x'.repeat(63)}`), '');
  for (const room of ['lab', '#', '#a b', '#a,b', `#${'x'.repeat(64)}`, `#${'é'.repeat(32)}`]) assert.notEqual(roomProblem(room), '', room);
});

test('Tab completes commands, rooms, members and users', () => {
  const names = { users: ['sam', 'Sally', 'bob smith', 'sam'], members: ['merry'], rooms: ['#lab', '#lads'] };
  const check = (line, start, words) => assert.deepEqual(complete(line, names), { start, words }, line);
  check('sa', 0, ['Sally ', 'sam ']);
  check('thanks me', 7, ['merry ']);
  check('/j', 0, ['/join ']);
  check('/join #la', 6, ['#lab ', '#lads ']);
  check('/msg bo', 5, ['(bob smith) ']);
  check('see #la', 4, ['#lab ', '#lads ']);
  check('hello ', 6, []);
});
