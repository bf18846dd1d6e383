package bundle

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/directory/keyproof"
)

// KeyFacts says whether the key that signed a compartment was the device's that the
// compartment names, when its epoch was opened, by the log of the law's directory.
// Times are empty if nothing shows them, all but Proven and Why if no statement of
// the account lists the key.
type KeyFacts struct {
	Proven  bool   `json:"proven"`
	Why     string `json:"why_not,omitempty"`
	Added   string `json:"added,omitempty"`        // by the clock of the device that added it
	After   string `json:"logged_after,omitempty"` // the statement that added it, by the witnesses' clocks
	By      string `json:"logged_by,omitempty"`
	Revoked bool   `json:"revoked"` // a later statement does not list it

	RevokedAfter string `json:"revoked_after,omitempty"`
	RevokedBy    string `json:"revoked_by,omitempty"`

	Directory *DirectoryFacts `json:"directory,omitempty"` // nil: the bundle has no proof of the account
}

// DirectoryFacts is the checkpoint of the directory's log under which the account was
// looked up.
type DirectoryFacts struct {
	Origin string `json:"origin"`
	Size   uint64 `json:"size"`
	Root   string `json:"root"`
	Time   string `json:"time"`
}

var errNoProof = errors.New("the file has no proof of the directory's for this account")

// accounts is BUN-16: each proof holds under the directory that the law names.
func (v *verifier) accounts() error {
	var older []charter.Directory
	for _, c := range v.versions[1:] {
		older = append(older, c.Directory)
	}
	log, unreadable := keyproof.NewLog(v.law.Directory, older...)
	v.why = errNoProof
	if unreadable != nil {
		v.why = unreadable
	}
	last := ""
	for i, b := range v.c.Accounts {
		where := fmt.Sprintf("account %d", i+1)
		if unreadable != nil {
			return &CheckError{checkWhose, where, unreadable}
		}
		p, err := keyproof.Parse(b)
		if err != nil {
			return &CheckError{checkWhose, where, err}
		}
		if p.Account <= last {
			return fail(checkWhose, where, "not sorted by account")
		}
		a, err := log.Verify(p, time.Time{}, 0)
		if err != nil {
			return &CheckError{checkWhose, where, err}
		}
		v.listed[p.Account], last = &listed{Account: a, where: where, dated: p.Dates}, p.Account
	}
	return nil
}

// listed is an account of a proof, and which of its versions compartments need.
type listed struct {
	*keyproof.Account
	where  string
	dated  []keyproof.Date
	needed []uint64
	used   bool
}

// signer is the device of an opened compartment.
type signer struct {
	at    int // of the compartment, in the report
	label *capsule.Label
	key   []byte // of its leaf
}

// whose is BUN-17: what each account stated of the key that its leaf has.
func (v *verifier) whose() error {
	for _, s := range v.signers {
		v.report.Compartments[s.at].Key = v.facts(s.label, s.key)
	}
	return nil
}

func (v *verifier) facts(l *capsule.Label, key []byte) *KeyFacts {
	a := v.listed[l.Account]
	if a == nil {
		return &KeyFacts{Why: v.why.Error()}
	}
	a.used, a.needed = true, append(a.needed, a.Changes(l.Device)...)
	c := a.Checkpoint()
	f := &KeyFacts{Directory: &DirectoryFacts{c.Origin(), c.Size(), c.Tree().Hash.String(), utc(c.Time().Unix())}}
	k, err := a.Key(l.Device, key)
	if err == nil {
		f.Added, f.Revoked = utc(k.Added.Unix()), k.Dropped
		f.After, f.By = known(k.Since.From), known(k.Since.By)
		f.RevokedAfter, f.RevokedBy = known(k.Until.From), known(k.Until.By)
		err = k.At(l.OpenedAt())
	}
	if f.Proven = err == nil; err != nil {
		f.Why = strings.TrimPrefix(err.Error(), keyproof.ErrNotProven.Error()+": ")
	}
	return f
}

// needed is the other part of BUN-16: no proof and no date is there for nothing.
func (v *verifier) needed() error {
	for _, a := range v.listed {
		if !a.used {
			return fail(checkWhose, a.where, "no opened compartment is of this account")
		}
		for _, d := range a.dated {
			if !slices.Contains(a.needed, d.Version) {
				return fail(checkWhose, a.where, "version %d is dated for nothing", d.Version)
			}
		}
	}
	v.passed(checkWhose, v.report.proven())
	return nil
}

// known writes a time that may not be known.
func known(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return utc(t.Unix())
}

// proven counts the compartments whose key is proven.
func (r *Report) proven() (n int) {
	for _, c := range r.Compartments {
		if c.Key != nil && c.Key.Proven {
			n++
		}
	}
	return n
}

// unproven says of the n-th compartment that its key is not proven to be the
// person's, or is empty.
func (c *CompartmentReport) unproven(n int) string {
	if c.Key == nil || c.Key.Proven {
		return ""
	}
	return fmt.Sprintf("Compartment %d: NOT PROVEN that its key was that of %s's device %s: %s.", n, c.Account, c.Device, c.Key.Why)
}

// Text says what is proven of the key, in a line.
func (f *KeyFacts) Text() string {
	if !f.Proven {
		return "NOT PROVEN to be that device's: " + f.Why
	}
	text := fmt.Sprintf("proven to be that device's: added %s by its own clock, on the directory's log by %s; ", f.Added, f.By)
	switch {
	case !f.Revoked:
		return text + "not revoked by " + f.Directory.Time
	case f.RevokedBy == "":
		return text + "revoked after " + f.RevokedAfter
	}
	return text + fmt.Sprintf("revoked between %s and %s", f.RevokedAfter, f.RevokedBy)
}

// String names the checkpoint.
func (d *DirectoryFacts) String() string {
	return fmt.Sprintf("directory %s: %d entries at %s, root %s", d.Origin, d.Size, d.Time, d.Root)
}
