// SPDX-License-Identifier: MIT
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Provider } from 'react-redux';
import { App } from './App';
import { roomInAddress } from './lib/route';
import { applyTheme, storedTheme } from './lib/theme';
import { createStore } from './store';
import { started } from './store/authSlice';
import { roomSelected } from './store/chatSlice';
import { selectTotalUnread } from './store/selectors';
import { themeChosen } from './store/uiSlice';
import './styles/index.css';

// Everything with a life of its own starts here, once, and not in a component: StrictMode mounts
// components twice, and one authorization code can be redeemed only once.
const store = createStore();

applyTheme(storedTheme());
store.dispatch(themeChosen(storedTheme()));
store.dispatch(started());

const followAddress = () => store.dispatch(roomSelected(roomInAddress()));
window.addEventListener('hashchange', followAddress);

let shown = { hasSession: false, title: '', theme: storedTheme() };
store.subscribe(() => {
    const state = store.getState();
    const { hasSession } = state.chat;
    const unread = selectTotalUnread(state);
    const title = unread > 0 ? `(${unread > 99 ? '99+' : unread}) Chat` : 'Chat';
    const { theme } = state.ui;
    const before = shown;
    shown = { hasSession, title, theme };
    if (title !== before.title) document.title = title;
    if (theme !== before.theme) applyTheme(theme);
    if (hasSession && !before.hasSession) {
        // A wide screen has room for the lobby beside the list; a phone starts with the list.
        const isWide = window.matchMedia('(min-width: 720px)').matches;
        const wanted = roomInAddress() ?? (isWide ? 'lobby' : null);
        if (wanted !== state.chat.activeRoom) store.dispatch(roomSelected(wanted));
    }
});

const root = document.getElementById('root');
if (root) {
    createRoot(root).render(
        <StrictMode>
            <Provider store={store}>
                <App />
            </Provider>
        </StrictMode>,
    );
}
