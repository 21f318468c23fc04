// SPDX-License-Identifier: MIT
import { useAppSelector, useSend } from '../store/state';
import { toastDismissed } from '../store/uiSlice';
import { Icon } from './Icon';

export function Toasts() {
    const toasts = useAppSelector((state) => state.ui.toasts);
    const send = useSend();
    return (
        <section className="toasts" aria-label="Notices">
            {toasts.map((toast) => (
                <div
                    key={toast.id}
                    className={`toast toast-${toast.tone}`}
                    role={toast.tone === 'critical' ? 'alert' : 'status'}
                >
                    <div className="toast-text">
                        {toast.title && <strong>{toast.title}</strong>}
                        <span>{toast.text}</span>
                    </div>
                    <button
                        type="button"
                        className="icon-button"
                        aria-label="Dismiss"
                        onClick={() => send(toastDismissed(toast.id))}
                    >
                        <Icon name="close" />
                    </button>
                </div>
            ))}
        </section>
    );
}
