import { expect, test } from 'vitest';
import { repositoryOf } from './repository';

test('the repository of what is being entered', () => {
  expect(repositoryOf('nginx')).toBe('nginx');
  expect(repositoryOf(' nginx: ')).toBe('nginx');
  expect(repositoryOf('localhost:5000/web')).toBe('localhost:5000/web');
  expect(repositoryOf('localhost:5000/team/web:v1.')).toBe('localhost:5000/team/web');
  expect(repositoryOf('[::1]:5000/web:v1')).toBe('[::1]:5000/web');
  expect(repositoryOf('registry.example.com/web@sha256:abc')).toBe('registry.example.com/web');
  for (const text of ['', 'registry.example.com', 'registry.example.com/', 'localhost:5000', 'Web', 'a b', '<b>']) {
    expect(repositoryOf(text), text).toBe(undefined);
  }
});
