// SPDX-License-Identifier: MIT
// Bundles src/ into dist/: hashed script and style sheet, index.html, and a .gz beside each.
// It calls the esbuild program rather than its JavaScript interface, because the program is what
// both npm and the offline way (offline-deps.sh) put into node_modules/.bin.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });

execFileSync(
    join(root, 'node_modules/.bin/esbuild'),
    [
        'app=src/main.tsx',
        '--bundle',
        '--minify',
        '--sourcemap=external',
        '--legal-comments=linked',
        '--target=es2020,safari15',
        '--jsx=automatic',
        '--define:process.env.NODE_ENV="production"',
        '--entry-names=[name].[hash]',
        '--outdir=dist',
        '--log-level=warning',
    ],
    { cwd: root, stdio: 'inherit' },
);

const files = readdirSync(dist);
const script = files.find((name) => /^app\.\w+\.js$/.test(name));
const style = files.find((name) => /^app\.\w+\.css$/.test(name));
const page = readFileSync(join(root, 'src/index.html'), 'utf8')
    .replace('%SCRIPT%', `/${script}`)
    .replace('%STYLE%', `/${style}`);
writeFileSync(join(dist, 'index.html'), page);
cpSync(join(root, 'public'), dist, { recursive: true });

for (const name of readdirSync(dist)) {
    if (!/\.(js|css|html|svg|webmanifest)$/.test(name)) continue;
    writeFileSync(join(dist, `${name}.gz`), gzipSync(readFileSync(join(dist, name)), { level: 9 }));
}

const size = (name) => `${(readFileSync(join(dist, name)).length / 1024).toFixed(0)} KiB`;
console.log(`dist/${script} ${size(script)} (${size(`${script}.gz`)} gzip), dist/${style} ${size(style)}`);
