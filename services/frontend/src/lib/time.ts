// SPDX-License-Identifier: MIT
const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long' });
const dateWithYear = new Intl.DateTimeFormat(undefined, {
    day: 'numeric',
    month: 'long',
    year: 'numeric',
});
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

const DAY = 86_400_000;

function startOfDay(at: number): number {
    return new Date(at).setHours(0, 0, 0, 0);
}

export function timeOfDay(at: number): string {
    return clock.format(at);
}

export function fullTime(at: number): string {
    return full.format(at);
}

/** The heading over a day's messages: nearer days get shorter names. */
export function dayName(at: number, now: number): string {
    // Rounded, because a day with a clock change has 23 or 25 hours.
    const days = Math.round((startOfDay(now) - startOfDay(at)) / DAY);
    if (days === 0) return 'Today';
    if (days === 1) return 'Yesterday';
    if (days > 1 && days < 7) return weekday.format(at);
    const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
    return (sameYear ? date : dateWithYear).format(at);
}

export function sameDay(a: number, b: number): boolean {
    return startOfDay(a) === startOfDay(b);
}
