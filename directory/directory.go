// Package directory holds what binds a key to a person: the identity in an MLS
// credential, the Merkle root of a conversation's members, and the statements
// by which an account lists its devices, with their proofs.
//
// # Identity and roster
//
// An account is a person, a device is one MLS client of theirs. Both are names
// (1 to 64 bytes of a-z, 0-9 and . _ @ -, the first a letter or digit). The
// identity of a basic credential (RFC 9420 section 5.3) is
//
//	struct { opaque account<V>; opaque device<V>; } Identity;
//
// A roster is the set of member accounts of a conversation in one epoch. Its
// root is H("writ/v1 roster", uint64 size, head), head being the RFC 6962 tree
// head over the sorted distinct account names, a leaf the name's bytes. A
// capsule's label carries the root; a proof shows that an account was a member
// and nothing about the others, except how many there were.
//
//	root := directory.RosterRoot([]string{"ann", "bob"})
//	proof, err := directory.ProveRoster([]string{"ann", "bob"}, "bob")
//	err = directory.VerifyRoster(root, "bob", proof)
//
// # Devices
//
// A [Statement] says which devices an account has: versions 1, 2, ..., each
// signed by a device of the version before or by the recovery key, which the
// person keeps off all devices. A [Chain] is an account's statements, verified
// one against the other. A name or key that was dropped never comes back.
//
// The directory's log shows of a statement a [Leaf]: a label, which is a VRF
// output and says whose it is to nobody but the directory and those to whom it
// proved it, and a salted commitment. Now and then the log has a [Root] of the
// prefix [Tree] that maps each label to how many leaves it has.
//
// A [Lookup] answers for one account: its statements opened, the entries since
// the last root in full, the tree's proof for those before. [Verify] checks it
// under a checkpoint that the caller's witness policy accepted, and gives a
// [Verified], which a credential check asks [Verified.Has]. What a reader saw
// it keeps as a [Pin]; two answers that can't both be true, [Compare] finds. A
// device watches its own account with [Watch]. People compare [SafetyNumber].
//
//	c, err := policy.Checkpoint(signed, now, maxAge) // room ledger
//	at := directory.Facts{Size: c.Size(), Root: c.Tree().Hash, Time: c.Time(), MaxAge: maxAge, Known: pin}
//	v, err := directory.Verify(answer, "ann", labelKey, at, now)
//	if err != nil || !v.Has(id, leaf.SignatureKey) { refuse }
//
// # Guarantees
//
// Who verifies a look-up has all statements of the account that the log has,
// and no others, provided the tree's root is right. A [Book] replays the log and
// finds a root that is not. Only holders of the account's keys can make a
// statement that verifies; a directory can refuse an answer or spoil it, which
// the account's devices see.
//
// # What it does not do
//
// It checks no cosignature and no consistency of checkpoints: ledger and the
// caller do. It stores nothing: the directory service keeps statements and
// salts. It does not hide how often some account changes its devices. A first
// statement binds keys to a name, not to a person: safety numbers do.
package directory

import (
	"errors"
	"fmt"

	"writ/internal/wire"
)

// The kinds of error of this package, beside [wire.ErrMalformed] for what
// can't be parsed.
var (
	ErrInvalid     = errors.New("invalid")     // parses, but breaks a rule
	ErrUnsupported = errors.New("unsupported") // a version or type of another time
	ErrRefused     = errors.New("refused")     // right in itself, but not what the reader may rely on
)

func malformed(format string, args ...any) error { return fail(wire.ErrMalformed, format, args) }
func invalid(format string, args ...any) error   { return fail(ErrInvalid, format, args) }
func refused(format string, args ...any) error   { return fail(ErrRefused, format, args) }
func unsupported(format string, args ...any) error {
	return fail(ErrUnsupported, format, args)
}

func fail(kind error, format string, args []any) error {
	return fmt.Errorf("directory: %w: "+format, append([]any{kind}, args...)...)
}

// Identity names a device and the account it speaks for.
type Identity struct {
	Account string // a name
	Device  string // a name, distinct among the account's devices
}

// Encode returns the identity as it stands in a basic credential.
func (id Identity) Encode() []byte {
	var w wire.Writer
	w.String(id.Account)
	w.String(id.Device)
	return w.Bytes()
}

// String returns "account/device".
func (id Identity) String() string { return id.Account + "/" + id.Device }

// ParseIdentity parses the identity of a basic credential. Its error wraps
// [wire.ErrMalformed].
func ParseIdentity(b []byte) (Identity, error) {
	r := wire.NewReader(b)
	id := Identity{Account: r.Name(), Device: r.Name()}
	if err := r.Done(); err != nil {
		return Identity{}, fmt.Errorf("directory: identity: %w", err)
	}
	return id, nil
}
