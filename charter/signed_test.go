package charter_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"writ/charter"
	"writ/charter/chartertest"
)

// next returns a valid successor of c.
func next(t testing.TB, c *charter.Charter) *charter.Charter {
	n := clone(t, c)
	n.Number, n.Previous = c.Number+1, c.Hash()
	return n
}

func TestChain(t *testing.T) {
	w := chartertest.New("chain")
	prev := (*charter.Charter)(nil)
	c := w.Charter
	for range 3 {
		s, err := charter.ParseSigned(w.Sign(c).Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Verify(prev)
		if err != nil || got.Hash() != c.Hash() || s.Hash() != c.Hash() {
			t.Fatalf("version %d: %v", c.Number, err)
		}
		prev, c = got, next(t, got)
		c.Limits.CapSubjects++
	}
	if _, err := (&charter.Signed{Charter: none().Encode()}).Verify(nil); err != nil {
		t.Errorf("first version without access: %v", err)
	}
	down := none()
	down.Name, down.Number, down.Previous = prev.Name, c.Number, prev.Hash()
	if _, err := w.Sign(down).Verify(prev); err != nil {
		t.Errorf("access given up: %v", err)
	}
}

func TestChainRules(t *testing.T) {
	w, stranger := chartertest.New("chain rules"), chartertest.New("stranger")
	first, second := w.Charter, next(t, w.Charter)
	change := func(f func(c *charter.Charter)) *charter.Charter { c := clone(t, second); f(c); return c }
	without := func(s *charter.Signed, approvers ...string) *charter.Signed {
		s.Signatures = slices.DeleteFunc(s.Signatures, func(g charter.Signature) bool { return slices.Contains(approvers, g.Approver) })
		return s
	}
	plain := none()
	risen := change(func(c *charter.Charter) { c.Name, c.Previous = plain.Name, plain.Hash() })
	risen.Keys = nil
	wrong := w.Sign(second)
	wrong.Signatures[0].Signature[5] ^= 1
	twice := w.Sign(second)
	twice.Signatures = append(without(twice, "oversight-approver-1", "oversight-approver-2").Signatures, twice.Signatures[0])
	own := change(func(c *charter.Charter) { c.Offices[1] = clone(t, stranger.Charter).Offices[1]; c.Keys = nil })
	usurped := &charter.Signed{Charter: own.Encode()}
	usurped.Sign("oversight", "oversight-approver-1", stranger.Approvers["oversight-approver-1"])
	usurped.Sign("judicial", "judicial-approver-1", w.Approvers["judicial-approver-1"])
	other := w.Sign(second)
	other.Charter = change(func(c *charter.Charter) { c.Limits.CapSubjects = 1000 }).Encode()
	for _, row := range []struct {
		rule int
		name string
		s    *charter.Signed
		prev *charter.Charter
	}{
		{30, "second without first", w.Sign(second), nil},
		{30, "first after itself", w.Sign(first), first},
		{30, "number skipped", w.Sign(change(func(c *charter.Charter) { c.Number = 3 })), first},
		{30, "other predecessor", w.Sign(change(func(c *charter.Charter) { c.Previous[0] ^= 1 })), first},
		{30, "renamed", w.Sign(change(func(c *charter.Charter) { c.Name = "Other"; c.Keys = nil })), first},
		{34, "longer key period", w.Sign(change(func(c *charter.Charter) { c.Limits.KeyPeriod *= 2 })), first},
		{34, "shorter key period", w.Sign(change(func(c *charter.Charter) { c.Limits.KeyPeriod /= 2 })), first},
		{31, "access after none", stranger.Sign(risen), plain},
		{31, "access after none, unsigned", &charter.Signed{Charter: risen.Encode()}, plain},
		{32, "wrong signature", wrong, first},
		{32, "signature twice", twice, first},
		{32, "signatures for another text", other, first},
		{32, "signed by whom it appoints", usurped, first},
		{32, "strangers", stranger.Sign(second), first},
		{32, "signature on a first charter without access", w.Sign(plain), nil},
		{33, "no signatures", &charter.Signed{Charter: second.Encode()}, first},
		{33, "first unsigned", &charter.Signed{Charter: first.Encode()}, nil},
		{33, "one office missing", without(w.Sign(second), "oversight-approver-1", "oversight-approver-2"), first},
		{33, "first with one office missing", without(w.Sign(first), "judicial-approver-1", "judicial-approver-2"), nil},
	} {
		got, err := row.s.Verify(row.prev)
		if err == nil || got != nil || !strings.Contains(err.Error(), fmt.Sprintf("rule %d:", row.rule)) {
			t.Errorf("rule %d, %s: %v", row.rule, row.name, err)
		}
	}
}

// A passkey can't amend. Its Ed25519 field is zero, which as a key would take a
// signature nobody made for one charter in a few: hence many charters.
func TestWebAuthnApproverCannotAmend(t *testing.T) {
	w := chartertest.New("amend")
	c := clone(t, w.Charter)
	passkey(c)
	for i := range uint32(60) {
		c.Limits.CapSubjects = i + 1
		s := &charter.Signed{Charter: c.Encode()}
		s.Sign("judicial", "judicial-approver-1", w.Approvers["judicial-approver-1"])
		s.Sign("oversight", "oversight-approver-1", w.Approvers["oversight-approver-1"])
		s.Signatures[0].Signature = [64]byte{0: 1}
		if _, err := s.Verify(nil); err == nil || !strings.Contains(err.Error(), "rule 32:") {
			t.Fatalf("got %v", err)
		}
	}
}

func TestSignedIsCanonical(t *testing.T) {
	s := chartertest.New("canonical").Sign(chartertest.New("canonical").Charter)
	s.Signatures[0], s.Signatures[1] = s.Signatures[1], s.Signatures[0]
	if got, err := charter.ParseSigned(s.Encode()); err == nil || got != nil {
		t.Error("signatures in another order parse")
	}
	if got, err := charter.ParseSigned(make([]byte, charter.MaxSignedSize+1)); err == nil || got != nil {
		t.Error("too large parses")
	}
}

// R37: a charter of a later format is not read as one of this.
func TestUnknownFormatR37(t *testing.T) {
	b := chartertest.New("format").Charter.Encode()
	b[1]++
	if c, err := charter.Parse(b); c != nil || !errors.Is(err, charter.ErrUnsupported) {
		t.Errorf("got %v, %v", c, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range []*charter.Charter{chartertest.New("fuzz").Charter, none()} {
		f.Add(c.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := charter.Parse(b)
		if (err == nil) != (c != nil) {
			t.Fatal("a charter beside an error")
		}
		if err == nil && !bytes.Equal(c.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, c.Encode())
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	for _, c := range []*charter.Charter{chartertest.New("fuzz").Charter, none()} {
		f.Add(c.JSON())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := charter.ParseJSON(b)
		if err != nil {
			return
		}
		again, err := charter.ParseJSON(c.JSON())
		if err != nil || !bytes.Equal(again.Encode(), c.Encode()) {
			t.Fatalf("%s: %v", b, err)
		}
	})
}

func FuzzParseSigned(f *testing.F) {
	w := chartertest.New("fuzz")
	f.Add(w.Sign(w.Charter).Encode())
	f.Add(w.Sign(none()).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := charter.ParseSigned(b)
		if err == nil && !bytes.Equal(s.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, s.Encode())
		}
		if err == nil {
			if c, err := s.Verify(nil); err == nil && c.Hash() != w.Charter.Hash() && c.Mode != charter.NoAccess {
				t.Fatalf("verified a charter nobody signed: %x", b)
			}
		}
	})
}

func FuzzParseKeyStatement(f *testing.F) {
	w := chartertest.New("fuzz")
	for _, k := range w.Charter.Keys {
		f.Add(k.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := charter.ParseKeyStatement(b)
		if err != nil {
			return
		}
		if !bytes.Equal(k.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, k.Encode())
		}
		made := func(own *charter.KeyStatement) bool { return bytes.Equal(own.Encode(), b) }
		if k.Verify(w.Charter) == nil && !slices.ContainsFunc(w.Charter.Keys, made) {
			t.Fatalf("verified a statement nobody made: %x", b)
		}
	})
}
