// The content of a rollout file as a message: keys are the fields in snake_case, enum values and durations
// stand as on the command line, and the Engine's own JSON as YAML. `cli/src/file/message.rs` is the same for
// `wharf rollout start -f`. Pure.

import {
  type DescEnum, type DescField, type DescMessage, type JsonObject, type JsonValue, ScalarType, fromJson,
} from '@bufbuild/protobuf';
import { type RolloutSpec, RolloutSpecSchema } from '../gen/wharf/v1/rollout_spec_pb';

/**
 * Reads a spec. `texts` is the file with every value as text, so that a version `1.10` or the country `no` stay what
 * they are; `values` is the same with numbers and the like, for what is passed on as JSON. Throws an `Error` with the
 * key that is wrong.
 */
export function readSpec(texts: unknown, values: unknown = texts): RolloutSpec {
  return fromJson(RolloutSpecSchema, message({ text: texts, value: values }, RolloutSpecSchema, ''));
}

interface Node {
  text: unknown;
  value: unknown;
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The entries of a mapping that have a value. */
function entries(node: Node, at: string): [string, Node][] {
  const { text: texts, value: values } = node;
  if (values === null) return [];
  if (!isMapping(texts) || !isMapping(values)) throw new Error(`${at || 'the file'} must be a mapping`);
  return Object.entries(texts).map(([key, text]) => [key, { text, value: values[key] }]);
}

function message(node: Node, type: DescMessage, at: string): JsonValue {
  if (type.typeName === 'wharf.v1.EngineJson') return { json: JSON.stringify(node.value) };
  if (type.typeName === 'google.protobuf.Duration') return `${seconds(single(node, at), at)}s`;
  const json: JsonObject = {};
  for (const [key, item] of entries(node, at)) {
    const field = type.fields.find((each) => each.name === key);
    const path = at ? `${at}.${key}` : key;
    if (!field) {
      const keys = type.fields.map((each) => each.name).join(', ');
      throw new Error(`unknown key ${path}; valid keys: ${keys}`);
    }
    if (item.value !== null) json[field.jsonName] = fieldValue(item, field, path);
  }
  return json;
}

function fieldValue(node: Node, field: DescField, at: string): JsonValue {
  if (field.fieldKind === 'list') {
    const { text: texts, value: values } = node;
    if (!Array.isArray(texts) || !Array.isArray(values)) throw new Error(`${at} must be a list`);
    return texts.map((text, index) => one({ text, value: values[index] }, field, `${at}[${index}]`));
  }
  if (field.fieldKind === 'map') {
    const texts = entries(node, at).map(([key, item]) => [key, item.value === null ? '' : single(item, `${at}.${key}`)]);
    return Object.fromEntries(texts) as JsonObject;
  }
  return one(node, field, at);
}

function one(node: Node, field: DescField, at: string): JsonValue {
  if (field.message) return message(node, field.message, at);
  if (field.enum) return choice(single(node, at), field.enum, at);
  if (field.scalar === ScalarType.BOOL) {
    if (typeof node.value !== 'boolean') throw new Error(`${at} must be true or false`);
    return node.value;
  }
  const given = single(node, at);
  return field.name.endsWith('_bytes') ? size(given, at) : given;
}

function single({ text }: Node, at: string): string {
  if (['string', 'number', 'boolean'].includes(typeof text)) return String(text);
  throw new Error(`${at} must be one value`);
}

/** `stop-first` as `ROLLOUT_ORDER_STOP_FIRST`. */
function choice(given: string, type: DescEnum, at: string): string {
  const prefix = (type.values[0]?.name ?? '').replace(/UNSPECIFIED$/, '');
  const names = type.values.slice(1).map((value) => value.name);
  const word = (name: string) => name.slice(prefix.length).toLowerCase().replaceAll('_', '-');
  const name = names.find((each) => word(each) === given);
  if (!name) throw new Error(`${at}: "${given}" is not one of ${names.map(word).join(', ')}`);
  return name;
}

const UNITS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** `1h30m` in seconds. */
function seconds(given: string, at: string): number {
  const parts = [...given.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  if (parts.map((part) => part[0]).join('') !== given || !given) {
    throw new Error(`${at}: "${given}" is not a duration, such as 30s or 1h30m`);
  }
  const sum = parts.reduce((total, [, number, unit]) => total + Number(number) * (UNITS[unit ?? ''] ?? 0), 0);
  return Math.round(sum * 1e9) / 1e9;
}

/** `512m` in bytes. */
function size(given: string, at: string): string {
  const match = /^(-?\d+)([bkmg]?)b?$/i.exec(given);
  if (!match) throw new Error(`${at}: "${given}" is not a size, such as 512m`);
  const power = { '': 0, b: 0, k: 1, m: 2, g: 3 }[(match[2] ?? '').toLowerCase()] ?? 0;
  return String(BigInt(match[1] ?? '0') * 1024n ** BigInt(power));
}
