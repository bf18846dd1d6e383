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
	"writ/notice/beacon"
	"writ/notice/beacon/beacontest"
)

// next returns a valid successor of c.
func next(t testing.TB, c *charter.Charter) *charter.Charter {
	n := clone(t, c)
	n.Number, n.Previous = c.Number+1, c.Hash()
	return n
}

func TestChain(t *testing.T) {
	w := chartertest.New("chain")
	var before []*charter.Charter
	c := w.Charter
	for range 3 {
		s, err := charter.ParseSigned(w.Sign(c).Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Verify(before...)
		if err != nil || got.Hash() != c.Hash() || s.Hash() != c.Hash() {
			t.Fatalf("version %d: %v", c.Number, err)
		}
		before, c = slices.Insert(before, 0, got), next(t, got)
		c.Limits.CapSubjects++
	}
	if _, err := (&charter.Signed{Charter: none().Encode()}).Verify(); err != nil {
		t.Errorf("first version without access: %v", err)
	}
	down, prev := none(), before[0]
	down.Name, down.Number, down.Previous = prev.Name, c.Number, prev.Hash()
	if _, err := w.Sign(down).Verify(before...); err != nil {
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
	inARow := w.Sign(second)
	inARow.Signatures = slices.Insert(inARow.Signatures, 1, inARow.Signatures[0])
	own := change(func(c *charter.Charter) { c.Offices[1].Approvers = clone(t, stranger.Charter).Offices[1].Approvers })
	usurped := &charter.Signed{Charter: own.Encode()}
	usurped.Sign("oversight", "oversight-approver-1", stranger.Approvers["oversight-approver-1"])
	usurped.Sign("judicial", "judicial-approver-1", w.Approvers["judicial-approver-1"])
	other := w.Sign(second)
	other.Charter = change(func(c *charter.Charter) { c.Limits.CapSubjects = 1000 }).Encode()
	strict := clone(t, first)
	strict.Approval[0].Threshold, strict.Amendment[1].Threshold = 2, 2
	looser := func(f func(c *charter.Charter)) *charter.Charter { c := next(t, strict); f(c); return c }
	three := chartertest.New("three", chartertest.Shape{Office: "judicial", Need: 1, Custodians: 1, Approve: 1, Approvers: 1},
		chartertest.Shape{Office: "oversight", Need: 1, Custodians: 1, Approve: 1, Approvers: 1}, chartertest.Shape{Office: "press", Approve: 1, Approvers: 1})
	two := next(t, three.Charter)
	two.Approval = two.Approval[:2]
	bar := chartertest.New("bar", chartertest.WithBar...)
	unbarred := next(t, bar.Charter)
	unbarred.Privilege = nil
	moved := func(c *charter.Charter) {
		c.Offices[0].Custodians[0].ID, c.Offices[1].Custodians[0].ID = "oversight-1", "judicial-1"
		c.Structure.Children[0].Children[0].Custodian, c.Structure.Children[1].Children[0].Custodian = "oversight-1", "judicial-1"
		c.Keys = nil
	}
	rekeyed := change(func(c *charter.Charter) {
		c.Offices[0].Custodians[0].Key, c.Keys = stranger.Charter.Offices[0].Custodians[0].Key, nil
	})
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
		{39, "later genesis", w.Sign(change(func(c *charter.Charter) { c.Beacon = clock(c.Beacon, 1, 0) })), first},
		{39, "longer rounds", w.Sign(change(func(c *charter.Charter) { c.Beacon = clock(c.Beacon, 0, 1) })), first},
		{34, "shorter key period", w.Sign(change(func(c *charter.Charter) { c.Limits.KeyPeriod /= 2 })), first},
		{35, "longer horizon", w.Sign(change(func(c *charter.Charter) { c.Limits.Horizon++ })), first},
		{36, "approval by fewer offices", three.Sign(two), three.Charter},
		{36, "approval by fewer people", w.Sign(looser(func(c *charter.Charter) { c.Approval[0].Threshold = 1 })), strict},
		{36, "amendment by fewer people", w.Sign(looser(func(c *charter.Charter) { c.Amendment[1].Threshold = 1 })), strict},
		{36, "privilege given up", bar.Sign(unbarred), bar.Charter},
		{37, "name with another key", w.Sign(rekeyed), first},
		{37, "name in another office", w.Sign(change(moved)), first},
		{31, "access after none", stranger.Sign(risen), plain},
		{31, "access after none, unsigned", &charter.Signed{Charter: risen.Encode()}, plain},
		{32, "wrong signature", wrong, first},
		{32, "signature twice", twice, first},
		{32, "signature twice in a row", inARow, first},
		{32, "signatures for another text", other, first},
		{32, "signed by whom it appoints", usurped, first},
		{32, "strangers", stranger.Sign(second), first},
		{32, "signature on a first charter without access", w.Sign(plain), nil},
		{33, "no signatures", &charter.Signed{Charter: second.Encode()}, first},
		{33, "first unsigned", &charter.Signed{Charter: first.Encode()}, nil},
		{33, "one office missing", without(w.Sign(second), "oversight-approver-1", "oversight-approver-2"), first},
		{33, "first with one office missing", without(w.Sign(first), "judicial-approver-1", "judicial-approver-2"), nil},
	} {
		var before []*charter.Charter
		if row.prev != nil {
			before = []*charter.Charter{row.prev}
		}
		got, err := row.s.Verify(before...)
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
		if _, err := s.Verify(); err == nil || !strings.Contains(err.Error(), "rule 32:") {
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
			if c, err := s.Verify(); err == nil && c.Hash() != w.Charter.Hash() && c.Mode != charter.NoAccess {
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

// A custodian who left and comes back under their name has their old key: the name is
// what releases and destructions on the ledger go by.
func TestNameOfACustodianWhoLeft(t *testing.T) {
	w, stranger := chartertest.New("left"), chartertest.New("stranger")
	first := w.Charter
	second := next(t, first)
	office := &second.Offices[0]
	office.Custodians = office.Custodians[1:]
	gate := second.Structure.Children[0]
	gate.Children = gate.Children[1:]
	second.Keys = nil
	back := next(t, second)
	back.Offices[0].Custodians = clone(t, first).Offices[0].Custodians
	back.Structure.Children[0] = clone(t, first).Structure.Children[0]
	if _, err := w.Sign(back).Verify(second, first); err != nil {
		t.Errorf("the same custodian comes back: %v", err)
	}
	other := clone(t, back)
	other.Offices[0].Custodians[0].Key = stranger.Charter.Offices[0].Custodians[0].Key
	if _, err := w.Sign(other).Verify(second, first); err == nil || !strings.Contains(err.Error(), "rule 37:") {
		t.Errorf("another comes under the name of one who left: %v", err)
	}
}

// A beacon's key keeps its clock also when it comes back after another.
func TestClockOfABeaconThatCameBack(t *testing.T) {
	w := chartertest.New("back")
	first := w.Charter
	second := next(t, first)
	second.Beacon = beacontest.New("another", first.Beacon.Genesis, first.Beacon.Period, 2, 3).Beacon()
	third := next(t, second)
	third.Beacon = first.Beacon
	if _, err := w.Sign(third).Verify(second, first); err != nil {
		t.Errorf("with its clock: %v", err)
	}
	third.Beacon = clock(first.Beacon, 1, 0)
	if _, err := w.Sign(third).Verify(second, first); err == nil || !strings.Contains(err.Error(), "rule 39:") {
		t.Errorf("with another clock: %v", err)
	}
}

// An amendment that breaks several rules is told all of them.
func TestAmendmentIsToldAllItBreaks(t *testing.T) {
	w, stranger := chartertest.New("all", chartertest.WithBar...), chartertest.New("stranger")
	c := next(t, w.Charter)
	c.Limits.KeyPeriod *= 2
	c.Limits.Horizon *= 2
	c.Name += "."
	c.Approval, c.Amendment = charter.Rules{c.Approval[0], {Office: "bar", Threshold: 1}}, charter.Rules{c.Amendment[1], {Office: "bar", Threshold: 1}}
	c.Privilege = nil
	c.Offices[0].Custodians[0].Key = stranger.Charter.Offices[0].Custodians[0].Key
	c.Offices[0].Custodians[1].Key = stranger.Charter.Offices[0].Custodians[1].Key
	c.Beacon = clock(c.Beacon, 60, 0)
	c.Keys = nil
	_, err := w.Sign(c).Verify(w.Charter)
	for _, want := range []string{"rule 30: name", "rule 34", "rule 35", "rule 36: the approval rule asks less of the office oversight",
		"rule 36: the privilege rule asks less of the office bar", "rule 36: the amendment rule asks less of the office judicial", "rule 37: custodian judicial-1", "rule 37: custodian judicial-2", "rule 39"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// A person is told each change in plain words, and that there is more where no sentence
// covers it.
func TestChanges(t *testing.T) {
	w, stranger := chartertest.New("changes"), chartertest.New("stranger")
	old := w.Charter
	if says := charter.Changes(old, next(t, old)); len(says) != 2 || says[1] != "Nothing else changed." {
		t.Errorf("no change: %q", says)
	}
	down := none()
	if says := charter.Changes(old, down); len(says) != 2 || !strings.Contains(says[1], "no exceptional access any more") {
		t.Errorf("access given up: %q", says)
	}
	for _, row := range []struct {
		want   string
		change func(c *charter.Charter)
	}{
		{"Legal basis: Act of 2027. Before: Test Act 2026, section 4.", func(c *charter.Charter) { c.LegalBasis = "Act of 2027" }},
		{"Nothing new is authorised after: 3 November 2027 12:00 UTC. Before: 2 November 2027 12:00 UTC.", func(c *charter.Charter) { c.Review += 24 * 3600 }},
		{"A warrant is for one of these cases: serious-crime. Before: serious-crime, missing-person.", func(c *charter.Charter) { c.CaseTypes = c.CaseTypes[:1] }},
		{"The longest window is 62 days. Before: 31 days.", func(c *charter.Charter) { c.Limits.MaxWindow *= 2 }},
		{"The horizon is 12 hours. Before: 180 days.", func(c *charter.Charter) { c.Limits.Horizon = 12 * 3600 }},
		{"The cap of subjects is 11 warrants. Before: 10 warrants.", func(c *charter.Charter) { c.Limits.CapSubjects++ }},
		{"Emergencies: There is no urgent procedure.", func(c *charter.Charter) { c.Limits.Urgent = nil }},
		{"The office Office press joined.", func(c *charter.Charter) {
			c.Offices = append(c.Offices, charter.Office{ID: "press", Title: "Office press"})
		}},
		{"The office publication is called: The Press. Before: Office publication.", func(c *charter.Charter) { c.Offices[2].Title = "The Press" }},
		{"Approver judicial-approver-2 of Office judicial left.", func(c *charter.Charter) { c.Offices[0].Approvers = c.Offices[0].Approvers[:1] }},
		{"Approver judicial-approver-1 of Office judicial has other keys.", func(c *charter.Charter) { c.Offices[0].Approvers[0].Key = stranger.Charter.Offices[0].Approvers[0].Key }},
		{"Custodian newcomer of Office judicial joined.", func(c *charter.Charter) { c.Offices[0].Custodians[0].ID = "newcomer" }},
		{"Custodian judicial-1 of Office judicial left.", func(c *charter.Charter) { c.Offices[0].Custodians[0].ID = "newcomer" }},
		{"To open anything takes: 1 of 3 custodians of Office judicial,", func(c *charter.Charter) { c.Structure.Children[0].Threshold = 1 }},
		{"A warrant needs the signatures of: 2 of 2 approvers of Office judicial", func(c *charter.Charter) { c.Approval[0].Threshold = 2 }},
		{"This law changes only with the signatures of: 2 of 2 approvers of Office judicial", func(c *charter.Charter) { c.Amendment[0].Threshold = 2 }},
		{"Privileged conversations: For conversations marked as privileged a warrant needs", func(c *charter.Charter) {
			c.Privilege = charter.Rules{{Office: "publication", Threshold: 1}}
		}},
		{"The docket, which publishes warrants, has another key.", func(c *charter.Charter) { c.Docket[0] ^= 1 }},
		{"The delivery service has another key.", func(c *charter.Charter) { c.Delivery[0] ^= 1 }},
		{"The beacon by whose rounds people are told has another key.", func(c *charter.Charter) {
			c.Beacon = beacontest.New("another", 0, 60, 2, 2).Beacon()
		}},
		{"The witnesses of the public log changed.", func(c *charter.Charter) { c.Policy += "#" }},
		{"Passkeys that leave their device may approve: yes. Before: no.", func(c *charter.Charter) { c.SyncedPasskeys = true }},
		{"Passkeys approve from: x. Before: nowhere.", func(c *charter.Charter) { c.RPID = "x" }},
		{"The witnesses of the directory, which says whose devices are whose, changed.", func(c *charter.Charter) { c.Directory.Policy += "#" }},
		{"The beacon by whose rounds people are told has another clock.", func(c *charter.Charter) { c.Beacon = clock(c.Beacon, 0, 60) }},
		{"Cost: Who asks pays EUR 0.01 for each opening", func(c *charter.Charter) { c.Limits.Tariff = &charter.Tariff{Currency: "EUR", PerOpening: 1} }},
		{"The custodians who hold a part of each key are: judicial-2 of Office judicial, judicial-1 of", func(c *charter.Charter) {
			n := c.Structure.Children[0].Children
			n[0], n[1] = n[1], n[0]
		}},
		{"Other parts of the law changed too: read it whole.", func(c *charter.Charter) {
			a := c.Offices[0].Approvers
			a[0], a[1] = a[1], a[0]
		}},
	} {
		c := next(t, old)
		row.change(c)
		says := charter.Changes(old, c)
		if !slices.ContainsFunc(says, func(s string) bool { return strings.HasPrefix(s, row.want) }) {
			t.Errorf("want %q, got %q", row.want, says)
		}
		if slices.ContainsFunc(says, func(s string) bool { return strings.HasPrefix(s, "Other parts") }) != (row.want[:5] == "Other") {
			t.Errorf("%q: %q", row.want, says)
		}
	}
}

// clock returns a beacon of the same key with another clock.
func clock(b *beacon.Beacon, genesis, period uint64) *beacon.Beacon {
	return &beacon.Beacon{Key: b.Key, Genesis: b.Genesis + genesis, Period: b.Period + period}
}

// A beacon with another key may have any clock.
func TestOtherBeacon(t *testing.T) {
	w := chartertest.New("other beacon")
	second := next(t, w.Charter)
	second.Beacon = beacontest.New("another", 5, 7, 2, 2).Beacon()
	if _, err := w.Sign(second).Verify(w.Charter); err != nil {
		t.Fatal(err)
	}
}
