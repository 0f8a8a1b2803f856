/** Determines which machines can reach the address on which the backend listens. */
import { LonghaulError } from '../contract/errors.ts';
import type { ListenAddress } from './settings.ts';

/** Whether only this machine can reach the host. Every name other than localhost may be an address of the network. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
}

/** Returns the address as `HOST:PORT`, with brackets around an IPv6 address. */
export function hostAndPort({ host, port }: Pick<ListenAddress, 'host' | 'port'>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Refuses an address that other machines can reach if there is no token yet: the user must create the token first.
 * Fails with `invalid_input`.
 */
export function refuseWithoutToken(listen: ListenAddress, token: string | undefined, tokenFile: string): void {
  if (token !== undefined || isLoopback(listen.host)) return;
  throw new LonghaulError(
    'invalid_input',
    `LONGHAUL_LISTEN is ${hostAndPort(listen)}, which other machines may reach, and there is no token in ${tokenFile}: put one there (\`openssl rand -hex 32\`), name another file in LONGHAUL_TOKEN_FILE, or listen on 127.0.0.1.`,
  );
}
