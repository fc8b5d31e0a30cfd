export type { Exchange, ExchangeOptions } from './channel.js';
export { DEFAULT_DEADLINES, type Deadlines } from './deadlines.js';
export { cancelled, connectFailure, throwIfAborted } from './network-failure.js';
export { bothPaces, Pace, type Pacing } from './pace.js';
export type { Reply } from './reply-receiver.js';
export { hopsTo, type OnionPolicy, type ProxyRoute, type Route, type SocksMode } from './route.js';
export type { SessionPoolOptions } from './server-sessions.js';
export { type OpenOptions, openSession, type OpenStep, Session } from './session.js';
export {
  DEFAULT_IDLE_MS,
  DEFAULT_SESSIONS_PER_SERVER,
  SessionPool,
  type SessionUse,
} from './session-pool.js';
export { parseSocksProxy, proxyAnswers, type SocksCredentials, type SocksProxy } from './socks-proxy.js';
