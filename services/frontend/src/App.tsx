// SPDX-License-Identifier: MIT
import { ChatPage } from './pages/ChatPage';
import { SignInPage } from './pages/SignInPage';
import { useAppSelector } from './store/state';

export function App() {
    const isSignedIn = useAppSelector((state) => state.auth.status === 'signedIn');
    return isSignedIn ? <ChatPage /> : <SignInPage />;
}
