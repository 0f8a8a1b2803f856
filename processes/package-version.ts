/** Which Longhaul this is. */
import { readFileSync } from 'node:fs';

/** From the package's manifest, which lies one folder higher for the build. */
export function packageVersion(): string {
  const manifest = new URL(import.meta.url.endsWith('.ts') ? '../package.json' : '../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
