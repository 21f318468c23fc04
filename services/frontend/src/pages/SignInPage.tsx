// SPDX-License-Identifier: MIT
import { Mark } from '../components/Mark';
import { signInRequested, started } from '../store/authSlice';
import { useAppSelector, useSend } from '../store/state';

export function SignInPage() {
    const { status, message } = useAppSelector((state) => state.auth);
    const send = useSend();
    const isQuiet = status === 'starting' || status === 'leaving';
    return (
        <main className="welcome">
            <div className="welcome-card">
                <Mark />
                <h1>Chat</h1>
                {isQuiet ? (
                    <p className="welcome-wait" role="status">
                        {status === 'leaving' ? (message ?? 'Taking you to sign in …') : 'One moment …'}
                    </p>
                ) : (
                    <>
                        <p className="welcome-lead">
                            {status === 'unavailable'
                                ? 'We will keep trying; there is nothing you need to do.'
                                : 'Rooms for your people. Everything you write arrives, once and in order.'}
                        </p>
                        {message && (
                            <p className="welcome-message" role="status">
                                {message}
                            </p>
                        )}
                        {status === 'unavailable' ? (
                            <button
                                type="button"
                                className="button button-primary"
                                onClick={() => send(started())}
                            >
                                Try now
                            </button>
                        ) : (
                            <button
                                type="button"
                                className="button button-primary"
                                onClick={() => send(signInRequested())}
                                autoFocus
                            >
                                Sign in
                            </button>
                        )}
                        {status === 'signedOut' && (
                            <p className="welcome-hint">
                                New here? You can create an account on the next page.
                            </p>
                        )}
                    </>
                )}
            </div>
        </main>
    );
}
