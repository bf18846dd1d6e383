package warrant

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"writ/charter/chartertest"
	"writ/internal/wire"
)

// TestPrivilegeNeedsItsOffice is R35 for approvals: the bar must sign a warrant
// that reaches privileged conversations, and no other.
func TestPrivilegeNeedsItsOffice(t *testing.T) {
	c := newCourt(t)
	c.World = chartertest.New("bar", chartertest.WithBar...)
	c.warrant.Charter = c.Charter.Hash()
	if _, err := c.verify(c.approvals(t)); err != nil {
		t.Fatal(err)
	}
	c.warrant.Flags = IsPrivileged
	v, err := c.verify(c.approvals(t))
	wantRule(t, "without the bar", v, err, RuleApproval)
	v, err = c.verify(append([]Approval{c.sign(t, "bar", "bar-approver-2")}, c.approvals(t)...))
	if err != nil || !slices.Equal(v.Offices(), []string{"bar", "judicial", "oversight"}) {
		t.Errorf("with the bar: %v", err)
	}
	v, err = c.verify([]Approval{c.sign(t, "bar", "bar-approver-2"), c.sign(t, "judicial", "judicial-approver-1")})
	wantRule(t, "the bar in another's place", v, err, RuleApproval)
}

// TestPublicDiffers: the one comparison of an entry with its warrant sees every
// field.
func TestPublicDiffers(t *testing.T) {
	c := newCourt(t)
	good := c.warrant.Public([32]byte{1}, c.Charter)
	if d := good.Differs(c.warrant.Public([32]byte{1}, c.Charter)); d != "" {
		t.Fatalf("differs from itself in %s", d)
	}
	for want, change := range map[string]func(*Public){
		"commitment":    func(p *Public) { p.Commitment[31] ^= 1 },
		"charter":       func(p *Public) { p.Charter[31] ^= 1 },
		"action":        func(p *Public) { p.Action = Preserve },
		"renewal":       func(p *Public) { p.Renews[31] ^= 1 },
		"case type":     func(p *Public) { p.CaseType += "x" },
		"offices":       func(p *Public) { p.Offices = p.Offices[:1] },
		"window":        func(p *Public) { p.Window++ },
		"begin of life": func(p *Public) { p.NotBefore++ },
		"end of life":   func(p *Public) { p.NotAfter++ },
		"flags":         func(p *Public) { p.Flags ^= IsTest },
		"readers":       func(p *Public) { p.Readers = append(p.Readers, [32]byte{255}) },
	} {
		bad := c.warrant.Public([32]byte{1}, c.Charter)
		change(&bad)
		if d := good.Differs(bad); d != want {
			t.Errorf("%s: found %q", want, d)
		}
		if bytes.Equal(bad.Encode(), good.Encode()) {
			t.Errorf("%s is not encoded", want)
		}
	}
}

func TestReadPublic(t *testing.T) {
	c := newCourt(t)
	for name, change := range map[string]func(*Public){
		"action":           func(p *Public) { p.Action = 3 },
		"flag":             func(p *Public) { p.Flags = 8 },
		"no offices":       func(p *Public) { p.Offices = nil },
		"offices unsorted": func(p *Public) { slices.Reverse(p.Offices) },
		"office twice":     func(p *Public) { p.Offices[1] = p.Offices[0] },
		"no life":          func(p *Public) { p.NotAfter = p.NotBefore },
		"no reader":        func(p *Public) { p.Readers = nil },
		"readers unsorted": func(p *Public) { p.Readers = [][32]byte{{2}, {1}} },
		"reader twice":     func(p *Public) { p.Readers = [][32]byte{{1}, {1}} },
	} {
		bad := c.warrant.Public([32]byte{1}, c.Charter)
		change(&bad)
		_, err := ReadPublic(wire.NewReader(bad.Encode()))
		if !errors.Is(err, wire.ErrMalformed) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPreserveNeedsNoReader: what is only kept, nobody reads (WAR-14, WAR-35).
func TestPreserveNeedsNoReader(t *testing.T) {
	p := Public{Action: Preserve, CaseType: "homicide", Offices: []string{"a"}, NotAfter: 1}
	if _, err := ReadPublic(wire.NewReader(p.Encode())); err != nil {
		t.Error(err)
	}
}

func FuzzReadPublic(f *testing.F) {
	good := Public{Commitment: [32]byte{1}, Action: Disclose, CaseType: "homicide", Offices: []string{"a", "b"}, NotAfter: 1, Readers: [][32]byte{{1}}}
	f.Add(good.Encode())
	good.Readers = nil
	f.Add(good.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadPublic(wire.NewReader(b))
		if err == nil && !bytes.HasPrefix(b, p.Encode()) {
			t.Fatalf("%x encodes as %x", b, p.Encode())
		}
	})
}
