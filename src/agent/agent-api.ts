import type {
  AgentEvent,
  AgentInfo,
  DescriptionsResult,
  Direction,
  DurableEvent,
  InspectResult,
  NetworkInfo,
  Page,
  ReceiveParams,
  SendParams,
  ServerInfo,
  ServerRole,
  ServerStats,
  ServerTestResult,
  Settings,
  TokenInfo,
  TokenScope,
  TransferInfo,
  TransferState,
} from './model.js';

/** What may be stopped before it has ended. */
export interface Stoppable {
  readonly signal?: AbortSignal;
}

/** Who calls: a token. */
export interface Caller {
  readonly tokenId: number;
  /** The token's folders: its transfers use no others, whatever links lead to at any later time; all if absent. */
  readonly folders?: readonly string[];
}

/**
 * All that the agent does for its clients. Every method throws XftpError (synchronously or as a rejection) with a code
 * and a sentence; paths are absolute, and who may use them was checked before.
 */
export interface AgentApi {
  info(): AgentInfo;
  /** Asks the program around the agent to stop it, and returns at once. */
  shutdown(): void;
  /** What a front end knows better. Absent members stay; `online: null` leaves it to the agent again. */
  setNetwork(network: { readonly online?: boolean | null; readonly metered?: boolean }): NetworkInfo;

  send(params: SendParams, caller: Caller): Promise<TransferInfo>;
  receive(params: ReceiveParams, caller: Caller): Promise<TransferInfo>;
  inspect(source: { readonly description?: string; readonly link?: string }): InspectResult;
  get(id: string): TransferInfo;
  /** Newest first. `limit` is 1 to 1000. */
  list(query: {
    readonly direction?: Direction;
    readonly state?: TransferState;
    /** Only those that this token asked for. */
    readonly tokenId?: number;
    readonly limit: number;
    readonly cursor?: string;
  }): Page<TransferInfo>;
  /** The token that asked for a transfer, perhaps one that was removed; undefined if that is not known. */
  ownerOf(id: string): number | undefined;
  pause(id: string): TransferInfo;
  resume(id: string): TransferInfo;
  cancel(id: string): TransferInfo;
  /** Starts a failed or cancelled transfer anew, with what it has done already, and a new deadline. */
  retry(id: string): TransferInfo;
  /** Lets a receive in `awaiting_approval` go on. */
  approve(id: string): TransferInfo;
  /** Forgets a finished transfer; `cancel` ends one that is under way first. The received file stays. */
  remove(id: string, options?: { readonly cancel?: boolean }): void;
  setPriority(id: string, priority: number): TransferInfo;
  /** Holds the bytes of a transfer to a rate of its own, besides that of all; null for none. Works at once. */
  setLimit(id: string, bytesPerSecond: number | null): TransferInfo;
  /** Of a completed send. */
  descriptions(id: string): Promise<DescriptionsResult>;
  /** Hands out spare recipients, and asks the relays for more if there are not enough. */
  addRecipients(id: string, count: number): Promise<DescriptionsResult>;
  /** Deletes a sent file on all its relays, in the background. */
  revoke(target: { readonly id?: string; readonly senderDescription?: string }): {
    readonly deletions: number;
  };

  listServers(): readonly ServerInfo[];
  addServer(server: {
    readonly address: string;
    readonly operator?: string;
    readonly enabled?: boolean;
    /** Both unless given. */
    readonly roles?: readonly ServerRole[];
    /** From -10 to 10; 0 unless given. */
    readonly priority?: number;
  }): ServerInfo;
  updateServer(
    id: number,
    change: {
      readonly enabled?: boolean;
      readonly operator?: string | null;
      readonly password?: string | null;
      readonly roles?: readonly ServerRole[];
      readonly priority?: number;
    },
  ): ServerInfo;
  removeServer(id: number): void;
  testServer(address: string, options?: Stoppable): Promise<ServerTestResult>;

  getSettings(): Settings;
  setSettings(change: Partial<Settings>): Settings;
  stats(): readonly ServerStats[];

  /** Durable events after `since`, oldest first. `lagged` when some of those asked for may be kept no longer. */
  listEvents(query: {
    readonly since?: number;
    readonly types?: readonly string[];
    readonly transferId?: string;
    /** Of transfers only those that this token asked for. */
    readonly tokenId?: number;
    readonly limit: number;
  }): {
    readonly events: readonly DurableEvent[];
    readonly lagged: boolean;
    readonly oldest: number;
    readonly newest: number;
  };
  /** Called for each event after it is committed, in order; durable ones in the order of `seq`. Returns how to stop. */
  onEvent(listener: (event: AgentEvent) => void): () => void;

  listTokens(): readonly TokenInfo[];
  /** The secret is told only here. */
  createToken(token: {
    readonly name: string;
    readonly scope: TokenScope;
    readonly folders?: readonly string[];
  }): TokenInfo & { readonly token: string };
  /** When it throws, the token is not revoked. */
  revokeToken(id: number): void;
  /** The token with this secret, compared in constant time; undefined for none. */
  authenticate(token: string): TokenInfo | undefined;
}
