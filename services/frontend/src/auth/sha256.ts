// SPDX-License-Identifier: MIT

/** The first 32 bits of the fractional parts of `root(prime)` for the first primes (FIPS 180-4 §4.2.2). */
function constants(count: number, root: (prime: number) => number): Uint32Array {
    const words = new Uint32Array(count);
    let found = 0;
    for (let candidate = 2; found < count; candidate++) {
        let isPrime = true;
        for (let divisor = 2; divisor * divisor <= candidate; divisor++) {
            if (candidate % divisor === 0) isPrime = false;
        }
        if (isPrime) words[found++] = (root(candidate) % 1) * 2 ** 32;
    }
    return words;
}

const K = constants(64, Math.cbrt);
const INITIAL = constants(8, Math.sqrt);

function rotate(word: number, bits: number): number {
    return (word >>> bits) | (word << (32 - bits));
}

/** SHA-256 (FIPS 180-4) for pages where the browser keeps its own one back. Public data only. */
export function sha256(message: Uint8Array): Uint8Array {
    const padded = new Uint8Array(((message.length + 8) >> 6) * 64 + 64);
    padded.set(message);
    padded[message.length] = 0x80;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 8, Math.floor(message.length / 2 ** 29));
    view.setUint32(padded.length - 4, message.length << 3);

    const hash = new Uint32Array(INITIAL);
    const w = new Uint32Array(64);
    const at = (words: Uint32Array, index: number) => words[index] as number;
    for (let block = 0; block < padded.length; block += 64) {
        for (let t = 0; t < 64; t++) {
            if (t < 16) {
                w[t] = view.getUint32(block + t * 4);
                continue;
            }
            const a = at(w, t - 15);
            const b = at(w, t - 2);
            const s0 = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3);
            const s1 = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10);
            w[t] = at(w, t - 16) + s0 + at(w, t - 7) + s1;
        }
        const v = new Uint32Array(hash);
        for (let t = 0; t < 64; t++) {
            const [a, b, c, d, e, f, g, h] = v as unknown as [
                number, number, number, number, number, number, number, number,
            ];
            const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
            const t1 = h + s1 + ((e & f) ^ (~e & g)) + at(K, t) + at(w, t);
            const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
            const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
            v.set([t1 + t2, a, b, c, d + t1, e, f, g]);
        }
        for (let i = 0; i < 8; i++) hash[i] = at(hash, i) + at(v, i);
    }
    const digest = new Uint8Array(32);
    const out = new DataView(digest.buffer);
    hash.forEach((word, index) => out.setUint32(index * 4, word));
    return digest;
}
