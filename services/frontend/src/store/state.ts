// SPDX-License-Identifier: MIT
import { type TypedUseSelectorHook, useDispatch, useSelector } from 'react-redux';
import type { AuthState } from './authSlice';
import type { ChatState } from './chatSlice';
import type { UIState } from './uiSlice';

/** Written out rather than inferred, so that middleware may use it without a circle. */
export interface RootState {
    auth: AuthState;
    chat: ChatState;
    ui: UIState;
}

export type Send = (action: { type: string }) => unknown;

export const useAppSelector: TypedUseSelectorHook<RootState> = useSelector;
export const useSend = (): Send => useDispatch() as Send;
