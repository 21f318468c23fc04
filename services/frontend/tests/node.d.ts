// SPDX-License-Identifier: MIT
// What the tests use of node. The application itself must not see node's types: it runs elsewhere.
declare const FRONTEND_ROOT: string;

declare module 'node:test' {
    export function describe(name: string, body: () => void): void;
    export function test(name: string, body: () => void | Promise<void>): void;
}

declare module 'node:assert/strict' {
    interface Assert {
        (value: unknown, message?: string): asserts value;
        equal(actual: unknown, expected: unknown, message?: string): void;
        deepEqual(actual: unknown, expected: unknown, message?: string): void;
        rejects(promise: Promise<unknown>, check?: (error: any) => boolean): Promise<void>;
    }
    const assert: Assert;
    export default assert;
}

declare module 'node:fs' {
    export function readFileSync(path: string, encoding: 'utf8'): string;
}

declare module 'node:crypto' {
    export function createHash(name: string): {
        update(data: Uint8Array): { digest(): Uint8Array };
    };
}
