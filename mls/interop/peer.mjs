// ts-mls as a peer that a Go test talks to: one JSON object a line on standard input, one
// answer a line on standard output. Bytes are hexadecimal. A member is known by its name.
import { createInterface } from "node:readline";
import { XWing } from "@hpke/hybridkem-x-wing";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { shake256 } from "@noble/hashes/sha3.js";
import {
  acceptAll, createApplicationMessage, createCommit, createGroup, createGroupInfoWithExternalPubAndRatchetTree,
  createProposal, decodeMlsMessage, emptyPskIndex, encodeMlsMessage, generateKeyPackage, getCiphersuiteFromName,
  getCiphersuiteImpl, joinGroup, joinGroupExternal, makePskIndex, processMessage,
} from "ts-mls";

const members = new Map(); // name -> { impl, suite, pair, state }
const hex = (b) => Buffer.from(b).toString("hex");
const bytes = (h) => new Uint8Array(Buffer.from(h, "hex"));
const encode = (m) => hex(encodeMlsMessage({ version: "mls10", ...m }));
const decode = (h) => {
  const out = decodeMlsMessage(bytes(h), 0);
  if (out === undefined) throw new Error("ts-mls can't parse the message");
  return out[0];
};

// What ts-mls 1.6.4 does otherwise than RFC 9420 or a draft, put right where it can be
// from outside. The numbers are those of doc_test.go.

// 1: the data of the extension external_pub is the bare key, where RFC 9420 12.4.3.2 has
// it as opaque<V>. Two suites, for the two calls that touch the extension. The second is
// asked for the keys of the tree as well, and those are bare: only the very bytes of the
// extension are read as opaque<V>, and nothing but opaque<V> is read from them.
function writesExternalPub(impl) {
  const prefix = (n) => (n < 64 ? [n] : [0x40 | (n >> 8), n & 0xff]);
  return { ...impl, hpke: { ...impl.hpke, exportPublicKey: async (k) => {
    const key = await impl.hpke.exportPublicKey(k);
    return new Uint8Array([...prefix(key.length), ...key]);
  } } };
}
function readsExternalPub(impl, groupInfo) {
  const extension = groupInfo.extensions.find((e) => e.extensionType === "external_pub").extensionData;
  return { ...impl, hpke: { ...impl.hpke, importPublicKey: (data) =>
    impl.hpke.importPublicKey(data === extension ? opaque(data) : data) } };
}
function opaque(data) {
  const [n, length] = data[0] < 64 ? [1, data[0]] : [2, ((data[0] & 0x3f) << 8) | data[1]];
  if (data[0] >= 128 || data.length !== n + length || (n === 2 && length < 64)) throw new Error("external_pub is not opaque<V>");
  return data.slice(n);
}

// 2: signature keys on the NIST curves are compressed points, where RFC 9420 5.1.1 has
// uncompressed ones.
const curves = { P256: p256, P384: p384, P521: p521 };
function uncompressed(impl) {
  const curve = curves[/_(P256|P384|P521)$/.exec(impl.name)?.[1]];
  if (curve === undefined) return impl;
  return { ...impl, signature: { ...impl.signature, keygen: async () => {
    const signKey = curve.utils.randomSecretKey();
    return { signKey, publicKey: curve.getPublicKey(signKey, false) };
  } } };
}

// 3: X-Wing derives its key pairs as draft-connolly-cfrg-xwing-kem did, where
// draft-ietf-hpke-pq has LabeledDerive with SHAKE256.
function derivesByLabel(impl) {
  if (!impl.name.includes("XWING")) return impl;
  return { ...impl, hpke: { ...impl.hpke, deriveKeyPair: async (ikm) => {
    const label = "DeriveKeyPair";
    const seed = shake256(new Uint8Array([...ikm, ...Buffer.from("HPKE-v1"), ...Buffer.from("KEM"), 0x64, 0x7a,
      0, label.length, ...Buffer.from(label), 0, 32]), { dkLen: 32 });
    return new XWing().generateKeyPairDerand(seed);
  } } };
}

const suiteNamed = async (name) => derivesByLabel(uncompressed(await getCiphersuiteImpl(getCiphersuiteFromName(name))));

const ops = {
  async keyPackage({ name, suite, ciphersuites }) {
    const impl = await suiteNamed(suite);
    const now = BigInt(Math.floor(Date.now() / 1000));
    const pair = await generateKeyPackage(
      { credentialType: "basic", identity: new TextEncoder().encode(name) },
      { versions: ["mls10"], ciphersuites: ciphersuites ?? [suite], extensions: [], proposals: [], credentials: ["basic"] },
      { notBefore: now - 3600n, notAfter: now + 86400n }, [], impl);
    members.set(name, { impl, suite, pair });
    return { message: encode({ wireformat: "mls_key_package", keyPackage: pair.publicPackage }) };
  },
  async create({ name, group }) {
    const m = members.get(name);
    m.state = await createGroup(bytes(group), m.pair.publicPackage, m.pair.privatePackage, [], m.impl);
    return {};
  },
  async join({ name, message }) {
    const m = members.get(name);
    m.state = await joinGroup(decode(message).welcome, m.pair.publicPackage, m.pair.privatePackage, emptyPskIndex, m.impl);
    return {};
  },
  async commit({ name, add = [], remove = [], publicly }) {
    const m = members.get(name);
    const extraProposals = [
      ...remove.map((removed) => ({ proposalType: "remove", remove: { removed } })),
      ...add.map((kp) => ({ proposalType: "add", add: { keyPackage: decode(kp).keyPackage } })),
    ];
    const out = await createCommit({ state: m.state, cipherSuite: m.impl, pskIndex: makePskIndex(m.state, {}) },
      { extraProposals, wireAsPublicMessage: publicly, ratchetTreeExtension: true });
    m.state = out.newState;
    return { message: encode(out.commit), welcome: out.welcome && encode({ wireformat: "mls_welcome", welcome: out.welcome }) };
  },
  async proposeAdd({ name, add, publicly }) {
    const m = members.get(name);
    const out = await createProposal(m.state, publicly, { proposalType: "add", add: { keyPackage: decode(add).keyPackage } }, m.impl);
    m.state = out.newState;
    return { message: encode(out.message) };
  },
  async process({ name, message }) {
    const m = members.get(name);
    const out = await processMessage(decode(message), m.state, makePskIndex(m.state, {}), acceptAll, m.impl);
    m.state = out.newState;
    return { kind: out.kind, text: out.message && new TextDecoder().decode(out.message), removed: m.state.groupActiveState.kind === "removedFromGroup" };
  },
  async send({ name, text }) {
    const m = members.get(name);
    const out = await createApplicationMessage(m.state, new TextEncoder().encode(text), m.impl);
    m.state = out.newState;
    return { message: encode({ wireformat: "mls_private_message", privateMessage: out.privateMessage }) };
  },
  async groupInfo({ name }) {
    const m = members.get(name);
    const info = await createGroupInfoWithExternalPubAndRatchetTree(m.state, [], writesExternalPub(m.impl));
    return { message: encode({ wireformat: "mls_group_info", groupInfo: info }) };
  },
  async joinExternal({ name, message }) {
    const m = members.get(name);
    const { groupInfo } = decode(message);
    const out = await joinGroupExternal(groupInfo, m.pair.publicPackage, m.pair.privatePackage, false, readsExternalPub(m.impl, groupInfo));
    m.state = out.newState;
    return { message: encode({ wireformat: "mls_public_message", publicMessage: out.publicMessage }) };
  },
  async authenticator({ name }) {
    const s = members.get(name).state;
    return { message: hex(s.keySchedule.epochAuthenticator), epoch: Number(s.groupContext.epoch) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const { op, ...args } = JSON.parse(line);
    const start = performance.now();
    answer = await ops[op](args);
    answer.micros = (performance.now() - start) * 1000;
  } catch (e) {
    answer = { error: `${e.name}: ${e.message}` };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
