// Package charter is the law of a deployment: who must agree, who holds keys,
// and within which limits a person's words may be opened.
//
// # Terms
//
// An office is a class of people that depend on nobody else's office. It has
// approvers, who sign warrants and amendments, and custodians, who each hold
// one private key per key period and release shares. The access structure is a
// tree of thresholds over custodians. The approval rule says how many
// approvers of which offices must sign a warrant, all of its lines together;
// the amendment rule says the same of the next version of the charter. The
// privilege rule names further offices, which must approve too before anything
// of a privileged conversation opens; a law without one knows no such
// conversations.
//
// # Format
//
// A charter is one document in the encoding of package wire, format 1. [Parse]
// checks the form and every rule of [Charter.Validate]; what parses encodes
// again to the same bytes. The hash of the encoding names the charter in
// capsules, warrants and leaf nodes. People write charters as JSON; see
// [ParseJSON].
//
// # Guarantees
//
// A valid charter has no set of custodians that can open anything and lacks a
// second office, no two roles that share a raw key, and limits inside hard
// bounds. [Signed.Verify] gives the next version only to whom the version
// before it gives that right, and none that lengthens the horizon or asks fewer
// people for what was sealed before. [Changes] says in plain words what a version
// changes. [Charter.Access] takes for each custodian and
// period the first sound key of the ledger and refuses when one is missing.
//
// A charter without exceptional access has no offices, so nobody can amend it:
// it is final. Accounts under it may only move to another charter by
// themselves.
//
// # What it does not do
//
// It doesn't know whether a charter is on the ledger, is old enough for its
// activation delay, or whether the people behind two keys are two people. It
// takes the witness policy as text, which package ledger parses.
//
// # Example
//
//	c, err := charter.Parse(b)
//	a, err := c.Access(c.Period(now), keys) // keys: statements in ledger order
//	for _, leaf := range a.Leaves() { fmt.Println(leaf.Office, leaf.Custodian) }
package charter

import (
	"encoding/hex"
	"slices"
	"time"

	"writ/internal/wire"
	"writ/notice/beacon"
)

// Format is the only format of a charter that exists.
const Format = 1

// LeafExtensionType is the MLS leaf node extension that holds the hash of the
// charter under which a device's words are sealed: 32 bytes.
const LeafExtensionType = 0xF0A1

// Bounds of a charter's encoding, so that it fits into a ledger entry of at
// most 60,000 bytes together with its signatures.
const (
	MaxSize       = 56_000
	MaxSignedSize = 59_900
)

// Hash is the hash of a charter's encoding.
type Hash [32]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Mode says whether there is exceptional access at all.
type Mode uint8

// The modes.
const (
	NoAccess          Mode = 0 // no capsules are made: plain MLS
	AccountableAccess Mode = 1
)

// Charter is one version of a law. Times and lengths are in seconds.
type Charter struct {
	Name         string // of the law; the same in all its versions
	Jurisdiction string
	LegalBasis   string
	Language     string // language of record
	Number       uint32 // 1, 2, ...
	Previous     Hash   // of version Number-1; zero for the first
	Review       uint64 // Unix time after which nothing new is authorised
	Mode         Mode

	Offices   []Office
	Structure *Node // nil if there is no access
	Approval  Rules // who approves a warrant
	Amendment Rules // who signs the next version
	Privilege Rules // who must approve too for privileged conversations; may be empty
	Limits    Limits
	CaseTypes []string // names

	SyncedPasskeys bool     // whether passkeys that leave their device may approve
	RPID           string   // WebAuthn relying party; empty without WebAuthn approvers
	Origins        []string // from which WebAuthn approvals are taken

	Docket   DocketKey
	Delivery DeliveryKey

	Policy    string // witness policy, parsed by package ledger
	Directory Directory
	Beacon    *beacon.Beacon // to whose rounds notices are locked; nil if there is no access
	Keys      []*KeyStatement
}

// Directory names the log on which accounts state their devices. A law names it,
// so that nobody learns from the directory itself whom to believe about it.
type Directory struct {
	Policy string   // witness policy of that log, parsed by package ledger
	VRF    [32]byte // public key under which labels are proven, parsed by package directory
}

// Office is a class of approvers and custodians.
type Office struct {
	ID         string
	Title      string
	Approvers  []Approver
	Custodians []Custodian
}

// Approver signs warrants, with exactly one of two kinds of key.
type Approver struct {
	ID       string
	Key      ApproverKey  // if WebAuthn is nil
	WebAuthn *WebAuthnKey // a passkey or token
	Mail     MailKey      // to receive warrants
}

// Custodian releases shares. Its HPKE keys are in [KeyStatement]s.
type Custodian struct {
	ID   string
	Key  CustodianKey
	Mail MailKey // to receive requests
}

// Node is a gate or a custodian of the access structure. A gate has children
// and is open when Threshold of them are; a leaf has none and names a
// custodian.
type Node struct {
	Threshold uint8
	Children  []*Node

	Office, Custodian string
}

// Rule demands Threshold distinct approvers of an office.
type Rule struct {
	Office    string
	Threshold uint8
}

// Rules is a list of rules, all of which must hold.
type Rules []Rule

// Missing returns the offices that lack approvers, given for each office how
// many distinct approvers signed. Rules without lines are never satisfied: see
// [Rules.Satisfied].
func (rs Rules) Missing(signed map[string]int) []string {
	var missing []string
	for _, r := range rs {
		if signed[r.Office] < int(r.Threshold) {
			missing = append(missing, r.Office)
		}
	}
	return missing
}

// Satisfied reports whether there are rules and none lacks an approver.
func (rs Rules) Satisfied(signed map[string]int) bool {
	return len(rs) > 0 && len(rs.Missing(signed)) == 0
}

// Offices returns the offices of the rules, sorted.
func (rs Rules) Offices() []string {
	offices := make([]string, len(rs))
	for i, r := range rs {
		offices[i] = r.Office
	}
	slices.Sort(offices)
	return offices
}

// WarrantRules returns who must approve a warrant: the approval rule, and for
// one that reaches privileged conversations the privilege rule too.
func (c *Charter) WarrantRules(privileged bool) Rules {
	if !privileged {
		return c.Approval
	}
	return slices.Concat(c.Approval, c.Privilege)
}

// Limits bound what may be authorised, in seconds.
type Limits struct {
	MaxEpochAge     uint64 // age at which an epoch takes no more messages
	MaxWindow       uint64 // longest window of a warrant
	MaxWarrantLife  uint64
	CapSubjects     uint32 // warrants per cap period
	CapPeriod       uint64
	MaxNoticeDelay  uint64 // from the window's end to the notice
	KeyPeriod       uint64 // length of a custodian's key period
	Horizon         uint64 // after a period's end its private keys are destroyed
	ActivationDelay uint64 // from publication to force
	Freshness       uint64 // oldest cosignature a custodian accepts
	MaxHold         uint64 // longest preservation, from the warrant's begin; 0: none
	Urgent          *Urgent
	Tariff          *Tariff
}

// Urgent is the procedure for emergencies; nil where there is none.
type Urgent struct {
	MaxLife      uint64 // shorter than Limits.MaxWarrantLife
	ReviewWithin uint64
}

// Tariff is what the authority that asks pays for what is opened; nil where the
// law states none. Amounts are in hundredths of the currency.
type Tariff struct {
	Currency       string // three capital letters, ISO 4217
	PerOpening     uint64 // for each request that a quorum released
	PerCompartment uint64 // and for each compartment of it
}

// Hash returns H("writ/v1 charter", encoding).
func (c *Charter) Hash() Hash { return wire.Hash("charter", c.Encode()) }

// Office returns the office with that id, or nil.
func (c *Charter) Office(id string) *Office {
	for i := range c.Offices {
		if c.Offices[i].ID == id {
			return &c.Offices[i]
		}
	}
	return nil
}

// Approver returns an approver of an office, or nil.
func (c *Charter) Approver(office, id string) *Approver {
	if o := c.Office(office); o != nil {
		for i := range o.Approvers {
			if o.Approvers[i].ID == id {
				return &o.Approvers[i]
			}
		}
	}
	return nil
}

// Custodian returns a custodian of an office, or nil.
func (c *Charter) Custodian(office, id string) *Custodian {
	if o := c.Office(office); o != nil {
		for i := range o.Custodians {
			if o.Custodians[i].ID == id {
				return &o.Custodians[i]
			}
		}
	}
	return nil
}

// Period returns the number of the key period that contains t: Unix time
// divided by the period's length. It is 0 if there is no access.
func (c *Charter) Period(t time.Time) uint32 {
	if c.Limits.KeyPeriod == 0 || t.Unix() < 0 {
		return 0
	}
	return uint32(uint64(t.Unix()) / c.Limits.KeyPeriod)
}

// PeriodEnd returns the Unix time at which a key period ends.
func (c *Charter) PeriodEnd(period uint32) uint64 {
	return (uint64(period) + 1) * c.Limits.KeyPeriod
}

// DestroyBy returns the Unix time at which the private keys of a key period
// must be gone. Of a version without access that is 0: at once.
func (c *Charter) DestroyBy(period uint32) uint64 {
	return c.PeriodEnd(period) + c.Limits.Horizon
}
