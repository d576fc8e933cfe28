// The repository in what somebody enters as an image. Pure.

/** Letters that a repository may have, with a registry before it or without. */
const REPOSITORY = /^(?:[A-Za-z0-9.-]+(?::\d+)?\/|\[[0-9a-fA-F:]+\](?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/;

/** The repository of what somebody enters as an image: `localhost:5000/web` of `localhost:5000/web:v`. None of a
 * registry alone, which is the beginning of one. */
export function repositoryOf(text: string): string | undefined {
  const [name = ''] = text.trim().split('@');
  const repository = name.replace(/:[^:/]*$/, '');
  const begun = !repository.includes('/') && (repository.includes('.') || repository === 'localhost');
  return !begun && REPOSITORY.test(repository) ? repository : undefined;
}
