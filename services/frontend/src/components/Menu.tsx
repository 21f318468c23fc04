// SPDX-License-Identifier: MIT
import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from 'react';

interface Props {
    label: string;
    trigger: ReactNode;
    className?: string;
    align?: 'start' | 'end';
    opens?: 'up' | 'down';
    children: ReactNode;
}

/** A button with a list of actions, by the keyboard pattern of WAI-ARIA's menu button. */
export function Menu({ label, trigger, className = '', align = 'end', opens = 'down', children }: Props) {
    const [isOpen, setOpen] = useState(false);
    const root = useRef<HTMLDivElement>(null);
    const button = useRef<HTMLButtonElement>(null);

    const items = () =>
        Array.from(root.current?.querySelectorAll<HTMLElement>('[role^="menuitem"]') ?? []);

    useEffect(() => {
        if (!isOpen) return;
        const chosen = items().find((item) => item.getAttribute('aria-checked') === 'true');
        (chosen ?? items()[0])?.focus();
        const closeOutside = (event: PointerEvent) => {
            if (!root.current?.contains(event.target as Node)) setOpen(false);
        };
        document.addEventListener('pointerdown', closeOutside);
        return () => document.removeEventListener('pointerdown', closeOutside);
    }, [isOpen]);

    const onKeyDown = (event: KeyboardEvent) => {
        if (!isOpen) return;
        const all = items();
        const at = all.indexOf(document.activeElement as HTMLElement);
        const moves: Record<string, number> = {
            ArrowDown: (at + 1) % all.length,
            ArrowUp: (at - 1 + all.length) % all.length,
            Home: 0,
            End: all.length - 1,
        };
        const to = moves[event.key];
        if (to !== undefined) {
            event.preventDefault();
            all[to]?.focus();
        } else if (event.key === 'Escape' || event.key === 'Tab') {
            setOpen(false);
            if (event.key === 'Escape') button.current?.focus();
        }
    };

    return (
        <div className={`menu ${className}`} ref={root} onKeyDown={onKeyDown}>
            <button
                ref={button}
                type="button"
                className="menu-button"
                aria-haspopup="menu"
                aria-expanded={isOpen}
                aria-label={label}
                title={label}
                onClick={() => setOpen(!isOpen)}
            >
                {trigger}
            </button>
            {isOpen && (
                <div
                    className={`menu-list menu-${align} menu-${opens}`}
                    role="menu"
                    aria-label={label}
                    onClick={() => {
                        setOpen(false);
                        button.current?.focus();
                    }}
                >
                    {children}
                </div>
            )}
        </div>
    );
}

interface ItemProps {
    onChoose: () => void;
    isChosen?: boolean;
    isDangerous?: boolean;
    children: ReactNode;
}

export function MenuItem({ onChoose, isChosen, isDangerous = false, children }: ItemProps) {
    const checked = isChosen === undefined ? {} : { 'aria-checked': isChosen };
    return (
        <button
            type="button"
            role={isChosen === undefined ? 'menuitem' : 'menuitemradio'}
            {...checked}
            tabIndex={-1}
            className={isDangerous ? 'menu-item is-dangerous' : 'menu-item'}
            onClick={onChoose}
        >
            {children}
        </button>
    );
}
