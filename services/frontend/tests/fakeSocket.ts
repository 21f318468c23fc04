// SPDX-License-Identifier: MIT
/** Takes the place of socket.io-client in the tests: the test is the server. */

type Listener = (...values: any[]) => void;

export interface Asked {
    name: string;
    request: any;
    answer: (value: object) => void;
    lose: () => void;
}

export class FakeSocket {
    static latest: FakeSocket;
    connected = false;
    active = true;
    recovered = false;
    connects = 0;
    asked: Asked[] = [];
    notices: [string, unknown][] = [];
    readonly volatile = {
        emit: (name: string, notice: unknown) => void this.notices.push([name, notice]),
    };
    private listeners = new Map<string, Listener>();

    constructor(readonly options: any) {
        FakeSocket.latest = this;
    }

    on(event: string, listener: Listener): this {
        this.listeners.set(event, listener);
        return this;
    }

    removeAllListeners(): this {
        this.listeners.clear();
        return this;
    }

    connect(): this {
        this.connects += 1;
        this.active = true;
        return this;
    }

    disconnect(): this {
        this.connected = false;
        return this;
    }

    timeout(): { emitWithAck: (name: string, request: unknown) => Promise<unknown> } {
        return {
            emitWithAck: (name, request) =>
                new Promise((resolve, reject) => {
                    this.asked.push({
                        name,
                        request,
                        answer: resolve,
                        lose: () => reject(new Error('lost')),
                    });
                }),
        };
    }

    // ---- what the server does ------------------------------------------------------------------

    receive(event: string, ...values: unknown[]): void {
        this.listeners.get(event)?.(...values);
    }

    open(): void {
        this.connected = true;
        this.receive('connect');
    }

    drop(reason = 'transport close'): void {
        this.connected = false;
        this.receive('disconnect', reason);
        for (const waiting of this.asked.splice(0)) waiting.lose();
    }

    refuse(code: string): void {
        this.active = false;
        this.receive('connect_error', Object.assign(new Error(code), { data: { code } }));
    }

    /** The token the client would present now. */
    token(): string | null {
        let token: string | null = null;
        this.options.auth((data: { token: string }) => {
            token = data.token;
        });
        return token;
    }

    take(name: string): Asked[] {
        const found = this.asked.filter((asked) => asked.name === name);
        this.asked = this.asked.filter((asked) => asked.name !== name);
        return found;
    }
}

export function io(options: unknown): FakeSocket {
    return new FakeSocket(options);
}
