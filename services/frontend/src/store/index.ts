// SPDX-License-Identifier: MIT
import { configureStore } from '@reduxjs/toolkit';
import { createAuthMiddleware, Session } from './authMiddleware';
import { authReducer } from './authSlice';
import { chatReducer } from './chatSlice';
import { createSocketMiddleware } from './socketMiddleware';
import { uiReducer } from './uiSlice';

export function createStore() {
    const session = new Session();
    return configureStore({
        reducer: { auth: authReducer, chat: chatReducer, ui: uiReducer },
        middleware: (getDefaultMiddleware) =>
            getDefaultMiddleware().concat([
                createAuthMiddleware(session),
                createSocketMiddleware(session),
            ]),
    });
}
