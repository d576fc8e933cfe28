import { expect, test } from 'vitest';
import { type Outside, type Piece, Typed } from './typed';

/** A server that answers when it is told to. */
class Server implements Outside {
  calls: { position: bigint; input: Piece; answer: (error?: unknown) => void }[] = [];
  failures: unknown[] = [];
  pauses = 0;

  send(position: bigint, input: Piece): Promise<void> {
    return new Promise((resolve, reject) => {
      this.calls.push({ position, input, answer: (error) => (error ? reject(error) : resolve()) });
    });
  }
  isPassing(error: unknown): boolean {
    return error === 'by chance';
  }
  async pause(): Promise<void> {
    this.pauses += 1;
  }
  failed(error: unknown): void {
    this.failures.push(error);
  }
  get sent(): string[] {
    return this.calls.map(({ position, input }) => `${position} ${input.case === 'stdin' ? text(input.value) : `${input.value.columns}x${input.value.rows}`}`);
  }
  async answer(error?: unknown): Promise<void> {
    this.calls.at(-1)?.answer(error);
    // Whatever follows from it has been done after this.
    await new Promise((resolve) => setTimeout(resolve));
  }
}

const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);
const text = (value: Uint8Array): string => new TextDecoder().decode(value);

test('one call is under way, and what is typed meanwhile goes together', async () => {
  const [server, typed] = [new Server(), new Typed()];
  typed.type(bytes('before '));
  typed.type(bytes('it began'));
  expect(server.sent).toEqual([]);
  typed.begin(server);
  expect(server.sent).toEqual(['0 before it began']);
  for (const key of ['l', 's', '\r']) typed.type(bytes(key));
  expect(server.sent.length).toBe(1);
  await server.answer();
  expect(server.sent.slice(1)).toEqual(['1 ls\r']);
  await server.answer();
  typed.type(bytes('x'));
  expect(server.sent.slice(2)).toEqual(['2 x']);
});

test('of several sizes the last one is sent, before what was typed', async () => {
  const [server, typed] = [new Server(), new Typed()];
  typed.begin(server);
  typed.type(bytes('a'));
  typed.resize({ columns: 10, rows: 5 });
  typed.type(bytes('b'));
  typed.resize({ columns: 20, rows: 6 });
  await server.answer();
  await server.answer();
  expect(server.sent).toEqual(['0 a', '1 20x6', '2 b']);
  expect(typed.any).toBe(true);
});

test('a call that failed by chance is made again as it was, at its position', async () => {
  const [server, typed] = [new Server(), new Typed()];
  typed.begin(server);
  typed.type(bytes('a'));
  typed.type(bytes('b'));
  await server.answer('by chance');
  await server.answer('by chance');
  await server.answer();
  expect(server.sent).toEqual(['0 a', '0 a', '0 a', '1 b']);
  expect(server.pauses).toBe(2);
});

test('nothing is sent after another failure, and none is told after the end', async () => {
  const [server, typed] = [new Server(), new Typed()];
  typed.begin(server);
  typed.type(bytes('a'));
  typed.type(bytes('b'));
  await server.answer('for good');
  typed.type(bytes('c'));
  expect(server.sent).toEqual(['0 a']);
  expect(server.failures).toEqual(['for good']);

  const [other, late] = [new Server(), new Typed()];
  late.begin(other);
  late.type(bytes('a'));
  late.end();
  await other.answer('for good');
  expect(other.failures).toEqual([]);
});

test('a long paste goes in several calls that give the whole', async () => {
  const [server, typed] = [new Server(), new Typed()];
  const paste = 'é'.repeat(300_000);
  typed.begin(server);
  typed.type(bytes(paste));
  await server.answer();
  await server.answer();
  await server.answer();
  const sent = server.calls.flatMap(({ input }) => (input.case === 'stdin' ? [...input.value] : []));
  expect(server.calls.length).toBe(3);
  expect(text(new Uint8Array(sent))).toBe(paste);
});
