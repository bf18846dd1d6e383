// Package bundle is one file of evidence: what was said in the compartments of
// one opening, with all that is needed to verify it offline.
//
// # Terms
//
// [Contents] is what a bundle is made of: charters, warrant, the public
// entries with their proofs (the approvals stand in the warrant's), and the opened compartments with the
// ciphertexts as delivery has them. [Build] makes a bundle and verifies it.
// [Verify] takes a bundle and a witness policy and returns a [Report], or an
// error that names the check that failed and where.
//
// # Format
//
//	"writ bundle v1\n"
//	struct {
//	    Proven charters<V>;                       from version 1 to the warrant's
//	    Proven keys<V>;                           custodians' keys outside charters
//	    opaque warrant<V>, warrant_salt[32];
//	    Proven warrant_entry, request_entry;
//	    opaque notice_salt[32];
//	    Proven releases<V>;                       custodians' logged intents
//	    Proven readings<V>;                       logged readings that are known
//	    opaque accounts<V> of opaque proof<V>;    keyproof.Proof, by account
//	    Compartment compartments<V>;              1 to 1024
//	} Contents;
//	opaque checksum[32];                          SHA-256 of all before
//
//	struct { opaque entry<V>, proof<V>; } Proven; package ledger
//	struct {
//	    opaque capsule<V>, ratchet<V>, sender_data<V>;    both secrets empty: forged
//	    struct { opaque share[32]; } shares<V>;           that show it
//	    opaque group_context<V>, leaf_proof<V>, roster_proof<V>;
//	    struct { uint64 seq, received; uint8 aside; opaque ciphertext<V>; } messages<V>;
//	    uint32 count;
//	    opaque statement[64];                     delivery's signature, capsule.Statement
//	} Compartment;
//
// A roster proof is empty exactly where the warrant's subject is the sender. A
// message is set aside (1) if it is not evidence: see below.
//
// # Guarantees
//
// A bundle that verifies has no bit that could be another. Every message shown
// was signed by the sender's device key over the group context of its epoch:
// whoever knows all other keys, delivery, all custodians and the agency together,
// can't add one. That the key was the person's device's at that time, the account's
// own statements on the directory's witnessed log prove; a compartment for which
// they don't is reported as not proven, and spoils no other. A message that is missing shows: a sender's generations run
// from 0 without a hole, and delivery's statement covers the whole list. What
// does not open or verify as the sender's can be in the list only when it is
// marked as set aside; no text is shown for it, so junk sent into a
// compartment doesn't spoil the evidence and frames nobody.
//
// # What it does not do
//
// It doesn't open capsules: the secrets are inside, so a bundle is as secret as
// the words. It can't show that the secrets came out of the releases, since
// every member of the conversation knows them. It can't know what person an account
// is, nor whose hand held the device. It doesn't see the whole log: the cap on warrants
// is for custodians and auditors. A bundle doesn't carry the custodians' releases, which
// are sealed to the reader. That a capsule was forged does not show who forged it.
//
// # Example
//
//	file, report, err := bundle.Build(contents, policy)
//	report, err = bundle.Verify(file, policy)
//	fmt.Print(report.Text())
package bundle

import (
	"errors"
	"fmt"

	"writ/capsule"
	"writ/charter"
	"writ/internal/wire"
	"writ/ledger"
)

// Contents is what a bundle is made of, as its parts' own packages encode it.
type Contents struct {
	Charters []Proven // from version 1 to that of the warrant
	Keys     []Proven // custodians' key statements outside charters, in the log's order

	Warrant      []byte // warrant.Warrant.Encode
	WarrantSalt  [32]byte
	WarrantEntry Proven
	RequestEntry Proven
	NoticeSalt   [32]byte
	Releases     []Proven // custodians' intents to release
	Readings     []Proven // of bundles of this request, in the log's order
	Accounts     [][]byte // keyproof.Proof.Encode of who sent what was opened, by account

	Compartments []Compartment // those of the request, in any order
}

// Proven is a ledger entry with its tlog-proof.
type Proven struct {
	Entry []byte
	Proof []byte
}

// Compartment is one compartment.
type Compartment struct {
	Capsule    []byte
	Ratchet    []byte // the leaf's application ratchet secret of generation 0
	SenderData []byte // the epoch's sender data secret; both nil if the capsule was forged

	Shares [][capsule.ShareSize]byte // only of a forged capsule, to prove that it is; see unseal.Combiner.Good

	GroupContext []byte // of the epoch, RFC 9420 section 8.1
	LeafProof    []byte // for mls.VerifyLeafProof
	RosterProof  []byte // that the subject was there; not used if the subject is the sender

	Messages  []Message // by Seq
	Count     uint32    // of messages, as delivery states
	Statement []byte    // delivery's signature of a capsule.Statement
}

// Message is a ciphertext as delivery has it.
type Message struct {
	Seq        uint64
	Received   uint64 // Unix milliseconds
	Ciphertext []byte
	Aside      bool // not evidence; Build decides this by itself
}

// Errors wrapped by this package's errors, beside [wire.ErrMalformed] for what
// can't be parsed.
var (
	ErrInvalid     = errors.New("invalid")     // a check failed
	ErrIncomplete  = errors.New("incomplete")  // messages were taken out; wraps ErrInvalid too
	ErrUnsupported = errors.New("unsupported") // a version of another time
	ErrRefused     = errors.New("refused")     // too large
)

// CheckError says which check failed, where, and why.
type CheckError struct {
	Check string // the name of a check in [Report]
	Where string // "release 2", "compartment 3 message 17", or empty
	Err   error
}

// Error names check and place.
func (e *CheckError) Error() string {
	where := e.Check
	if e.Where != "" {
		where += ", " + e.Where
	}
	return fmt.Sprintf("bundle: invalid: %s: %v", where, e.Err)
}

// Unwrap returns what went wrong.
func (e *CheckError) Unwrap() error { return e.Err }

// Is reports whether target is [ErrInvalid], which every failed check is.
func (e *CheckError) Is(target error) bool { return target == ErrInvalid }

// Build encodes a bundle and verifies it, as [Verify] does: it returns the file and
// its report. It marks the messages that are no evidence as set aside, drops roster
// proofs that aren't needed, and changes nothing else. It doesn't change c.
func Build(c Contents, policy *ledger.Policy, firsts ...charter.Hash) ([]byte, *Report, error) {
	if n := c.size(); n > MaxSize-readingsRoom {
		return nil, nil, fmt.Errorf("bundle: %w: %d bytes, at most %d are allowed", ErrRefused, n, MaxSize-readingsRoom)
	}
	c.Compartments = append([]Compartment(nil), c.Compartments...)
	for i := range c.Compartments {
		c.Compartments[i].settle(c.Warrant)
	}
	b := c.encode()
	report, err := Verify(b, policy, firsts...)
	if err != nil {
		return nil, nil, err
	}
	return b, report, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("bundle: %w: %s", wire.ErrMalformed, fmt.Sprintf(format, args...))
}
