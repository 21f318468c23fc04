// SPDX-License-Identifier: MIT
const paths = {
    send: 'M4 12l16-8-5.5 16-3.2-6.8L4 12zM11.3 13.2L20 4',
    plus: 'M12 5v14M5 12h14',
    search: 'M10.5 17a6.5 6.5 0 100-13 6.5 6.5 0 000 13zM20 20l-4.8-4.8',
    people: 'M9 11a3.5 3.5 0 100-7 3.5 3.5 0 000 7zM2.5 20c.5-3.6 3.1-5.5 6.5-5.5s6 1.9 6.5 5.5M16 4.3a3.5 3.5 0 010 6.4M18 14.9c2 .7 3.2 2.5 3.5 5.1',
    invite: 'M10 11a3.5 3.5 0 100-7 3.5 3.5 0 000 7zM3.5 20c.5-3.6 3.1-5.5 6.5-5.5 1.5 0 2.8.400 3.9 1.1M18 14v6M15 17h6',
    back: 'M15 5l-7 7 7 7',
    close: 'M6 6l12 12M18 6L6 18',
    lock: 'M6.5 11h11a1.5 1.5 0 011.5 1.5v6a1.5 1.5 0 01-1.5 1.5h-11A1.5 1.5 0 015 18.5v-6A1.5 1.5 0 016.5 11zM8 11V8a4 4 0 018 0v3',
    hash: 'M5 9h15M4 15h15M10 4L8 20M16 4l-2 16',
    clock: 'M12 20a8 8 0 100-16 8 8 0 000 16zM12 8v4.5l3 1.8',
    check: 'M5 12.5l4.5 4.5L19 7.5',
    checks: 'M2 12.5l4.5 4.5L15.5 8M11 16.5l.5.5L21 8',
    alert: 'M12 20a8 8 0 100-16 8 8 0 000 16zM12 8v5M12 16v.1',
    reply: 'M9 6L4 11l5 5M4 11h9c4 0 6.5 2.5 6.5 7',
    down: 'M12 5v14M6 13l6 6 6-6',
    leave: 'M10 4H6a2 2 0 00-2 2v12a2 2 0 002 2h4M15 8l4 4-4 4M19 12H9',
    sun: 'M12 16a4 4 0 100-8 4 4 0 000 8zM12 2.5v2M12 19.5v2M4.2 4.2l1.5 1.5M18.3 18.3l1.5 1.5M2.5 12h2M19.5 12h2M4.2 19.8l1.5-1.5M18.3 5.7l1.5-1.5',
    moon: 'M20 14.5A8.5 8.5 0 019.5 4a8.5 8.5 0 1010.5 10.5z',
    system: 'M4 5h16v11H4zM9 20h6M12 16v4',
    dots: 'M6 12v.1M12 12v.1M18 12v.1',
} as const;

export type IconName = keyof typeof paths;

/** Always decoration: whatever it stands for is said in words beside it or in a label. */
export function Icon({ name }: { name: IconName }) {
    return (
        <svg className={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
            <path d={paths[name]} />
        </svg>
    );
}
