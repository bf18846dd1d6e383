// Package unseal is the vault: it releases one custodian's shares and combines
// the shares of several. Only custodians and the examiner import it.
//
// # Terms
//
// A [Request] is what the examiner sends a custodian: the warrant, its entry, which
// carries the approvals, the request entry, the proofs of both, and the compartments
// asked for. An [Authorization] is a request that passed every
// check of [Authorize] by one custodian, on its own clock ([Facts].Now) and its
// own copy of the ledger ([Facts].View). An intent is the release entry that
// the custodian logs before it hands anything over. A [Release] is its shares
// of all compartments of the request, sealed to the warrant's reader key and
// signed. A [Refusal] has a [Reason] and is signed and logged too. A hold is the
// answer to a warrant that preserves: the intent is a preservation, and in place of a
// release the custodian keeps its shares, as [KeptShare]s.
//
// # Steps
//
//	req, err := unseal.ParseRequest(b)
//	a, refusal := unseal.Authorize(req, facts)
//	entry := a.SignIntent(signing)            // log it, await its proof
//	in, err := policy.Include(entry, proof, now, freshness)
//	rel, err := unseal.NewRelease(a, in, keys, signing, now)
//
// or, where a.Preserves:
//
//	kept, err := unseal.Keep(a, in, keys, now) // sealed by the caller, until a.Until
//
// After either a.Erase(). At the examiner's, with releases of enough custodians of each
// office:
//
//	shares, err := unseal.OpenRelease(rel, readerKey, custodianPublicKey)
//	combiner, err := unseal.NewCombiner(access)
//	s, d, bad, err := combiner.Combine(sealed, shares) // of one compartment
//
// # Guarantees
//
// There is no release without an Authorization, which only Authorize makes, and
// without the [ledger.Included] of exactly its intent, which only a witness
// policy makes. All compartments of a request are released or none; nothing is
// narrowed. A share opens only under the label of its capsule: a capsule moved
// to another sender, conversation, epoch, charter or period gives no share. The
// first check that fails ends Authorize; what is missing or unknown counts as
// failing.
//
// A warrant is under the charter in force. What was sealed under a version before
// it opens too, by the custodians and the structure it was sealed to and within
// the limits of both versions.
//
// A warrant that preserves releases nothing, and one that discloses keeps nothing:
// NewRelease and Keep each refuse the other's intent. A hold outlives the horizon of a key
// period by shares of what it names, not by the key: its neighbours are gone with that.
// What a hold keeps is released to a later warrant that discloses, after every check
// ([Facts].Kept); no hold is made of another. It ends when the law's longest hold has passed
// since the begin of its warrant's life, or when that is stopped.
//
// A [Keyring] holds one custodian's keys; nothing here takes two. The combiner
// sees shares, never keys, and of one compartment at a time. It names each
// custodian whose share does not match its commitment, goes on with the others,
// and re-seals what it finds: [ErrForged] proves that the sender's capsule was
// not what the law asks for.
//
// # What it does not do
//
// It writes and reads no log, store or clock. It can't tell whether a capsule
// belongs to messages of its label; receivers and the bundle check that. It
// does not erase private keys that package crypto/hpke has parsed: Go offers no
// way. What a hold keeps it hands to the caller, who seals, ends and destroys it.
package unseal

import (
	"errors"
	"fmt"

	"writ/capsule"
)

// Errors wrapped by this package's errors, beside wire.ErrMalformed.
var (
	ErrInvalid     = capsule.ErrInvalid
	ErrUnsupported = errors.New("unsupported")
	ErrRefused     = errors.New("refused")

	ErrTooFew = capsule.ErrTooFew // the good shares don't satisfy the access structure
	ErrForged = capsule.ErrForged // the sender's capsule is provably not the one its secret demands
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("unseal: %w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func refused(format string, args ...any) error {
	return fmt.Errorf("unseal: %w: %s", ErrRefused, fmt.Sprintf(format, args...))
}
