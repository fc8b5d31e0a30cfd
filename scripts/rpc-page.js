// The RPC's contract for people, made from the OpenRPC document.

const INTRODUCTION = `# The RPC of xftp-agent

This page is made from the sources with \`npm run schema\`, as is its form for programs, \`api-schema/openrpc.json\` (OpenRPC).

The agent speaks [JSON-RPC 2.0](https://www.jsonrpc.org/specification) over WebSocket, on loopback and, if it was told so, on a Unix socket. Every message is a text frame. Parameters are given by name; members that are not known are an error. Batches are done in their order. Times are milliseconds since 1970, sizes are bytes.

## Connecting

The file \`rpc.json\` in the agent's data folder says where it listens: \`url\`, \`socket\` (the path of a Unix socket, if there is one), \`pid\`, \`process\` and \`version\`. A killed agent leaves it behind: see [integrating](integrating.md) for how to find out before the token is shown to whoever took its port. The file \`token\` beside it has the token of the user.

Every connection shows a token, as \`Authorization: Bearer TOKEN\` or, from a browser, as the subprotocol \`bearer.TOKEN\`. Without a right one the answer is 401. \`Host\` must be 127.0.0.1, localhost or [::1], and \`Origin\` absent or one that the agent was told to allow, else the answer is 403. A token has one of three scopes: \`read\`, \`submit\` (also starts and steers transfers) and \`admin\` (everything). A token with folders sends only files in them and saves only into them, wherever links lead; it sees and steers only its own transfers.

\`GET /healthz\` says \`{"status":"ok"}\` to everybody on this machine; \`GET /metrics\` has figures in Prometheus' format for who shows a token.

From JavaScript, \`xftp-agent/sdk\` does all this:

\`\`\`js
import { connectAgent } from 'xftp-agent/sdk';

const client = await connectAgent();
const { id } = await client.transfers.send({ path: '/home/me/photo.jpg' });
for await (const event of client.events({ since: 0, transferId: id })) {
  if (event.type === 'transfer.completed') break;
  if (event.type === 'transfer.failed') throw new Error(event.data.failure.message);
  if (event.type === 'transfer.state' && event.data.to === 'cancelled') throw new Error('It was cancelled.');
}
const { recipients } = await client.transfers.descriptions({ id });
console.log(recipients[0].link);
await client.close();
\`\`\`
`;

/** Types that have a section of their own. */
const ELSEWHERE = ['FailureCode', 'DurableEvent', 'ProgressEvent'];

/** The page, as Markdown. */
export function rpcPage(contract, limits) {
  return [
    INTRODUCTION,
    limitsSection(limits),
    methodsSection(contract),
    eventsSection(contract),
    errorsSection(contract),
    typesSection(contract),
  ].join('\n');
}

function limitsSection(limits) {
  const rows = [
    ['bytes of a message', limits.messageBytes, 'the connection is closed with 1009'],
    ['calls in a batch', limits.batchSize, 'error -32600'],
    ['connections', limits.connections, 'status 503'],
    ['calls of a connection that are not answered', limits.callsInFlight, 'error `LIMIT_EXCEEDED`'],
    ['subscriptions of a connection', limits.subscriptions, 'error `LIMIT_EXCEEDED`'],
    ['bytes of events that wait for a client', limits.eventBytes, 'the connection is closed with 1013'],
    ['seconds between pings', limits.heartbeat / 1000, 'without an answer the connection is cut'],
  ];
  return `## Limits\n\n${table(['most', '', 'beyond'], rows)}`;
}

function methodsSection({ methods }) {
  const overview = methods.map(({ name, summary, 'x-scope': scope }) => [
    `[\`${name}\`](#${anchor(name)})`,
    scope,
    summary,
  ]);
  return `## Methods\n\n${table(['method', 'scope', ''], overview)}\n${methods.map(methodSection).join('\n')}`;
}

function methodSection(method) {
  const { name, summary, description, params, result, errors, 'x-scope': scope } = method;
  const rows = params.map((param) => [
    `\`${param.name}\``,
    typeText(param.schema),
    param.required ? 'yes' : '',
    meaning({ ...param.schema, description: param.description }),
  ]);
  const codes = errors.map(({ $ref }) => `\`${$ref.split('/').at(-1)}\``);
  return [
    `### ${name}\n`,
    `${summary}. ${description}\n`,
    `Scope: \`${scope}\`.\n`,
    rows.length === 0 ? 'No parameters.\n' : table(['parameter', 'type', 'needed', ''], rows),
    resultText(result.schema),
    codes.length === 0 ? '' : `Failures to expect: ${codes.join(', ')}.\n`,
  ].join('\n');
}

function resultText(schema) {
  const members = Object.keys(schema.properties ?? {});
  if (schema.$ref !== undefined) return `Result: ${typeText(schema)}.\n`;
  if (members.length === 0)
    return schema.additionalProperties === undefined ? 'Result: an empty object.\n' : 'Result: an object.\n';
  return `Result:\n\n${membersTable(schema)}`;
}

function eventsSection({ 'x-events': { types }, components }) {
  const dataOf = Object.fromEntries(
    [...components.schemas.DurableEvent.oneOf, components.schemas.ProgressEvent].map(({ properties }) => [
      properties.type.const ?? properties.type.enum?.[0],
      properties.data,
    ]),
  );
  const rows = Object.entries(types).map(([type, text]) => {
    const members = Object.entries(dataOf[type]?.properties ?? {}).map(
      ([name, schema]) => `\`${name}\`: ${typeText(schema)}`,
    );
    return [`\`${type}\``, members.join(', '), text];
  });
  return `## Events

After \`events.subscribe\` the agent sends notifications with the method \`event\`. Their parameters are \`subscription\`, \`type\`, \`at\`, \`transferId\` (for events of a transfer), \`data\` and, for durable events, \`seq\`. Durable events are written together with the change that they tell of; \`seq\` grows by exactly one from event to event. A client that keeps the last \`seq\` that it saw and subscribes with \`since\` misses none and sees none twice. When \`lagged\` is true, some are not kept any more, and the client looks at everything anew.

Whoever asks for few of the events (\`types\`, \`transferId\`) may come back with a number that is long past. With \`positions\` the agent tells now and then how far it is, while events happen that were not asked for: a notification with the method \`position\`, whose parameters are \`subscription\` and \`seq\`. All that was asked for up to this number has come; keep it like the \`seq\` of an event.

${table(['type', 'data', ''], rows)}`;
}

function errorsSection({ components, 'x-json-rpc-errors': standard }) {
  const rows = Object.values(components.errors)
    .sort((a, b) => a.code - b.code)
    .map(({ code, data }) => [String(code), `\`${data.code}\``, data.kind]);
  return `## Errors

An error has a number as \`code\`, a sentence for a person as \`message\`, and \`data\` with the stable name as \`code\`, its \`kind\`, whether it is \`temporary\`, and perhaps \`hint\` (what to do) and \`wire\` (the relay's own text). The numbers are the exit codes of the command line; the negative ones are those of JSON-RPC. Any method may answer with -32602, which has \`data\` too, with the code \`INVALID_ARGUMENT\`.

${table(['number', 'code', 'kind'], rows)}
${table(
  ['number', 'meaning'],
  standard.map(({ code, message }) => [String(code), message]),
)}`;
}

function typesSection({ components: { schemas } }) {
  const sections = Object.entries(schemas)
    .filter(([name]) => !ELSEWHERE.includes(name))
    .map(([name, schema]) => {
      const body =
        schema.enum === undefined
          ? membersTable(schema)
          : `${schema.enum.map((value) => `\`${value}\``).join(', ')}\n`;
      return `### Type ${name}\n\n${schema.description}\n\n${body}`;
    });
  return `## Types\n\n${sections.join('\n')}`;
}

function membersTable({ properties, required = [] }) {
  const rows = Object.entries(properties).map(([name, schema]) => [
    `\`${name}\``,
    typeText(schema),
    required.includes(name) ? 'always' : '',
    meaning(schema),
  ]);
  return table(['member', 'type', 'there', ''], rows);
}

/** What a member means, and the range of its values. */
function meaning(schema) {
  const { description = '', minimum, maximum, default: value } = schema;
  const range =
    minimum !== undefined && maximum !== undefined ? `${String(minimum)} to ${String(maximum)}.` : '';
  const length = schema.maxLength === undefined ? '' : `At most ${String(schema.maxLength)} characters.`;
  const items = schema.maxItems === undefined ? '' : `At most ${String(schema.maxItems)}.`;
  const preset = value === undefined ? '' : `${String(value)} unless given.`;
  return [description, range, length, items, preset].filter((text) => text !== '').join(' ');
}

function typeText(schema) {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split('/').at(-1);
    return name === 'DurableEvent'
      ? '[event](#events)'
      : name === 'FailureCode'
        ? '[code](#errors)'
        : `[${name}](#${anchor(`type ${name}`)})`;
  }
  if (schema.allOf?.length === 1) return typeText(schema.allOf[0]);
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(' or ');
  if (schema.const !== undefined) return `\`"${schema.const}"\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.type === 'array') return `list of ${typeText(schema.items)}`;
  if (schema.type === 'object' && schema.properties !== undefined)
    return `{ ${Object.entries(schema.properties)
      .map(([name, member]) => `${name}: ${typeText(member)}`)
      .join(', ')} }`;
  return [schema.type ?? 'anything'].flat().join(' or ');
}

/** As GitHub makes it. */
function anchor(heading) {
  return heading
    .toLowerCase()
    .replace(/[^\w -]/g, '')
    .replace(/ /g, '-');
}

function table(head, rows) {
  const line = (cells) => `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}
