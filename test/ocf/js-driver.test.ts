/** Drivers written in TypeScript: good ones, and each kind of bad one. */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  generateKeyPairSync,
  sign,
  verify,
} from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { type DriverFault, type DriverId, type DriverOp, type JsDriver, ocf } from '../../src/ocf/index.ts';
import { example } from './example-driver.ts';

const attached: DriverId[] = [];
async function attach<S>(driver: JsDriver<S>): Promise<DriverId> {
  const id = await ocf.attach(driver);
  attached.push(id);
  return id;
}
afterEach(async () => {
  const there = new Set(ocf.drivers().map(({ id }) => id));
  for (const id of attached.splice(0)) if (there.has(id)) await ocf.detach(id, { deadlineMs: 0 });
});
const coded = (code: string) => expect.objectContaining({ code: `ERR_SOCRYPT_OCF_${code}` });
const infoOf = (id: DriverId) => ocf.drivers().find((driver) => driver.id === id);
const key = new Uint8Array(16).fill(3);
const iv = new Uint8Array(12);
const expected = await (async () => {
  const session = ocf.open({ aead: 'aes-128-gcm', key });
  const sealed = await session.seal({ iv, plaintext: new Uint8Array(50) });
  session.close();
  return sealed;
})();

/** The example, misbehaving as `ops` are given to it once `armed`. */
function bad(
  process: (ops: readonly DriverOp<Uint8Array>[], well: () => void) => void | Promise<void>,
  more = {},
) {
  const state = { armed: false, calls: 0, faults: [] as DriverFault[] };
  const driver: JsDriver<Uint8Array> = {
    ...example,
    name: 'bad',
    // Preferred to everybody else, whatever they cost.
    cost: { batchNs: 0, opNs: 0.001, byteNs: 0 },
    answerWithinMs: 200,
    ...more,
    process(ops) {
      state.calls++;
      return state.armed ? process(ops, () => void example.process(ops)) : example.process(ops);
    },
    fault: (fault) => void state.faults.push(fault),
  };
  return { driver, state };
}

describe('a driver', () => {
  it('gives known answers before it gets any work, and is measured', async () => {
    const id = await attach(example);
    const info = infoOf(id)!;
    expect(info).toMatchObject({
      name: 'node:crypto',
      kind: 'software',
      state: 'running',
      synchronous: false,
    });
    expect(info.offers).toMatchObject([{ algorithm: 'aes-128-gcm', mac: null, withdrawn: false }]);
    expect(info.offers[0]!.cost.opNs).toBeGreaterThan(0);
  });

  it('does ops of a session that asks for it alone, a burst per call', async () => {
    const { driver, state } = bad((_, well) => well());
    const id = await attach(driver);
    state.calls = 0;
    const session = ocf.open({ aead: 'aes-128-gcm', key, driver: id });
    const all = await Promise.all(
      Array.from({ length: 50 }, () => session.seal({ iv, plaintext: new Uint8Array(50) })),
    );
    for (const sealed of all) expect(sealed).toEqual(expected);
    expect(state.calls).toBe(1);
    await expect(session.open({ iv, sealed: new Uint8Array(40) })).rejects.toEqual(coded('BAD_TAG'));
    expect(await session.open({ iv, sealed: expected })).toEqual(new Uint8Array(50));
    session.close();
    expect(infoOf(id)).toMatchObject({ ops: 52, failed: 0, wrong: 0, inFlight: 0 });
  });

  it('may answer later, in any order; an ordered session tells in order', async () => {
    const { driver, state } = bad(async (ops) => {
      for (const op of [...ops].reverse()) {
        await new Promise((resolve) => setImmediate(resolve));
        void example.process([op]);
      }
    });
    const id = await attach(driver);
    state.armed = true;
    const session = ocf.open({ aead: 'aes-128-gcm', key, driver: id, ordered: true });
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        await session.seal({ iv, plaintext: new Uint8Array(i) });
        order.push(i);
      }),
    );
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    session.close();
  });

  it('may have keys', async () => {
    const keys: JsDriver<Uint8Array> = {
      name: 'keys',
      kind: 'accelerator',
      offers: ['ed25519'],
      open: (session) => session.key,
      process(ops) {
        for (const op of ops) {
          if (op.kind === 'sign') {
            const own = createPrivateKey({ key: Buffer.from(op.session), format: 'der', type: 'pkcs8' });
            op.done(sign(null, op.inputs[0]!, own));
          } else if (op.kind === 'verify') {
            const spki = { key: Buffer.from(op.session), format: 'der', type: 'spki' } as const;
            if (verify(null, op.inputs[0]!, spki, op.inputs[1]!)) op.done();
            else op.badTag();
          } else op.elsewhere();
        }
      },
    };
    const id = await attach(keys);
    const pair = generateKeyPairSync('ed25519');
    const session = ocf.open({
      sign: 'ed25519',
      privateKey: pair.privateKey.export({ format: 'der', type: 'pkcs8' }),
      driver: id,
    });
    const message = Buffer.from('text');
    expect(verify(null, message, pair.publicKey, await session.sign(0x0807, message))).toBe(true);
    session.close();
    expect(infoOf(id)!.ops).toBe(1);
  });

  it('may have MACs and chains of its own, and checks them', async () => {
    const hmac = (of: Uint8Array, ...data: Uint8Array[]) =>
      data.reduce((mac, part) => mac.update(part), createHmac('sha256', of)).digest();
    const driver: JsDriver<{ key: Uint8Array; macKey: Uint8Array }> = {
      name: 'chains',
      kind: 'hardware',
      offers: ['hmac-sha256', ['aes-128-cbc', 'hmac-sha256']],
      open: (session) =>
        session.mac === undefined ? { key: session.key, macKey: session.key } : { ...session },
      process(ops) {
        for (const op of ops) {
          const { key: own, macKey } = op.session;
          if (op.kind === 'mac') op.done(hmac(macKey, op.aad, op.data));
          else if (op.kind === 'check-mac') {
            if (hmac(macKey, op.aad, op.data).equals(op.tag)) op.done();
            else op.badTag();
          } else if (op.kind === 'seal') {
            const cipher = createCipheriv('aes-128-cbc', own, op.iv).setAutoPadding(false);
            const text = Buffer.concat([cipher.update(op.plaintext), cipher.final()]);
            op.done(Buffer.concat([text, hmac(macKey, op.aad, text)]));
          } else if (op.kind === 'open') {
            const text = op.sealed.subarray(0, -32);
            const decipher = createDecipheriv('aes-128-cbc', own, op.iv).setAutoPadding(false);
            if (hmac(macKey, op.aad, text).equals(op.sealed.subarray(-32)))
              op.done(Buffer.concat([decipher.update(text), decipher.final()]));
            else op.badTag();
          } else op.elsewhere();
        }
      },
    };
    const id = await attach(driver);
    expect(infoOf(id)!.offers.map(({ algorithm, mac }) => [algorithm, mac])).toEqual([
      ['hmac-sha256', null],
      ['aes-128-cbc', 'hmac-sha256'],
    ]);
    const session = ocf.open({
      cipher: 'aes-128-cbc',
      key,
      mac: 'hmac-sha256',
      macKey: key,
      place: 'hardware',
    });
    const plaintext = new Uint8Array(64).fill(9);
    const sealed = await session.seal({ iv: new Uint8Array(16), plaintext });
    const cipher = createCipheriv('aes-128-cbc', key, new Uint8Array(16)).setAutoPadding(false);
    const text = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    expect(Buffer.compare(sealed, Buffer.concat([text, hmac(key, text)]))).toBe(0);
    sealed[70]! ^= 1;
    await expect(session.open({ iv: new Uint8Array(16), sealed })).rejects.toEqual(coded('BAD_TAG'));
    session.close();
  });

  it('whose algorithm is withdrawn or that is detached has its sessions move, unnoticed', async () => {
    const { driver, state } = bad(() => {});
    const id = await attach(driver);
    const session = ocf.open({ aead: 'aes-128-gcm', key });
    expect(await session.seal({ iv, plaintext: new Uint8Array(50) })).toEqual(expected);
    expect(state.calls).toBeGreaterThan(0);
    ocf.withdraw(id, 'aes-128-gcm');
    expect(infoOf(id)!.offers[0]!.withdrawn).toBe(true);
    expect(await session.seal({ iv, plaintext: new Uint8Array(50) })).toEqual(expected);
    const second = bad(() => {});
    const other = await attach(second.driver);
    second.state.armed = true;
    const under = session.seal({ iv, plaintext: new Uint8Array(50) });
    await new Promise((resolve) => setImmediate(resolve));
    await ocf.detach(other, { deadlineMs: 0 });
    expect(infoOf(other)).toBeUndefined();
    expect(await under).toEqual(expected);
    session.close();
  });
});

describe('is refused when', () => {
  const refused = (driver: JsDriver<Uint8Array>) => {
    const before = ocf.drivers().length;
    return expect(ocf.attach(driver))
      .rejects.toEqual(coded('WRONG_ANSWER'))
      .then(() => expect(ocf.drivers().length).toBe(before));
  };
  it('it answers wrongly', async () => {
    const { driver, state } = bad((ops) => {
      for (const op of ops) if (op.kind === 'seal') op.done(new Uint8Array(op.plaintext.length + 16));
    });
    state.armed = true;
    await refused(driver);
  });
  it('it answers wrongly to long inputs alone', async () => {
    const { driver, state } = bad((ops, well) => {
      const [op] = ops;
      if (op?.kind === 'seal' && op.plaintext.length > 8192)
        op.done(new Uint8Array(op.plaintext.length + 16));
      else well();
    });
    state.armed = true;
    await refused(driver);
    // It is not asked for more than it says that it takes.
    expect(infoOf(await attach({ ...driver, maxLength: 8192 }))).toMatchObject({ maxLength: 8192 });
  });
  it('it takes every tag for the right one', async () => {
    const { driver, state } = bad((ops, well) => {
      const [op] = ops;
      if (op?.kind === 'open') op.done(new Uint8Array(op.sealed.length - 16));
      else well();
    });
    state.armed = true;
    await refused(driver);
  });
  it('it does not answer, throws, or would open no session', async () => {
    const silent = bad(() => {});
    silent.state.armed = true;
    await refused(silent.driver);
    const throws = bad(() => Promise.reject(new Error('no')));
    throws.state.armed = true;
    await refused(throws.driver);
    await refused({
      ...example,
      open() {
        throw new Error('no');
      },
    });
  });
  it('it offers nothing, or what nobody could test', async () => {
    await expect(ocf.attach({ ...example, offers: [] })).rejects.toEqual(coded('DRIVER'));
    await expect(ocf.attach({ ...example, offers: [['aes-128-ctr', 'hmac-sha512']] })).rejects.toEqual(
      coded('UNTESTED'),
    );
    await expect(ocf.attach('nonesuch')).rejects.toEqual(coded('DRIVER'));
  });
});

describe('its ops are done elsewhere when', () => {
  const seals = async (count = 10) => {
    const session = ocf.open({ aead: 'aes-128-gcm', key });
    const all = await Promise.all(
      Array.from({ length: count }, () => session.seal({ iv, plaintext: new Uint8Array(50) })),
    );
    session.close();
    for (const sealed of all) expect(sealed).toEqual(expected);
  };
  it('it throws, or rejects', async () => {
    for (const how of [
      () => {
        throw new Error('broken');
      },
      () => Promise.reject(new Error('broken')),
    ]) {
      const { driver, state } = bad(how);
      const id = await attach(driver);
      state.armed = true;
      await seals();
      expect(state.faults).toContainEqual({
        type: 'threw',
        error: expect.objectContaining({ message: 'broken' }),
      });
      await ocf.detach(id);
    }
  });
  it('it throws half-way: what it had answered stands', async () => {
    const { driver, state } = bad((ops) => {
      void example.process(ops.slice(0, 3));
      throw new Error('broken');
    });
    const id = await attach(driver);
    state.armed = true;
    await seals();
    expect(infoOf(id)).toMatchObject({ ops: 10, failed: 7 });
  });
  it('it never answers, and it is told when it does after all', async () => {
    const late: DriverOp<Uint8Array>[] = [];
    const { driver, state } = bad((ops) => void late.push(...ops));
    await attach(driver);
    state.armed = true;
    await seals();
    expect(state.faults).toContainEqual({ type: 'silent', ops: 10 });
    for (const op of late) if (op.kind === 'seal') expect(op.done(new Uint8Array(66))).toBe(false);
    expect(state.faults.filter(({ type }) => type === 'late')).toHaveLength(10);
  });
  it('it answers with too much or too little', async () => {
    const { driver, state } = bad((ops) => {
      for (const op of ops) if (op.kind === 'seal') op.done(new Uint8Array(65));
    });
    await attach(driver);
    state.armed = true;
    await seals();
    expect(state.faults).toContainEqual({ type: 'wrong-length' });
  });
  it('it says so', async () => {
    const { driver, state } = bad((ops) => {
      for (const op of ops) op.elsewhere();
    });
    await attach(driver);
    state.armed = true;
    await seals();
  });
  it('it will not open the session', async () => {
    let refuse = false;
    const { driver, state } = bad((_, well) => well(), {
      open(session: { key: Uint8Array }) {
        if (refuse) throw new Error('no slot');
        return session.key;
      },
    });
    await attach(driver);
    refuse = true;
    await seals();
    expect(state.faults).toContainEqual({ type: 'threw', error: expect.anything() });
  });
});

it('an op that is answered twice is answered once', async () => {
  const { driver, state } = bad((ops, well) => {
    well();
    for (const op of ops) if (op.kind === 'seal') expect(op.done(new Uint8Array(66))).toBe(false);
  });
  const id = await attach(driver);
  state.armed = true;
  const session = ocf.open({ aead: 'aes-128-gcm', key, driver: id });
  expect(await session.seal({ iv, plaintext: new Uint8Array(50) })).toEqual(expected);
  session.close();
  expect(state.faults).toEqual([{ type: 'late' }]);
});

it('a driver that fails again and again is detached', async () => {
  const { driver, state } = bad(() => {
    throw new Error('broken');
  });
  const id = await attach(driver);
  state.armed = true;
  const session = ocf.open({ aead: 'aes-128-gcm', key });
  for (let i = 0; i < 8; i++)
    expect(await session.seal({ iv, plaintext: new Uint8Array(50) })).toEqual(expected);
  session.close();
  expect(infoOf(id)).toBeUndefined();
  expect(state.faults.at(-1)).toEqual({ type: 'detached' });
  expect(state.faults.filter(({ type }) => type === 'threw')).toHaveLength(4);
});
