// Package mls implements Messaging Layer Security, RFC 9420: groups whose members
// share a fresh secret in every epoch, with forward secrecy and healing after
// compromise. It imports the standard library and golang.org/x/crypto only, does no
// input or output, and takes the time from its caller.
//
// # Terms
//
// A group has a member in each leaf of a binary tree; a LeafIndex names one. A leaf
// (LeafNode) holds the member's keys, its Credential, and extensions; all members
// agree on all leaves. The group lives in epochs; a GroupContext describes one, and
// every signature made in it covers that context. A commit ends an epoch and begins
// the next: it adds, removes and renews, and always renews its author's keys. A
// Welcome lets those it adds in. Proposals ask for what some later commit does. A Client
// is who somebody is before being a member; a key package is what it publishes so that
// others can add it. Every message is an
// MLSMessage of RFC 9420 6 and is passed as bytes.
//
// # A conversation
//
// Client.NewGroup begins a group alone. Commit makes a PendingCommit: its Message goes to the
// delivery service, which takes one commit for each epoch. When it takes this one,
// Apply moves the author on and the Welcome goes to those added, who Client.Join. The other
// members Stage the message, which verifies it and changes nothing, look at what it
// does, and Apply it. Who loses the race stages and applies the winner's
// commit, which drops the own one, and commits again. Protect and Unprotect carry
// application messages; they may be lost, late or out of order within the bounds of
// Config. Each key is used once: after that Unprotect says ErrConsumed.
//
// # State
//
// A group's state is a set of records. State lists all of them; every operation that
// changes something returns its delta, the records to put or delete. Apply it to storage
// as one and durably before the ciphertext leaves or the plaintext is shown: a sender
// that forgets it would use a key twice, a receiver would keep keys it should not have.
// A message's delta is one or two records, plus one for each message that is still
// missing; a sender's first message in an epoch adds the logarithm of the group's
// size. A commit's delta is the nodes and keys that changed. LoadGroup restores the
// group, with its pending commit. Consumed secrets are overwritten in memory and gone
// from the records; that the disk forgets them is up to the storage. Of HPKE keys the
// standard library keeps a parsed form, which only the garbage collector can remove.
//
// # Errors
//
// Every error wraps ErrMalformed (the bytes don't parse), ErrInvalid (they parse, and
// break a rule of RFC 9420), ErrUnsupported (not implemented), ErrRefused (the Config
// or the state of things doesn't allow it) or ErrConsumed; only a failing random source
// or signer of this machine gives others. An error leaves the group as it was.
//
// # Guarantees
//
// Nothing is used that isn't verified. Each check of RFC 9420 stands in the code with
// the number of its section. Credentials are the application's to judge: Authenticate
// is asked about every leaf that enters a tree, and without one nothing works. Commits
// and proposals from outside the group are refused unless Config asks for them. Parsers
// allocate no more than the input's size warrants, and what they accept encodes to the
// same bytes again.
//
// # For others than members
//
// A PublicGroup follows the public handshake without secrets, for a delivery service.
// It proves single leaves to those who know a tree hash (ProveLeaf, VerifyLeafProof).
// Inspect shows the outside of a message. A SenderOpener reads one sender's messages of
// one epoch from the two secrets that SenderSecrets gives, which open nothing else.
//
// # From outside
//
// Client.JoinExternal lets its caller into a group, given a member's GroupInfo;
// ProposeExternal and ProposeJoin ask members for something. Members follow only if their
// Config says so: ExternalCommits, ExternalProposals.
//
// # Groups that come after
//
// A commit with ReInit ends a group; Reinit begins the next, in another suite perhaps,
// with the same people. Branch begins another group of some of them. Those invited come
// by JoinSuccessor, which checks that the group is what was agreed on.
//
// # Suites
//
// CipherSuites lists them: those of RFC 9420 without Curve448, X-Wing, and TBD1 to TBD8
// of draft-ietf-mls-pq-ciphersuites. What no registry has numbered yet has a private-use
// number; AssignCodePoint adds a peer's, which is all the global state there is.
//
// # Time and memory
//
// Message operations cost the same in any group. A commit costs one HPKE seal for each
// node of its path in a group whose members have committed, and up to one for each member
// where none has. Signatures, path keys and seals are spread over the cores. Epochs share
// the tree but for what changed. doc/mls-benchmarks.md has figures, rules.md all rules
// with the tests that break them, interop the live tests against ts-mls; interop/grpc
// serves this package to the MLS working group's test runner.
//
// # What it does not do
//
// It doesn't judge credentials, X.509 chains among them: those go to Authenticate as
// they are. It does no SelfRemove, no application components, nothing else of the MLS
// extensions. The suites of Curve448 and of ML-DSA are missing: the standard library has
// neither. The default suite is of a private-use code point. Signatures are not safe
// against quantum computers in any suite.
package mls
