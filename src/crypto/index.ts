export * from './authenticator.js';
export * from './authorization.js';
export * from './constant-time.js';
export {
  type CertificateWithKey,
  createIdentityCertificate,
  createOnlineCertificate,
  MAX_COMMON_NAME_LENGTH,
} from './create-certificate.js';
export * from './digest.js';
export * from './keys.js';
export * from './pem.js';
export * from './poly1305.js';
export * from './random.js';
export * from './read-certificate.js';
export * from './secretbox-stream.js';
export * from './secretbox.js';
export * from './session-key.js';
export * from './verify-certificate.js';
