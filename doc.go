// Writ is a messenger whose conversations are end-to-end encrypted with
// accountable exceptional access.
//
// # Words
//
// A conversation is an MLS group (RFC 9420). Its members are devices, each of
// an account. What one device says in one conversation during one epoch is a
// compartment: everything in it hangs on one secret, the application ratchet
// secret of that device's leaf. When a device first speaks in an epoch it
// deposits a capsule: that secret, shared out to custodians as a charter, the
// public law of a deployment, demands. Every other member computes the same
// capsule and compares it byte for byte.
//
// A warrant names a subject, a scope and a window. Approvers in the charter's
// offices sign it; the docket publishes a commitment to it on the ledger, a
// transparency log that a notary writes and witnesses cosign. Each custodian
// then checks warrant, log, limits and capsules for itself, logs its intent,
// and releases one share for each compartment named. The examiner combines the
// shares, opens those compartments and no others, and writes a bundle: evidence
// that anyone can verify offline.
//
// # The map
//
// Arrows only go down: a room imports rooms below it. map_test.go reads this
// table and holds the imports to it.
//
//	room             may import
//	internal/wire    -
//	internal/keyfile -
//	mls              -
//	directory        internal/wire
//	notice/beacon    internal/wire
//	charter          internal/wire notice/beacon
//	capsule          internal/wire charter
//	warrant          internal/wire charter
//	ledger           internal/wire charter notice/beacon warrant
//	directory/keyproof internal/wire charter directory ledger
//	notice           internal/wire capsule charter ledger notice/beacon warrant
//	audit            internal/wire charter directory ledger warrant
//	unseal           internal/wire capsule charter directory ledger notice warrant
//	bundle           internal/wire capsule charter directory directory/keyproof ledger mls notice warrant
//	etsi             internal/wire bundle ledger warrant
//	api              -
//	engine           -
//	follower         ledger notice/beacon
//	replica          charter engine follower ledger
//	scribe           ledger
//	notary           charter ledger scribe
//	registry         api directory engine internal/wire ledger scribe
//	witness          -
//	operator         internal/keyfile internal/wire charter ledger notice/beacon replica
//	delivery         internal/wire api capsule charter directory engine ledger mls warrant
//	docket           internal/wire api charter engine ledger replica warrant
//	custodian        internal/keyfile internal/wire api capsule charter engine ledger replica unseal warrant
//	client           internal/wire api capsule charter directory ledger mls notice notice/beacon warrant
//	examine          internal/wire api capsule charter directory/keyproof ledger mls notice replica unseal warrant
//	setup            charter custodian directory examine notice/beacon operator warrant witness
//	reading          api bundle ledger replica warrant
//	cmd/writ         *
//	spec/model       -
//
// What each room is for:
//
//   - mls is RFC 9420 and knows nothing of Writ. mls/interop tests it against another
//     library; mls/interop/grpc, a module of its own so that gRPC stays out of this one,
//     serves it to the MLS working group's test runner.
//   - directory, charter, capsule, warrant, ledger and notice are documents and
//     their rules, notice/beacon the clockwork of notices, directory/keyproof the
//     proof that a key was an account's. They are pure: bytes, keys and a time in,
//     values out.
//   - unseal is the vault, where shares are released and combined. It has two
//     doors, custodian and examine; a test says so.
//   - bundle is evidence, verified offline. etsi is orders, notifications and
//     deliveries in the words of ETSI TS 103 120.
//   - audit makes the public report of a log.
//   - engine is the only room that knows the database. follower reads a ledger
//     and trusts nobody; replica keeps a copy of it.
//   - scribe writes a log and looks at no entry: the notary decides what enters the
//     ledger, the registry what enters the directory.
//   - notary, registry, witness, operator, delivery, docket and custodian are services, which
//     different institutions run. They never import one another. operator runs the
//     beacon, in the process of a witness.
//   - client is a person's device, examine the requesting authority's tool.
//   - reading is how one person reads a sealed bundle, and is recorded.
//   - setup is what lies in the directories of those who run all this.
//   - spec/model searches every state of the release protocol.
//   - test/adversary plays the attackers of doc/threat-model.md, test/mutate takes
//     out what stands in their way.
//   - internal/testlaw, internal/testenv and charter/chartertest hold several
//     custodians' keys at once, which nothing but tests may do.
package writ
