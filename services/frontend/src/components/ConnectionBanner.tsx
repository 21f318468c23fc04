// SPDX-License-Identifier: MIT
import { reconnectRequested } from '../store/commands';
import { useAppSelector, useSend } from '../store/state';

/** Lies over the page rather than in it, so that nothing moves when it comes and goes. */
export function ConnectionBanner() {
    const { connection, connectionNote, hasSession } = useAppSelector((state) => state.chat);
    const send = useSend();
    const isShown = hasSession
        ? connection !== 'online' && connection !== 'idle'
        : connection === 'refused' || connection === 'reconnecting';
    return (
        <div className="banner-place" role="status" data-connection={connection}>
            {isShown && (
                <div className="banner">
                    <span className="spinner" aria-hidden="true" />
                    <span>
                        {connectionNote ??
                            (hasSession ? 'Connection lost. Reconnecting …' : 'Connecting …')}
                    </span>
                    <button
                        type="button"
                        className="link-button"
                        onClick={() => send(reconnectRequested())}
                    >
                        Try now
                    </button>
                </div>
            )}
        </div>
    );
}
