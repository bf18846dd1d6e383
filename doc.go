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
//	mls              -
//	directory        internal/wire
//	charter          internal/wire
//	capsule          internal/wire charter
//	notice           internal/wire capsule
//	warrant          internal/wire charter
//	ledger           internal/wire charter
//	unseal           internal/wire capsule charter directory ledger notice warrant
//	bundle           internal/wire capsule charter directory ledger mls notice unseal warrant
//	api              -
//	engine           -
//	cmd/writ         *
package writ
