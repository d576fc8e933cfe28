// Whether this page is still the one that the server has: after an update, an old page could misread it.

/** Between two looks, in milliseconds. */
const EVERY = 60_000;

class Fresh {
  /** The server has another page. */
  outdated = $state(false);
  private tag: string | null | undefined;

  constructor() {
    void this.look();
    setInterval(() => void this.look(), EVERY);
    document.addEventListener('visibilitychange', () => void this.look());
  }

  private async look(): Promise<void> {
    if (document.hidden || this.outdated) return;
    try {
      const response = await fetch('./', { method: 'HEAD', cache: 'no-store' });
      if (!response.ok) return;
      const tag = response.headers.get('etag');
      this.tag ??= tag;
      this.outdated = this.tag !== tag;
    } catch {
      // The streams say that the server is away.
    }
  }
}

export const fresh = new Fresh();
