export { startTestAgent, type TestAgent, type TestAgentOptions } from './test-agent.js';
export { startTestRelay, type TestRelay, type TestRelayOptions } from './test-relay.js';
