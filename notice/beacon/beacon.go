// Package beacon is a clock that nobody can hold back: at each round its
// operators sign the round's number together, and what was encrypted to that
// number opens.
//
// # Terms
//
// A [Beacon] is a public key with a genesis time and a period, both in seconds.
// Round 1 comes at genesis, each further round one period later. The signature
// of a round is a BLS signature over the round's number by the beacon's private
// key, which exists nowhere: each of n operators holds a [Share] of it, and any
// t of them sign a round, each with a [Partial] signature. A [Group] is the
// public side of that: who the operators are and what their shares must match.
// A [Ceremony] makes a group without a dealer, or hands the key of one group on
// to another set of operators; its documents stand on a [Board].
//
// A timelock ([Lock]) is 32 bytes encrypted to a round: the round's signature is
// the decryption key. The 32 bytes are the salt of a request's notice.
//
// # Format
//
// Signatures are those of drand's scheme bls-unchained-g1-rfc9380, which its
// chain quicknet uses: BLS12-381, signatures in G1 (48 bytes), keys in G2 (96
// bytes), in ZCash's compressed encoding; the message of round i is
//
//	SHA-256(uint64 i), hashed to G1 by RFC 9380 with the suite
//	BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_
//
// A timelock is U[96] || V[32] || W[32], a ciphertext of drand's tlock (the
// identity-based encryption of Boneh and Franklin with the Fujisaki-Okamoto
// transform), whose coins derive from the salt; see timelock.go. Documents of
// the ceremony are in the encoding of internal/wire; see messages.go.
//
// # Guarantees
//
// Who has a salt recomputes its timelock byte for byte ([Check]). A timelock
// opens with the signature of its round by its beacon and with nothing else,
// and a changed one doesn't open. Fewer than t operators can't sign a round; any
// t can, and all sets of t make the same signature. Every point that is decoded
// is on its curve, in its subgroup of prime order, not the identity, and in its
// one encoding. In a ceremony each fault that a signed document proves is laid
// to its signer; t-1 conspirators don't learn the key, and n-t operators that
// fail or lie don't stop it.
//
// # What it does not do
//
// It doesn't hinder t operators that conspire from signing a round early. They
// could then tell a person early; they could not keep anyone uninformed, nor
// open a message. n-t+1 operators that stop for good stop the beacon.
//
// The key of a first ceremony is not perfectly uniform: an operator who posts
// last can choose among a few keys, by leaving or staying (Gennaro, Jarecki,
// Krawczyk and Rabin). Signatures and timelocks stay as strong, since a bit of
// choice is worth a bit of strength.
//
// It is not post-quantum. A quantum computer opens a timelock early: that is
// early notice. The operators' shares travel under X-Wing.
//
// Arithmetic is that of gnark-crypto, whose multiplication of points is not in
// constant time. Every secret scalar is therefore split at random into two
// before points are multiplied by it, so that time doesn't depend on
// the secret at first order. Secrets are overwritten when they leave scope, where
// Go lets us; the garbage collector may have copied some.
//
// # Example
//
//	round := b.RoundFrom(due)                  // the first round at or after due
//	t := beacon.Lock(b.Key, round, salt)       // by the docket
//	err := beacon.Check(t, b.Key, round, salt) // by each custodian
//	sig, err := b.Key.Verify(round, signature) // by anyone, when it has come
//	salt, err := beacon.Unlock(t, sig)
package beacon

import (
	"errors"
	"fmt"
	"math"

	"writ/internal/wire"
)

// Errors wrapped by this package's errors, beside [wire.ErrMalformed].
var (
	ErrInvalid     = errors.New("invalid")
	ErrUnsupported = errors.New("unsupported")
	ErrRefused     = errors.New("refused")
)

// Format is the only format of this package's documents.
const Format = 1

// Size is the size of an encoded [Beacon]: uint16 format = 1 || key[96] ||
// uint64 genesis || uint64 period.
const Size = 2 + PublicKeySize + 8 + 8

// Bounds of a clock, so that no time overflows.
const (
	MaxGenesis = 1 << 40       // seconds since the Unix epoch
	MaxPeriod  = 31 * 86400    // seconds
	maxTime    = math.MaxInt64 // seconds since the Unix epoch
)

// Beacon is what a charter names: a public key and a clock.
type Beacon struct {
	Key     *PublicKey
	Genesis uint64 // Unix time of round 1, seconds
	Period  uint64 // seconds from round to round
}

// Encode returns the [Size] bytes.
func (b *Beacon) Encode() []byte {
	var w wire.Writer
	w.Uint16(Format)
	w.Fixed(b.Key.Bytes())
	w.Uint64(b.Genesis)
	w.Uint64(b.Period)
	return w.Bytes()
}

// Parse reads an encoded beacon.
func Parse(b []byte) (*Beacon, error) {
	r := wire.NewReader(b)
	format, key := r.Uint16(), r.Fixed(PublicKeySize)
	x := &Beacon{Genesis: r.Uint64(), Period: r.Uint64()}
	if err := r.Done(); err != nil {
		return nil, wrap("beacon", err)
	}
	if format != Format {
		return nil, unsupported("format %d", format)
	}
	if err := checkClock(x.Genesis, x.Period); err != nil {
		return nil, err
	}
	var err error
	if x.Key, err = ParsePublicKey(key); err != nil {
		return nil, err
	}
	return x, nil
}

func checkClock(genesis, period uint64) error {
	if genesis > MaxGenesis || period == 0 || period > MaxPeriod {
		return invalid("clock with genesis %d and period %d", genesis, period)
	}
	return nil
}

// Round returns the last round that has come at a Unix time, or 0 before
// genesis.
func (b *Beacon) Round(now uint64) uint64 {
	if now < b.Genesis {
		return 0
	}
	return (now-b.Genesis)/b.Period + 1
}

// RoundFrom returns the first round that comes at or after a Unix time.
func (b *Beacon) RoundFrom(t uint64) uint64 {
	if t <= b.Genesis {
		return 1
	}
	return (t-b.Genesis-1)/b.Period + 2
}

// Time returns the Unix time in seconds at which a round comes. There is no round
// 0, nor one after the time 2^63-1.
func (b *Beacon) Time(round uint64) (uint64, error) {
	if round == 0 || round-1 > (maxTime-b.Genesis)/b.Period {
		return 0, invalid("round %d", round)
	}
	return b.Genesis + (round-1)*b.Period, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("beacon: %w: "+format, append([]any{wire.ErrMalformed}, args...)...)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("beacon: %w: "+format, append([]any{ErrInvalid}, args...)...)
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("beacon: %w: "+format, append([]any{ErrUnsupported}, args...)...)
}

func refused(format string, args ...any) error {
	return fmt.Errorf("beacon: %w: "+format, append([]any{ErrRefused}, args...)...)
}

func wrap(what string, err error) error { return fmt.Errorf("beacon: %s: %w", what, err) }
