// The address of a page is the part after `#`, so that the server has one file for all of them.

class Router {
  private hash = $state(location.hash);

  constructor() {
    addEventListener('hashchange', () => {
      this.hash = location.hash;
      scrollTo(0, 0);
    });
  }

  /** The parts of the path, such as `['containers', 'anna', 'web']`. */
  get path(): string[] {
    const path = this.hash.replace(/^#\/?/, '').split('?')[0] ?? '';
    return path.split('/').filter(Boolean).map(decode);
  }

  /** What follows `?`. */
  get query(): URLSearchParams {
    return new URLSearchParams(this.hash.split('?')[1] ?? '');
  }
}

export const router = new Router();

/** The address of a page: `link('containers', 'anna', 'web')`. */
export function link(...path: string[]): string {
  return '#/' + path.map(encodeURIComponent).join('/');
}

/** As `link`, with a query. */
export function linkWith(path: string[], query: Record<string, string>): string {
  return `${link(...path)}?${new URLSearchParams(query)}`;
}

export function go(address: string): void {
  location.hash = address;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
