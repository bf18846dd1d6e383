// Package keyproof proves offline that a key was an account's device at a time:
// what the account stated on the directory's log, and when it stood there.
//
// # Terms
//
// A [Proof] is a signed checkpoint of the directory's log, the look-up of one
// account under it, and dates: of a statement, the last checkpoint known that does
// not cover its leaf and the first that does. A [Log] is the directory that a law
// names. [Log.Verify] gives an [Account], and [Account.Key] what it says of one
// key; [Key.At] is whether that was the account's when an epoch was opened.
//
//	struct { uint64 version; opaque before<V>, after<V>; } Date;
//	struct {
//	    uint16 format = 1;
//	    opaque account<V>, checkpoint<V>, lookup<V>;
//	    Date dates<V>;                            by version, at most 64
//	} Proof;
//
// # Guarantees
//
// The look-up holds all statements of the account that the log has (DIR-20 to
// DIR-28), so a proof can not leave a revocation out. A key comes from a statement
// signed by the account's own devices or its recovery key: neither the directory
// nor delivery can put one there. The dates are those of witnesses' clocks: a
// person can't date a revocation back, nor a thief an addition. No bit of a proof
// that verifies can be another.
//
// # What it does not do
//
// Who runs the log with as many witnesses as the policy asks for can hide
// statements, and date as they like. It can't know whose hand held the device, nor
// what person an account is. It needs no server; whoever asks the directory
// tells it a name.
//
// # Example
//
//	log, err := keyproof.NewLog(law.Directory)
//	account, err := log.Verify(proof, now, 10*time.Minute)
//	key, err := account.Key("phone", leaf.SignatureKey)
//	err = key.At(opened)
package keyproof

import (
	"errors"
	"fmt"
	"slices"

	"writ/directory"
	"writ/internal/wire"
	"writ/ledger"
)

// Bounds of a proof.
const (
	MaxDates = 64
	MaxProof = directory.MaxLookup + (2*MaxDates+1)*(ledger.MaxCheckpoint+16) + 4096 // bytes
)

const format = 1

// ErrInvalid is wrapped for a proof that parses and does not hold. What can't be
// parsed wraps [wire.ErrMalformed].
var ErrInvalid = errors.New("invalid")

// ErrNotProven is wrapped where a proof holds and shows no such key, or not for
// that time.
var ErrNotProven = errors.New("not proven")

func invalid(format string, args ...any) error {
	return fmt.Errorf("keyproof: %w: "+format, append([]any{ErrInvalid}, args...)...)
}

// Proof is not verified: see [Log.Verify].
type Proof struct {
	Account    string
	Checkpoint []byte // signed, in the form of ledger.Checkpoint.Signed
	Lookup     []byte // directory.Lookup
	Dates      []Date // by version, each once
}

// Date says when the statement of a version came onto the log. Both are signed
// checkpoints, either may be empty.
type Date struct {
	Version uint64
	Before  []byte // does not cover its leaf
	After   []byte // covers it
}

// Encode returns the proof's bytes.
func (p *Proof) Encode() []byte {
	var w wire.Writer
	w.Uint16(format)
	w.String(p.Account)
	w.Opaque(p.Checkpoint)
	w.Opaque(p.Lookup)
	w.Vector(func(w *wire.Writer) {
		for _, d := range p.Dates {
			w.Uint64(d.Version)
			w.Opaque(d.Before)
			w.Opaque(d.After)
		}
	})
	return w.Bytes()
}

// Parse parses a proof. Its error wraps [wire.ErrMalformed].
func Parse(b []byte) (*Proof, error) {
	r := wire.NewReader(b)
	if f := r.Uint16(); f != format {
		r.Fail("format %d", f)
	}
	p := &Proof{Account: r.Name(), Checkpoint: r.Opaque(ledger.MaxCheckpoint), Lookup: r.Opaque(directory.MaxLookup)}
	dates := r.Vector(MaxProof)
	for dates.More() {
		if len(p.Dates) == MaxDates {
			dates.Fail("more than %d dates", MaxDates)
		}
		p.Dates = append(p.Dates, Date{dates.Uint64(), dates.Opaque(ledger.MaxCheckpoint), dates.Opaque(ledger.MaxCheckpoint)})
	}
	r.Check(dates.Done())
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("keyproof: %w", err)
	}
	return p, nil
}

// Keep drops the dates of all versions but these, and of those beyond [MaxDates].
func (p *Proof) Keep(versions []uint64) {
	p.Dates = slices.DeleteFunc(slices.Clone(p.Dates), func(d Date) bool { return !slices.Contains(versions, d.Version) })
	p.Dates = p.Dates[:min(len(p.Dates), MaxDates)]
}
