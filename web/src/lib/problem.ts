// Errors as people read them: one line, and the constant that docs/errors.md explains.

import { fromBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../gen/google/rpc/error_details_pb';
import type { Status } from '../gen/google/rpc/status_pb';

export interface Problem {
  message: string;
  /** Such as `HOST_TIMEOUT`; empty if the server gave none. */
  reason: string;
}

/** The reason behind a message, such as ` (HOST_TIMEOUT)`; empty if there is none. */
export function reasonOf({ reason }: Problem): string {
  return reason && ` (${reason})`;
}

/** What a call threw. */
export function problemOf(error: unknown): Problem {
  if (!(error instanceof ConnectError)) {
    return { message: error instanceof Error ? error.message : String(error), reason: '' };
  }
  const info = error.findDetails(ErrorInfoSchema)[0];
  if (info) return { message: error.rawMessage, reason: info.reason };
  if (isNetwork(error)) {
    return { message: 'the server cannot be reached; the page tries again', reason: '' };
  }
  return { message: error.rawMessage || Code[error.code] || 'the call failed', reason: '' };
}

/** The status of one host or item; `undefined` for success. */
export function problemOfStatus(status: Status | undefined): Problem | undefined {
  if (!status || status.code === 0) return undefined;
  for (const detail of status.details) {
    if (detail.typeUrl.endsWith('/google.rpc.ErrorInfo')) {
      return { message: status.message, reason: fromBinary(ErrorInfoSchema, detail.value).reason };
    }
  }
  return { message: status.message, reason: '' };
}

/** Whether the caller has to sign in (again). */
export function isSignedOut(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unauthenticated;
}

/** Whether a later attempt can succeed without anybody changing the request. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return true;
  return [Code.Unavailable, Code.Unknown, Code.Aborted, Code.DeadlineExceeded, Code.Internal, Code.Canceled]
    .includes(error.code);
}

function isNetwork(error: ConnectError): boolean {
  return error.cause instanceof TypeError;
}
