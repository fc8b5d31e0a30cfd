/** One host and port of a relay. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** `host:port` for messages. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
}
