// SPDX-License-Identifier: MIT
// The part of Redux Toolkit's types this application uses, for builds without npm (offline-deps.py).
import { Action, AnyAction, Dispatch, Middleware, Reducer, Store } from 'redux';
export { Action, AnyAction, Dispatch, Middleware, MiddlewareAPI, Reducer, Store, combineReducers } from 'redux';

export type UnknownAction = Action & { [key: string]: unknown };

export type PayloadAction<P = void> = { payload: P; type: string };

export interface ActionCreator<P> {
    type: string;
    match(action: unknown): action is PayloadAction<P>;
    (payload: P): PayloadAction<P>;
}

export interface ActionCreatorWithoutPayload {
    type: string;
    match(action: unknown): action is PayloadAction<undefined>;
    (): PayloadAction<undefined>;
}

type CreatorFor<P> = [P] extends [void] ? ActionCreatorWithoutPayload : ActionCreator<P>;

export function createAction<P = void>(type: string): CreatorFor<P>;

type CaseReducer<S> = (state: S, action: PayloadAction<any>) => S | void;

type CaseCreators<R> = {
    [K in keyof R]: R[K] extends (state: any, action: infer A) => any
        ? A extends { payload: infer P }
            ? CreatorFor<P>
            : ActionCreatorWithoutPayload
        : ActionCreatorWithoutPayload;
};

export interface ReducerBuilder<S> {
    addCase<P>(creator: ActionCreator<P>, reducer: (state: S, action: PayloadAction<P>) => S | void): this;
    addCase(creator: ActionCreatorWithoutPayload, reducer: (state: S) => S | void): this;
}

export interface Slice<S, R, N extends string> {
    name: N;
    reducer: Reducer<S, AnyAction>;
    actions: CaseCreators<R>;
    getInitialState(): S;
}

export function createSlice<S, R extends { [name: string]: CaseReducer<S> }, N extends string>(options: {
    name: N;
    initialState: S | (() => S);
    reducers: R & { [name: string]: CaseReducer<S> };
    extraReducers?: (builder: ReducerBuilder<S>) => void;
}): Slice<S, R, N>;

export function createSelector<I, A, R>(a: (state: I) => A, result: (a: A) => R): (state: I) => R;
export function createSelector<I, A, B, R>(
    inputs: [(state: I) => A, (state: I) => B],
    result: (a: A, b: B) => R,
): (state: I) => R;
export function createSelector<I, A, B, C, R>(
    inputs: [(state: I) => A, (state: I) => B, (state: I) => C],
    result: (a: A, b: B, c: C) => R,
): (state: I) => R;
export function createSelector<I, A, B, C, D, R>(
    inputs: [(state: I) => A, (state: I) => B, (state: I) => C, (state: I) => D],
    result: (a: A, b: B, c: C, d: D) => R,
): (state: I) => R;

export function createSelector<I, A, B, C, D, E, R>(
    inputs: [(state: I) => A, (state: I) => B, (state: I) => C, (state: I) => D, (state: I) => E],
    result: (a: A, b: B, c: C, d: D, e: E) => R,
): (state: I) => R;

export function configureStore<S>(options: {
    reducer: Reducer<S, AnyAction> | { [K in keyof S]: Reducer<S[K], AnyAction> };
    middleware?: (getDefaultMiddleware: (options?: { serializableCheck?: boolean }) => Middleware[]) => Middleware[];
    preloadedState?: Partial<S>;
    devTools?: boolean;
}): Store<S, AnyAction> & { dispatch: Dispatch<AnyAction> };

export function nanoid(size?: number): string;
