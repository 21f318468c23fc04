// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

const css = readFileSync(`${FRONTEND_ROOT}/src/styles/tokens.css`, 'utf8');

function declarations(selector: string): Record<string, string> {
    const start = css.indexOf('{', css.indexOf(selector));
    const body = css.slice(start + 1, css.indexOf('}', start));
    return Object.fromEntries(
        Array.from(body.matchAll(/--([\w-]+):\s*([^;]+);/g), (found) => [found[1], found[2]]),
    );
}

const light = declarations(':root {\n    color-scheme: light');
const dark = { ...light, ...declarations(":root[data-theme='dark']") };

type RGB = [number, number, number];

function hex(color: string | undefined): RGB {
    assert(color && /^#[0-9a-f]{6}$/.test(color), `${color} is not a plain colour`);
    const value = parseInt(color.slice(1), 16);
    return [value >> 16, (value >> 8) & 255, value & 255].map((byte) => byte / 255) as RGB;
}

function hsl(hue: number, saturation: string | undefined, lightness: string | undefined): RGB {
    const s = parseFloat(saturation ?? '') / 100;
    const l = parseFloat(lightness ?? '') / 100;
    const channel = (n: number) => {
        const k = (n + hue / 30) % 12;
        return l - s * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    };
    return [channel(0), channel(8), channel(4)];
}

/** WCAG 2.2, relative luminance and contrast ratio. */
function contrast(a: RGB, b: RGB): number {
    const luminance = (color: RGB) => {
        const [red, green, blue] = color.map((c) =>
            c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4,
        ) as RGB;
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
    return (high + 0.05) / (low + 0.05);
}

/** Text and every ground it is put on. */
const grounds: Record<string, string[]> = {
    ink: ['canvas', 'side', 'raised', 'theirs', 'accent-wash'],
    'ink-soft': ['canvas', 'side', 'raised', 'sunken'],
    'ink-faint': ['canvas', 'side', 'raised', 'theirs', 'sunken'],
    accent: ['canvas', 'raised', 'theirs', 'mine', 'accent-wash'],
    'accent-ink': ['accent', 'accent-hover'],
    'mine-ink': ['mine'],
    'mine-soft': ['mine'],
    attention: ['canvas'],
    'attention-ink': ['attention'],
    danger: ['danger-wash', 'raised', 'canvas'],
    'warning-ink': ['warning-wash'],
};

const hues = Array.from(css.matchAll(/--hue: (\d+);/g), (found) => Number(found[1]));

describe('colours', () => {
    for (const [name, theme] of Object.entries({ light, dark })) {
        test(`text can be read, ${name}`, () => {
            for (const [text, list] of Object.entries(grounds)) {
                for (const ground of list) {
                    const ratio = contrast(hex(theme[text]), hex(theme[ground]));
                    assert(ratio >= 4.5, `${text} on ${ground}: ${ratio.toFixed(2)}`);
                }
            }
        });

        test(`names and initials can be read, ${name}`, () => {
            assert.equal(hues.length, 10);
            for (const hue of hues) {
                const named = hsl(hue, theme['name-s'], theme['name-l']);
                const initial = hsl(hue, '45%', theme['avatar-ink-l']);
                const avatar = hsl(hue, theme['avatar-s'], theme['avatar-l']);
                assert(contrast(named, hex(theme['canvas'])) >= 4.5, `name, hue ${hue}`);
                assert(contrast(initial, avatar) >= 4.5, `initial, hue ${hue}`);
            }
        });
    }

    test('the chosen dark theme is the same as the system’s', () => {
        const system = declarations(":root:not([data-theme='light'])");
        assert.deepEqual(declarations(":root[data-theme='dark']"), system);
    });
});
