package bundle

import (
	"bytes"
	"crypto/hpke"
	"slices"
	"strings"
	"testing"

	"writ/capsule"
	"writ/internal/forger"
)

// shares are what some custodians' shares of a capsule open to.
func (w *world) shares(sealed *capsule.Capsule, leaves ...int) (list [][32]byte) {
	w.t.Helper()
	l := sealed.Label()
	access := must(w.Charter.Access(l.Period, nil))
	ctx := capsule.Context(l, access)
	for _, leaf := range leaves {
		s := sealed.Shares()[leaf]
		key := w.Key(access.Leaves()[leaf].Custodian, l.Period)
		r := must(hpke.NewRecipient(s.Enc, key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), ctx[:]))
		list = append(list, [32]byte(must(r.Open(s.Commitment[:], s.Ciphertext))))
	}
	return list
}

// forge spoils the body of a compartment's capsule and proves it by a judge's share and
// the overseer's.
func (w *world) forge(part Compartment) Compartment {
	w.t.Helper()
	part.Capsule = forger.Capsule(must(capsule.Parse(part.Capsule)), func(_ *capsule.Label, body *[]byte, _ *[]capsule.Share) { (*body)[0] ^= 1 })
	part.Ratchet, part.SenderData, part.Shares = nil, nil, w.shares(must(capsule.Parse(part.Capsule)), 1, 2)
	w.state(&part)
	return part
}

// BUN-6: nothing stays closed on somebody's word. A compartment without secrets has
// the shares that show that its capsule was forged.
func TestForgedIsProven(t *testing.T) {
	w := newWorld(t)
	part := w.converse(suite, "lunch", "alice", "bob").say("alice", "text")
	forged := w.forge(part)
	r := must(Verify(built(w.open(edits{}, forged), w.policy), w.policy))
	if c := r.Compartments[0]; r.Complete || !c.Unopened || c.Messages[0].Text != nil || len(r.Missing) != 1 || !strings.Contains(r.Text(), "its capsule was forged") {
		t.Errorf("%s", r.Text())
	}
	honest := must(capsule.Parse(part.Capsule))
	for name, x := range map[string]struct {
		change func(*Compartment)
		want   string
	}{
		"no shares":                {func(c *Compartment) { c.Shares = nil }, "nothing shows"},
		"too few":                  {func(c *Compartment) { c.Shares = c.Shares[:1] }, "nothing shows"},
		"another share":            {func(c *Compartment) { c.Shares[0][31] ^= 1 }, "share 1 is none"},
		"twice":                    {func(c *Compartment) { c.Shares = append(c.Shares, c.Shares[1]) }, "one twice"},
		"another order":            {func(c *Compartment) { c.Shares[0], c.Shares[1] = c.Shares[1], c.Shares[0] }, "out of order"},
		"secrets beside":           {func(c *Compartment) { c.Ratchet, c.SenderData = part.Ratchet, part.SenderData }, "shares where the secrets are"},
		"honest, secrets left out": {func(c *Compartment) { c.Capsule, c.Shares = part.Capsule, w.shares(honest, 1, 2) }, "its secrets were left out"},
		"honest, one bad share": {func(c *Compartment) {
			c.Capsule, c.Shares = part.Capsule, w.shares(honest, 0, 2)
			c.Shares[0][0] ^= 1
		}, "share 1 is none"},
	} {
		c := forged
		c.Shares = slices.Clone(forged.Shares)
		x.change(&c)
		if _, err := w.verify(w.open(edits{}, c)); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}

// Every bit of the shares counts.
func TestSharesAreEvidence(t *testing.T) {
	w := newWorld(t)
	forged := w.forge(w.converse(suite, "lunch", "alice", "bob").say("alice", "text"))
	b := built(w.open(edits{}, forged), w.policy)
	body := b[:len(b)-32]
	for _, s := range forged.Shares {
		at := bytes.Index(body, s[:])
		if at < 0 {
			t.Fatal("no such share in the bundle")
		}
		for i := at; i < at+32; i++ {
			changed := bytes.Clone(body)
			changed[i] ^= 1
			if _, err := Verify(seal(changed), w.policy); err == nil {
				t.Errorf("byte %d changed, and it verifies", i)
			}
		}
	}
}
