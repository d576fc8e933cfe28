// Who is signed in, in which of the two ways: at `wharf ui` with its one-time address, or at `wharfd`
// with a token. The cookie itself is out of reach of scripts.

import { Role } from '../gen/wharf/v1/options_pb';

/** How this page was reached: `command` is `wharf ui`, `server` is `wharfd` itself. */
export type Way = 'command' | 'server';

export type Access =
  | { state: 'unknown' }
  | { state: 'out'; way: Way; message: string }
  | { state: 'in'; way: Way };

/** Where `wharf ui` expects the second half of its session, which other ports never see. */
export const KEY_HEADER = 'x-wharf-key';
const STORED_KEY = 'wharf.key';

interface Answer {
  way: Way;
  key?: string;
  message?: string;
}

class Session {
  access = $state<Access>({ state: 'unknown' });
  caller = $state('');
  role = $state(Role.UNSPECIFIED);
  version = $state('');

  get canOperate(): boolean {
    return this.role >= Role.OPERATOR;
  }

  get canAdminister(): boolean {
    return this.role >= Role.ADMIN;
  }

  /** The header with the key of `wharf ui`; none at `wharfd`. */
  get key(): string {
    return localStorage.getItem(STORED_KEY) ?? '';
  }

  /** Uses the one-time secret of the address, if there is one, and finds out where we stand. */
  async begin(): Promise<void> {
    const secret = new URLSearchParams(location.hash.slice(1)).get('open');
    if (secret !== null) {
      // Not left in the history, nor in an address that somebody copies.
      history.replaceState(null, '', location.pathname + '#/');
      // Which nobody is told of otherwise.
      dispatchEvent(new HashChangeEvent('hashchange'));
      await this.signIn(secret);
      return;
    }
    try {
      const response = await this.ask('GET');
      const answer = (await response.json()) as Answer;
      this.access = response.ok
        ? { state: 'in', way: answer.way }
        : { state: 'out', way: answer.way, message: '' };
    } catch {
      // Calls tell what is wrong with the connection.
      this.access = { state: 'in', way: 'server' };
    }
  }

  /** With the one-time secret of `wharf ui`, or a token of `wharfd`. */
  async signIn(secret: string): Promise<void> {
    let way: Way = this.access.state === 'unknown' ? 'command' : this.access.way;
    try {
      const response = await this.ask('POST', secret);
      const answer = (await response.json()) as Answer;
      way = answer.way;
      if (response.ok) {
        if (answer.key) localStorage.setItem(STORED_KEY, answer.key);
        this.access = { state: 'in', way };
        return;
      }
      this.access = { state: 'out', way, message: answer.message ?? 'it was refused' };
    } catch {
      this.access = { state: 'out', way, message: 'the server cannot be reached' };
    }
  }

  async signOut(): Promise<void> {
    const way = this.access.state === 'unknown' ? 'server' : this.access.way;
    try {
      await this.ask('DELETE');
    } catch {
      // Without a server there is no session either.
    }
    localStorage.removeItem(STORED_KEY);
    this.role = Role.UNSPECIFIED;
    this.access = { state: 'out', way, message: '' };
  }

  /** The server does not know the session any more. */
  lost(): void {
    if (this.access.state !== 'in') return;
    this.role = Role.UNSPECIFIED;
    this.access = { state: 'out', way: this.access.way, message: 'the session has ended' };
  }

  private ask(method: 'GET' | 'POST' | 'DELETE', secret?: string): Promise<Response> {
    return fetch('./session', {
      method,
      cache: 'no-store',
      headers: { [KEY_HEADER]: this.key, 'content-type': 'text/plain' },
      body: secret,
    });
  }
}

export const session = new Session();
