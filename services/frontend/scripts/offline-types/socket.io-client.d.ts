// SPDX-License-Identifier: MIT
// The part of socket.io-client's types this application uses, for builds without npm (offline-deps.py).
type EventsMap = { [event: string]: any };
type Parameters_<T> = T extends (...args: infer A) => any ? A : never;

export interface ManagerOptions {
    path: string;
    transports: string[];
    tryAllTransports: boolean;
    reconnection: boolean;
    reconnectionDelay: number;
    reconnectionDelayMax: number;
    randomizationFactor: number;
    timeout: number;
}

export interface SocketOptions {
    auth: { [key: string]: unknown } | ((done: (data: object) => void) => void);
    autoConnect: boolean;
}

export interface Manager {
    on(event: 'reconnect_attempt' | 'error' | 'reconnect_error', listener: (value: any) => void): this;
    engine: { transport: { name: string }; close(): void };
}

export interface Socket<Listen extends EventsMap = EventsMap, Emit extends EventsMap = EventsMap> {
    id?: string;
    connected: boolean;
    active: boolean;
    recovered: boolean;
    io: Manager;
    on(event: 'connect', listener: () => void): this;
    on(event: 'connect_error', listener: (error: Error) => void): this;
    on(event: 'disconnect', listener: (reason: string) => void): this;
    on<E extends keyof Listen & string>(event: E, listener: Listen[E]): this;
    emit<E extends keyof Emit & string>(event: E, ...args: Parameters_<Emit[E]>): this;
    timeout(milliseconds: number): Socket<Listen, Emit>;
    emitWithAck(event: string, ...args: any[]): Promise<any>;
    volatile: Socket<Listen, Emit>;
    connect(): this;
    disconnect(): this;
    removeAllListeners(): this;
}

export function io(options?: Partial<ManagerOptions & SocketOptions>): Socket;
export function io(uri: string, options?: Partial<ManagerOptions & SocketOptions>): Socket;
