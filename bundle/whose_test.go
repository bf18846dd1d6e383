package bundle

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"writ/charter"
	"writ/directory/directorytest"
	"writ/directory/keyproof"
	"writ/internal/wire"
	"writ/mls"
)

// one builds a bundle of one compartment and returns what it says of its key.
func (w *world) one(part Compartment, change func(c *Contents)) (*Report, *KeyFacts) {
	w.t.Helper()
	contents := w.open(edits{order: both}, part)
	change(&contents)
	r := must(Verify(built(contents, w.policy), w.policy))
	return r, r.Compartments[0].Key
}

func unchanged(*Contents) {}

// unproven demands that a report says so everywhere, and says why.
func unproven(t *testing.T, name string, r *Report, why string) {
	t.Helper()
	k := r.Compartments[0].Key
	if k == nil || k.Proven || !strings.Contains(k.Why, why) {
		t.Errorf("%s: %+v, want %q", name, k, why)
		return
	}
	for form, text := range map[string]string{"text": r.Text(), "page": string(r.HTML()), "verdict": r.Verdict()} {
		if !strings.Contains(text, "NOT PROVEN") || strings.Contains(text, "Every check passed") {
			t.Errorf("%s: the %s does not say that the key is not proven", name, form)
		}
	}
	if r.KeysProven || len(r.Unproven) != 1 || !strings.Contains(string(r.JSON()), `"keys_proven": false`) {
		t.Errorf("%s: keys proven %v, unproven %q", name, r.KeysProven, r.Unproven)
	}
}

// R27: delivery invents a conversation with a key of its own under a person's name,
// and has a whole quorum open it. The bundle shows that the key is not the person's,
// also where the key is that of another account or the person's own, revoked before.
func TestR27InventedKeyFails(t *testing.T) {
	w := newWorld(t)
	genuine := w.converse(suite, "real", "alice", "bob").say("alice", "x")
	r, k := w.one(genuine, unchanged)
	if !k.Proven || k.Why != "" || !r.KeysProven || len(r.Unproven) != 0 || k.Revoked || k.By != utc(w.now.Unix()) || k.Directory.Size != 2 {
		t.Fatalf("%+v", k)
	}
	alice, bob := w.phones["alice"], w.phones["bob"]
	as := func(key *mls.SignatureKey) Compartment {
		w.phones["alice"] = key
		defer func() { w.phones["alice"] = alice }()
		return w.converse(suite, "invented", "alice", "carol").say("alice", "I confess.")
	}
	invented := as(must(mls.GenerateSignatureKey(suite)))
	r, _ = w.one(invented, unchanged)
	unproven(t, "invented", r, "another key for the device")
	r, _ = w.one(as(bob), unchanged)
	unproven(t, "bob's", r, "another key for the device")
	r, _ = w.one(invented, func(c *Contents) { c.Accounts = nil })
	unproven(t, "no proof", r, "no proof of the directory's")
	r, _ = w.one(genuine, func(c *Contents) { c.Accounts = nil })
	unproven(t, "genuine without a proof", r, "no proof of the directory's")

	w.now = w.now.Add(time.Hour)
	w.revoke("alice")
	if _, k := w.one(genuine, unchanged); !k.Proven || !k.Revoked || k.RevokedAfter != utc(w.now.Unix()) || k.RevokedBy != utc(w.now.Unix()) {
		t.Errorf("said before it was revoked: %+v", k)
	}
	w.now = w.now.Add(time.Hour)
	late := w.converse(suite, "late", "alice", "bob").say("alice", "I confess.")
	r, _ = w.one(late, unchanged)
	unproven(t, "revoked", r, "had revoked the key by")
	r, _ = w.one(late, func(c *Contents) { c.Accounts[0] = w.older("alice", w.now.Add(-90*time.Minute)) })
	unproven(t, "revoked, the directory asked before", r, "before the epoch was opened")
}

// older is the proof of an account as it was when its phone was listed.
func (w *world) older(account string, at time.Time) []byte {
	before := directorytest.New(func() time.Time { return at })
	for _, name := range []string{"alice", "bob", "carol"} {
		if c := w.people.Chain(name); c != nil {
			before.Force(c.Statement(1))
		}
	}
	return before.Proof(account).Encode()
}

// One compartment whose key is not proven spoils no other, nor does its text hide
// what it is.
func TestUnprovenSpoilsNoOther(t *testing.T) {
	w := newWorld(t)
	real := w.converse(suite, "real", "alice", "bob").say("alice", "x")
	w.phones["alice"] = must(mls.GenerateSignatureKey(suite))
	invented := w.converse(suite, "invented", "alice", "bob").say("alice", "y", "z")
	r := must(Verify(built(w.open(edits{}, real, invented), w.policy), w.policy))
	if !r.Compartments[0].Key.Proven || r.Compartments[1].Key.Proven || r.KeysProven || !r.Complete ||
		!strings.HasPrefix(r.Verdict(), "WHOSE KEY SIGNED IS NOT PROVEN for 2 of 3 messages") {
		t.Error(r.Text())
	}
	if a, b := r.Compartments[0].SigningKey, r.Compartments[1].SigningKey; a == b || len(a) != 32 {
		t.Errorf("fingerprints %s and %s", a, b)
	}
}

// BUN-16: a proof that does not hold, or is there for nothing, makes the bundle
// invalid.
func TestAccountsAreChecked(t *testing.T) {
	w := newWorld(t)
	c := w.converse(suite, "lunch", "alice", "bob")
	alice, bob := c.say("alice", "x"), c.say("bob", "y")
	c.next()
	closed := w.forge(c.say("bob", "z"))
	closed.Messages[0].Aside = true
	w.revoke("bob")
	w.phones["bob"] = nil
	proof := func(account string, change func(p *keyproof.Proof)) []byte {
		p := w.people.Proof(account)
		change(p)
		return p.Encode()
	}
	good := w.open(edits{order: both}, alice, bob)
	for name, change := range map[string]func(c *Contents){
		"no quorum": func(c *Contents) {
			c.Accounts[0] = proof("alice", func(p *keyproof.Proof) {
				p.Checkpoint = p.Checkpoint[:bytes.LastIndex(p.Checkpoint, []byte("— "))]
			})
		},
		"malformed":                func(c *Contents) { c.Accounts[0] = append(c.Accounts[0], 0) },
		"not sorted":               func(c *Contents) { slices.Reverse(c.Accounts) },
		"twice":                    func(c *Contents) { c.Accounts = append(c.Accounts, c.Accounts[1]) },
		"of nobody here":           func(c *Contents) { c.Accounts = append(c.Accounts, proof("zoe", func(*keyproof.Proof) {})) },
		"of another name":          func(c *Contents) { c.Accounts[0] = proof("alice", func(p *keyproof.Proof) { p.Account = "adam" }) },
		"with dates of no version": func(c *Contents) { c.Accounts[0] = proof("alice", func(p *keyproof.Proof) { p.Dates[0].Version = 2 }) },
	} {
		x := good
		x.Accounts = slices.Clone(good.Accounts)
		change(&x)
		if _, err := w.verify(x); !isCheck(err, checkWhose) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wants(t, w, w.with(w.open(edits{order: both}, alice, closed), proof("bob", func(*keyproof.Proof) {})), checkWhose)
	dated := w.open(edits{order: both}, alice)
	w.amendPhone("alice")
	dated.Accounts = [][]byte{proof("alice", func(*keyproof.Proof) {})}
	wants(t, w, dated, checkWhose)
	dated.Accounts = [][]byte{proof("alice", func(p *keyproof.Proof) { p.Keep([]uint64{1}) })}
	if _, err := w.verify(dated); err != nil {
		t.Errorf("with the date that is needed: %v", err)
	}
}

func isCheck(err error, check string) bool {
	var failed *CheckError
	return errors.As(err, &failed) && failed.Check == check
}

// with adds a proof to contents.
func (w *world) with(c Contents, proof []byte) Contents {
	c.Accounts = append(c.Accounts, proof)
	return c
}

// amendPhone adds a device that no compartment is of.
func (w *world) amendPhone(account string) {
	s := w.people.Chain(account).Draft()
	s.Add("tablet", [32]byte(must(mls.GenerateSignatureKey(suite)).Public()), uint64(w.now.Unix()))
	s.SignAs("phone", w.signer(account))
	w.people.Force(s)
}

// The directory is the one that the warrant's law names, its dates also those of the
// versions before it; under a law whose directory nobody can read nothing is proven.
func TestDirectoryOfTheLaw(t *testing.T) {
	w := newWorld(t)
	part := w.converse(suite, "lunch", "alice", "bob").say("alice", "x")
	w.amend()
	if _, k := w.one(part, unchanged); !k.Proven {
		t.Errorf("after an amendment: %+v", k)
	}
	dated := w.people.Proof("alice").Dates
	policy := w.people.Replace()
	w.amend(func(c *charter.Charter) { c.Directory.Policy = policy })
	now := w.people.Proof("alice")
	now.Dates = dated
	if _, k := w.one(part, func(c *Contents) { c.Accounts = [][]byte{now.Encode()} }); !k.Proven {
		t.Errorf("dated by the witness of before: %+v", k)
	}
	w.amend(func(c *charter.Charter) { c.Directory.Policy = "# none\n" })
	wants(t, w, w.open(edits{}, part), checkWhose)
	r, _ := w.one(part, func(c *Contents) { c.Accounts = nil })
	unproven(t, "without a directory", r, "the law's directory")
}

func TestAccountsAreBounded(t *testing.T) {
	w := newWorld(t)
	_, contents := w.good()
	for name, list := range map[string][][]byte{
		"too many": slices.Repeat([][]byte{{1}}, MaxAccounts+1),
		"too long": {make([]byte, keyproof.MaxProof+1)},
	} {
		contents.Accounts = list
		if _, err := parse(contents.encode()); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	contents.Accounts = slices.Repeat([][]byte{make([]byte, 5<<20)}, 60)
	if _, _, err := Build(contents, w.policy); !errors.Is(err, ErrRefused) {
		t.Errorf("Build of too much: %v", err)
	}
}

// A key counts for the time at which the epoch was opened, which the label has.
func TestKeyAtTheOpening(t *testing.T) {
	w := newWorld(t)
	w.phone("alice")
	w.now = w.now.Add(2 * time.Hour)
	c := w.converse(suite, "lunch", "alice", "bob")
	c.opened = c.now.Add(-3 * time.Hour) // delivery and a member say so
	part := c.say("alice", "x")
	r, _ := w.one(part, unchanged)
	unproven(t, "opened before the account was", r, "did not have the key yet")
}
