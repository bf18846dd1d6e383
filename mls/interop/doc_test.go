// Package interop tests mls against ts-mls, an independent implementation of RFC 9420
// in TypeScript, live: each creates groups that the other joins, and both add, update,
// remove, talk and join from outside in them.
//
// It needs Node 20 and the packages of package.json; without them the tests are
// skipped. One command brings them:
//
//	npm ci --prefix mls/interop
//
// What ts-mls 1.6.4 does otherwise than the RFC and the drafts, and peer.mjs puts right:
//
//  1. The extension external_pub holds the bare key, not opaque<V> (RFC 9420 12.4.3.2).
//  2. Signature keys on the NIST curves are compressed points (RFC 9420 5.1.1).
//  3. X-Wing derives key pairs as its own draft did, not by draft-ietf-hpke-pq.
//
// And what it can't: where the root is not on the committer's filtered direct path,
// because nobody else is left below its other child, ts-mls derives the commit secret
// one step too far (RFC 9420 7.4). The stories here avoid such trees. Its suites with
// post-quantum KEMs have code points of its own, which AssignCodePoint takes over.
package interop
