// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { sha256 } from '../src/auth/sha256';
import { byteLength, initialsOf, isOnlyEmoji, listNames, partsOf } from '../src/lib/text';
import { dayName, sameDay } from '../src/lib/time';
import { inWords } from '../src/lib/words';

describe('text', () => {
    test('links end before the punctuation of the sentence', () => {
        const addresses = (text: string) =>
            partsOf(text).flatMap((part) => (part.kind === 'link' ? [part.href] : []));
        assert.deepEqual(addresses('see https://example.org/a.'), ['https://example.org/a']);
        assert.deepEqual(addresses('(https://example.org/a)!'), ['https://example.org/a']);
        assert.deepEqual(addresses('https://example.org/a_(b)?'), ['https://example.org/a_(b)']);
    });

    test('only http and https become links', () => {
        for (const text of ['javascript:alert(1)', 'data:text/html,x', 'ftp://example.org']) {
            assert.deepEqual(partsOf(text), [{ kind: 'text', text }]);
        }
    });

    test('code is taken as it is', () => {
        assert.deepEqual(partsOf('`a*b` and ```js\nlet x\n```'), [
            { kind: 'code', text: 'a*b' },
            { kind: 'text', text: ' and ' },
            { kind: 'block', text: 'let x' },
        ]);
    });

    test('the parts together are the whole message', () => {
        const text = 'a https://example.org, b https://example.org/c!';
        assert.equal(partsOf(text).map((part) => part.text).join(''), text);
    });

    test('emoji alone are told from words and digits', () => {
        assert(isOnlyEmoji('☕️'));
        assert(isOnlyEmoji('👩‍🚀 🎉'));
        assert(!isOnlyEmoji('ok 👍'));
        assert(!isOnlyEmoji('12'));
        assert(!isOnlyEmoji(''));
    });

    test('length is in bytes, as the server counts', () => {
        assert.equal(byteLength('aé☕'), 6);
    });

    test('names', () => {
        assert.deepEqual(
            [1, 2, 3, 5].map((count) => listNames(['a', 'b', 'c', 'd', 'e'].slice(0, count))),
            ['a', 'a and b', 'a, b and c', 'a, b and 3 others'],
        );
        assert.equal(initialsOf('grace hopper'), 'GH');
        assert.equal(initialsOf('ada'), 'A');
    });
});

test('days are named by the calendar, not by 24 hours', () => {
    const now = new Date(2026, 4, 10, 0, 30).getTime();
    const minute = 60_000;
    assert.equal(dayName(now, now), 'Today');
    assert.equal(dayName(now - 31 * minute, now), 'Yesterday');
    assert(!sameDay(now, now - 31 * minute));
});

test('every refusal has words, known or not', () => {
    assert.equal(inWords({ code: 'timeout', message: '' }), 'The server did not answer in time.');
    assert.equal(inWords({ code: 'new_code', message: 'Because.' }), 'Because.');
    assert(inWords({ code: 'new_code', message: '' }).length > 0);
});

test('our SHA-256 is SHA-256, at every length around its block size', () => {
    for (let length = 0; length <= 200; length++) {
        const message = new Uint8Array(length).map((_, index) => (index * 31 + length) & 255);
        const expected = new Uint8Array(createHash('sha256').update(message).digest());
        assert.deepEqual(sha256(message), expected, `length ${length}`);
    }
});

