// Package directory holds what binds a key to a person: now the identity in an
// MLS credential and the Merkle root of a conversation's members.
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
// What it does not do yet: device statements, their log and its lookups. Until
// those exist nothing here says whether a device belongs to its account.
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
