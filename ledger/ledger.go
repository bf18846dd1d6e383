// Package ledger reads the public log: entries, checkpoints, proofs and the
// policy that says which witnesses must have seen a checkpoint. It verifies and
// stores nothing; it opens no file and no connection and asks no clock.
//
// # Terms
//
// An entry is a document on the log: a charter, a custodian's key, a warrant's
// public fields with its approvals, a request, a release, a refusal, a key destruction. A
// checkpoint is the log's signed size and root hash (c2sp.org/tlog-checkpoint).
// A witness cosigns a checkpoint after it checked that the log only grew; its
// cosignature carries the time (c2sp.org/tlog-cosignature). A [Policy] names
// one log and which witnesses must have cosigned. A proof (c2sp.org/tlog-proof)
// shows that an entry stands at an index under a checkpoint.
//
// # Format
//
// An entry is struct { uint16 version = 1; uint8 type; opaque body<V> } in the
// encoding of internal/wire, at most [MaxEntry] bytes. Its body is the
// type's content followed by a 64-byte Ed25519 signature over
// wire.SignContent("entry NAME", content), except for charters and custodian
// keys, which carry signatures of their own. [EntryHash] is the RFC 6962 leaf
// hash of the whole entry.
//
// # Guarantees
//
// [Policy.Checkpoint] accepts a checkpoint only with the signature of the
// policy's log and a quorum of cosignatures of distinct keys, each one young
// enough. [Policy.Include] accepts an entry only with a proof under such a
// checkpoint, and accepts exactly one form of that proof's bytes. [Book]
// replays the log in order and lets an entry count only if it is the first of its
// kind, stands within the law it names, and is signed with a key of that law, a warrant
// by those who must approve it too; what does not count becomes a [Finding], never a
// silent loss.
//
// # What it does not do
//
// It doesn't know when an entry was written: no entry carries a time. It
// doesn't see whom a warrant is about, nor its grounds: they are not on the log. One policy
// speaks of one log.
//
// # Example
//
//	policy, err := ledger.ParsePolicy(charter.Policy)
//	in, err := policy.Include(entry, proof, now, 10*time.Minute)
//	if w := in.Entry().Warrant; w != nil { ... }
package ledger

import (
	"errors"
	"fmt"
	"strings"

	"writ/internal/wire"
)

// The kinds of error of this package, beside [wire.ErrMalformed] for what
// can't be parsed.
var (
	ErrInvalid     = errors.New("invalid")     // parses, but breaks a rule
	ErrUnsupported = errors.New("unsupported") // a version, type or flag of another time
	ErrRefused     = errors.New("refused")     // right in itself, but not proven as the policy wants
)

// ErrNoQuorum means that too few of a policy's witnesses cosigned. It is an [ErrRefused].
var ErrNoQuorum = fmt.Errorf("%w: no quorum", ErrRefused)

func malformed(format string, args ...any) error { return fail(wire.ErrMalformed, format, args) }
func invalid(format string, args ...any) error   { return fail(ErrInvalid, format, args) }
func unsupported(format string, args ...any) error {
	return fail(ErrUnsupported, format, args)
}
func refused(format string, args ...any) error { return fail(ErrRefused, format, args) }

func fail(kind error, format string, args []any) error {
	return fmt.Errorf("ledger: %w: "+format, append([]any{kind}, args...)...)
}

// brokenRule is an error that names the rule of spec/ it is about, where that is
// not the one of the entry's type.
type brokenRule struct {
	error
	rule string
}

func (e *brokenRule) Unwrap() error { return e.error }

func breaks(rule string, err error) error { return &brokenRule{err, rule} }

// ruleOf returns the number of the rule that an entry of a type breaks.
func ruleOf(t Type, err error) string {
	if b := (&brokenRule{}); errors.As(err, &b) {
		return b.rule
	}
	if known, ok := types[t]; ok {
		return known.rule
	}
	return "LED-50"
}

// plain is an error's text for people on one line, without the name of this package.
func plain(err error) string {
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "ledger: "), "\n", "; ")
}
