// SPDX-License-Identifier: MIT
// Bundles tests/*.test.ts for node and runs them with node's own test runner. Reducers, texts and
// tokens are plain functions, and the socket is a fake one: no browser and no server are needed.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LIMIT_MS = 60_000;
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const out = mkdtempSync(join(tmpdir(), 'frontend-tests-'));

try {
    const tests = readdirSync(join(root, 'tests')).filter((name) => name.endsWith('.test.ts'));
    execFileSync(
        join(root, 'node_modules/.bin/esbuild'),
        [
            ...tests.map((name) => `tests/${name}`),
            '--bundle',
            '--platform=node',
            '--format=cjs',
            '--jsx=automatic',
            '--out-extension:.js=.cjs',
            '--define:process.env.NODE_ENV="test"',
            `--define:FRONTEND_ROOT=${JSON.stringify(root)}`,
            `--outdir=${out}`,
            '--alias:socket.io-client=./tests/fakeSocket.ts',
            '--log-level=warning',
        ],
        { cwd: root, stdio: 'inherit' },
    );
    const files = tests.map((name) => join(out, name.replace(/\.ts$/, '.cjs')));
    const run = spawnSync(process.execPath, ['--test', ...files], {
        stdio: 'inherit',
        timeout: LIMIT_MS,
    });
    process.exitCode = run.status ?? 1;
} finally {
    rmSync(out, { recursive: true, force: true });
}
