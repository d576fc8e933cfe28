// The parameters of a rollout that the form offers, with their defaults and meanings. The flag of each is
// its name with dashes. docs/rollout.md has all parameters; a file can set them. Pure.

export interface Parameter {
  /** Field of `RolloutPolicy`. */
  name: string;
  label: string;
  kind: 'amount' | 'duration' | 'choice' | 'list' | 'command';
  /** What counts if the field is empty. */
  default: string;
  choices?: string[];
  help: string;
}

export const PARAMETERS: Parameter[] = [
  { name: 'max_parallel', label: 'Hosts at once', kind: 'amount', default: '1', help: 'A number, or a share such as 25%.' },
  { name: 'canary', label: 'Canary', kind: 'amount', default: '0', help: 'Size of a first wave of its own; 0 is none.' },
  { name: 'promote', label: 'After the canary', kind: 'choice', default: 'auto', choices: ['auto', 'manual'], help: 'Continue by itself, or wait for somebody to promote it.' },
  { name: 'batches', label: 'Waves', kind: 'list', default: 'one wave', help: 'Growing shares up to 100%, such as 1, 10%, 50%, 100%. Not together with a canary.' },
  { name: 'bake', label: 'Watch each wave', kind: 'duration', default: '0s', help: 'How long before the next wave starts.' },
  { name: 'order', label: 'Order', kind: 'choice', default: 'stop-first', choices: ['stop-first', 'start-first', 'auto'], help: 'Stop the old container first, or start the new one first.' },
  { name: 'health', label: 'Health gate', kind: 'choice', default: 'auto', choices: ['auto', 'docker', 'running', 'http', 'tcp', 'exec', 'none'], help: 'How a new container proves that it works. Auto: its health check, or else that it runs.' },
  { name: 'min_healthy_time', label: 'Healthy for', kind: 'duration', default: '10s', help: 'Without interruption, to pass the gate.' },
  { name: 'monitor', label: 'Then watch the host', kind: 'duration', default: '30s', help: 'If the container fails in that time, the old one comes back.' },
  { name: 'healthy_deadline', label: 'Healthy within', kind: 'duration', default: '5m', help: 'Otherwise the host has failed.' },
  { name: 'on_failure', label: 'If hosts fail', kind: 'choice', default: 'pause', choices: ['pause', 'rollback', 'continue', 'abort'], help: 'A failed host itself always gets its old container back.' },
  { name: 'max_failures', label: 'Failures to tolerate', kind: 'amount', default: '0', help: 'A number, or a share such as 5%.' },
  { name: 'on_unreachable', label: 'If a host does not answer', kind: 'choice', default: 'wait', choices: ['wait', 'skip', 'fail'], help: 'Before its work starts.' },
  { name: 'pull_policy', label: 'Pull', kind: 'choice', default: 'missing', choices: ['missing', 'always', 'never'], help: 'When to get the image from its registry.' },
  { name: 'keep_old_for', label: 'Keep old containers', kind: 'duration', default: '24h', help: 'Stopped, for an undo.' },
  { name: 'drain', label: 'Drain command', kind: 'command', default: 'none', help: 'Runs in the old container before it stops.' },
  { name: 'verify', label: 'Verify command', kind: 'command', default: 'none', help: 'Runs in the new container after its gate.' },
];

/** What the gates `http`, `tcp`, and `exec` probe; fields of `HealthProbe`. */
export const PROBES: Record<string, { name: string; label: string; help: string }[]> = {
  http: [
    { name: 'port', label: 'Port', help: 'In the container.' },
    { name: 'path', label: 'Path', help: 'Default /.' },
    { name: 'status', label: 'Status', help: 'Default 200 to 399.' },
  ],
  tcp: [{ name: 'port', label: 'Port', help: 'In the container.' }],
  exec: [{ name: 'command', label: 'Command', help: 'In the container, by /bin/sh; 0 is healthy.' }],
};
