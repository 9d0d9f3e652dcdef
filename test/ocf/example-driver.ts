/** The driver of docs/ocf.md, "Write a driver"; the test compares the two. */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { JsDriver } from '../../src/ocf/index.ts';

// <example>
export const example: JsDriver<Uint8Array> = {
  name: 'node:crypto',
  kind: 'software',
  offers: ['aes-128-gcm'],
  open: (session) => session.key,
  close: (key) => void key.fill(0),
  process(ops) {
    for (const op of ops) {
      if (op.kind === 'seal') {
        const cipher = createCipheriv('aes-128-gcm', op.session, op.iv).setAAD(op.aad);
        op.done(Buffer.concat([cipher.update(op.plaintext), cipher.final(), cipher.getAuthTag()]));
      } else if (op.kind === 'open') {
        const decipher = createDecipheriv('aes-128-gcm', op.session, op.iv).setAAD(op.aad);
        decipher.setAuthTag(op.sealed.subarray(-16));
        try {
          op.done(Buffer.concat([decipher.update(op.sealed.subarray(0, -16)), decipher.final()]));
        } catch {
          op.badTag();
        }
      } else {
        op.elsewhere();
      }
    }
  },
};
// </example>
