// What is typed into a session, on its way to the server: one call at a time, and what is typed meanwhile
// goes into the next one. A call that failed by chance is made again at the same position, which the server
// recognizes.

export interface Size { columns: number; rows: number }

export type Piece = { case: 'stdin'; value: Uint8Array } | { case: 'resize'; value: Size };

/** What the outside world does for the queue. */
export interface Outside {
  send(position: bigint, input: Piece): Promise<unknown>;
  /** Whether the same call may succeed later. */
  isPassing(error: unknown): boolean;
  /** Waits before such a call. */
  pause(): Promise<void>;
  /** Nothing more can be sent. */
  failed(error: unknown): void;
}

/** Bytes in one call; the server takes four times as much. */
const MOST = 256 * 1024;

export class Typed {
  /** Whether anything was typed at all. */
  any = false;

  private waiting: Uint8Array[] = [];
  private size: Size | undefined;
  private position = 0n;
  private sending = false;
  private ended = false;
  private outside: Outside | undefined;

  /** Sends what was typed so far, and from now on everything at once. */
  begin(outside: Outside): void {
    this.outside = outside;
    void this.run();
  }

  type(data: Uint8Array): void {
    if (this.ended || data.length === 0) return;
    this.any = true;
    this.waiting.push(data);
    void this.run();
  }

  /** Only the last size counts. */
  resize(size: Size): void {
    this.size = size;
    void this.run();
  }

  /** The session is over; what waits is dropped. */
  end(): void {
    this.ended = true;
    this.waiting = [];
    this.size = undefined;
  }

  private async run(): Promise<void> {
    if (this.sending || !this.outside) return;
    this.sending = true;
    for (let piece = this.next(); piece; piece = this.next()) {
      await this.deliver(this.outside, piece);
      this.position += 1n;
    }
    this.sending = false;
  }

  private async deliver(outside: Outside, piece: Piece): Promise<void> {
    while (!this.ended) {
      try {
        await outside.send(this.position, piece);
        return;
      } catch (error) {
        if (this.ended) return;
        if (!outside.isPassing(error)) {
          this.end();
          outside.failed(error);
          return;
        }
        await outside.pause();
      }
    }
  }

  private next(): Piece | undefined {
    if (this.ended) return undefined;
    if (this.size) {
      const value = this.size;
      this.size = undefined;
      return { case: 'resize', value };
    }
    if (this.waiting.length === 0) return undefined;
    const all = joined(this.waiting);
    this.waiting = all.length > MOST ? [all.subarray(MOST)] : [];
    return { case: 'stdin', value: all.subarray(0, MOST) };
  }
}

function joined(pieces: Uint8Array[]): Uint8Array {
  if (pieces.length === 1 && pieces[0]) return pieces[0];
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let end = 0;
  for (const piece of pieces) {
    all.set(piece, end);
    end += piece.length;
  }
  return all;
}
