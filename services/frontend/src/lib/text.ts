// SPDX-License-Identifier: MIT
export type TextPart =
    | { kind: 'text'; text: string }
    | { kind: 'link'; text: string; href: string }
    | { kind: 'code'; text: string }
    | { kind: 'block'; text: string };

const pattern = /```(?:\w*\n)?([\s\S]+?)```|`([^`\n]+)`|(https?:\/\/[^\s<>"']+)/g;

/** Punctuation that ends the sentence is not part of an address, nor is a bracket opened before it. */
function withoutSentenceEnd(address: string): string {
    let end = address.length;
    for (; end > 0; end -= 1) {
        const last = address[end - 1] as string;
        const inside = address.slice(0, end);
        const isClosing = last === ')' && inside.split('(').length < inside.split(')').length;
        if (!isClosing && !/[.,;:!?\]]/.test(last)) break;
    }
    return address.slice(0, end);
}

/** Splits a message into plain text, links and code. Never yields markup: React escapes the rest. */
export function partsOf(message: string): TextPart[] {
    const parts: TextPart[] = [];
    let end = 0;
    for (const found of message.matchAll(pattern)) {
        const start = found.index ?? 0;
        if (start > end) parts.push({ kind: 'text', text: message.slice(end, start) });
        end = start + found[0].length;
        if (found[1] !== undefined) {
            parts.push({ kind: 'block', text: found[1].replace(/\n$/, '') });
        } else if (found[2] !== undefined) {
            parts.push({ kind: 'code', text: found[2] });
        } else {
            const address = withoutSentenceEnd(found[0]);
            parts.push({ kind: 'link', text: address, href: address });
            end = start + address.length;
        }
    }
    if (end < message.length) parts.push({ kind: 'text', text: message.slice(end) });
    return parts;
}

/** One to three emoji and nothing else are shown large. */
export function isOnlyEmoji(message: string): boolean {
    return /^(?:\p{Extended_Pictographic}(?:\uFE0F|\u200D\p{Extended_Pictographic}|[\u{1F3FB}-\u{1F3FF}])*\s*){1,3}$/u.test(
        message,
    );
}

const encoder = new TextEncoder();

/** Length as the server counts it. */
export function byteLength(text: string): number {
    return encoder.encode(text).length;
}

/** A steady number for a name, for picking a colour. */
export function hueOf(name: string): number {
    let hash = 2_166_136_261;
    for (let i = 0; i < name.length; i++) {
        hash = Math.imul(hash ^ name.charCodeAt(i), 16_777_619) >>> 0;
    }
    // The low bits alone of this hash are much alike for short names.
    return (((hash >>> 15) ^ hash) >>> 0) % 10;
}

export function initialsOf(name: string): string {
    const words = name.split(/[\s._-]+/).filter(Boolean);
    const ends = words.length > 1 ? [words[0], words[words.length - 1]] : [name];
    return ends
        .map((word) => Array.from(word ?? '')[0] ?? '')
        .join('')
        .toUpperCase();
}

/** "ada", "ada and bo", "ada, bo and 3 others". */
export function listNames(names: string[]): string {
    if (names.length <= 1) return names[0] ?? '';
    if (names.length === 2) return `${names[0]} and ${names[1]}`;
    if (names.length === 3) return `${names[0]}, ${names[1]} and ${names[2]}`;
    return `${names[0]}, ${names[1]} and ${names.length - 2} others`;
}
