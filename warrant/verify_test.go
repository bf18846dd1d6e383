package warrant

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"writ/charter"
	"writ/charter/chartertest"
	"writ/internal/wire"
)

// court is a world of three offices in which a judge and an overseer approve,
// two judges by passkey too, with a warrant that is good at chartertest.Now.
type court struct {
	*chartertest.World
	warrant *Warrant
	es256   *authenticator
	eddsa   *authenticator
}

func newCourt(t testing.TB) *court {
	c := &court{es256: newAuthenticator(t, charter.ES256), eddsa: newAuthenticator(t, charter.EdDSA)}
	shapes := slices.Clone(chartertest.Three)
	shapes[0].WebAuthn = []charter.WebAuthnKey{c.es256.public, c.eddsa.public}
	shapes[2].Approvers = 1
	c.World = chartertest.New("court", shapes...)
	now := uint64(chartertest.Now.Unix())
	w := order()
	w.Charter, w.CaseType, w.Jurisdiction = c.Charter.Hash(), "missing-person", c.Charter.Jurisdiction
	w.Flags = 0
	w.WindowStart, w.WindowEnd = "2026-10-20T00:00:00+02:00", "2026-11-10T00:00:00+01:00"
	w.NotBefore, w.NotAfter, w.NoticeDue = now, now+20*86400, now+30*86400
	c.warrant = w
	return c
}

// sign is an approval by an Ed25519 approver named OFFICE-approver-N.
func (c *court) sign(t testing.TB, office, approver string) Approval {
	return approverKey(t, c.Approvers[approver].Seed()).Approve(c.approved(), office, approver)
}

func approverKey(t testing.TB, seed []byte) *ApproverKey {
	k, err := ParseApproverKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// salt is that of the court's warrant.
var salt = [32]byte{1}

// approved is what approvers sign of the court's warrant.
func (c *court) approved() Hash {
	p := c.warrant.Public(salt, c.Charter)
	return p.Hash()
}

func (c *court) approvals(t testing.TB) []Approval {
	return []Approval{c.sign(t, "judicial", "judicial-approver-1"), c.sign(t, "oversight", "oversight-approver-2")}
}

func (c *court) verify(list []Approval) (*Verified, error) {
	return Verify(c.warrant, salt, list, c.Charter, chartertest.Now)
}

func wantRule(t *testing.T, name string, v *Verified, err error, want Rule) {
	t.Helper()
	var e *RefusedError
	if v != nil || !errors.As(err, &e) || e.Rule != want || !errors.Is(err, ErrRefused) {
		t.Errorf("%s: got %v, %v; want rule %d", name, v, err, want)
	}
}

func TestVerifyAccepts(t *testing.T) {
	c := newCourt(t)
	v, err := c.verify(c.approvals(t))
	if err != nil {
		t.Fatal(err)
	}
	if v.Hash() != c.warrant.Hash() || !slices.Equal(v.Offices(), []string{"judicial", "oversight"}) {
		t.Errorf("hash or offices differ: %v", v.Offices())
	}
	c.warrant.Subject = "mallory"
	if w := v.Warrant(); w.Subject != "alice" {
		t.Error("verified warrant changed with the caller's")
	}
}

// TestVerifyRules is one row per rule, each at its edge: the row passes with
// edge applied and breaks the rule with broken applied on top.
func TestVerifyRules(t *testing.T) {
	const day = 86400
	none := func(*court) {}
	emergency := func(c *court) { c.warrant.Flags = IsEmergency; c.warrant.NotAfter = c.warrant.NotBefore + 2*day }
	for _, r := range []struct {
		name         string
		rule         Rule
		edge, broken func(*court)
	}{
		{"another charter", RuleCharter, none, func(c *court) { c.warrant.Charter[0] ^= 1 }},
		{"no exceptional access", RuleCharter, none, func(c *court) {
			c.Charter.Mode = charter.NoAccess
			c.warrant.Charter = c.Charter.Hash()
		}},
		{"jurisdiction", RuleJurisdiction, none, func(c *court) { c.warrant.Jurisdiction += "x" }},
		{"case type", RuleCaseType, none, func(c *court) { c.warrant.CaseType = "curiosity" }},
		{"R35 privileged without a rule", RulePrivilege, none, func(c *court) { c.warrant.Flags = IsPrivileged }},
		{"emergency without procedure", RuleEmergency, emergency, func(c *court) {
			c.Charter.Limits.Urgent = nil
			c.warrant.Charter = c.Charter.Hash()
		}},
		{"R19 life too long", RuleLifeLength,
			func(c *court) { c.warrant.NotAfter = c.warrant.NotBefore + 30*day },
			func(c *court) { c.warrant.NotAfter++ }},
		{"R18 emergency lives shorter", RuleLifeLength, emergency, func(c *court) { c.warrant.NotAfter++ }},
		{"R19 window too long", RuleWindow,
			func(c *court) {
				c.warrant.WindowStart, c.warrant.WindowEnd = "2026-10-10T00:00:00Z", "2026-11-10T00:00:00Z"
			},
			func(c *court) { c.warrant.WindowEnd = "2026-11-10T00:00:01Z" }},
		{"window too long across zones", RuleWindow, none,
			func(c *court) {
				c.warrant.WindowStart, c.warrant.WindowEnd = "2026-10-10T00:00:00+02:00", "2026-11-10T00:00:00+01:00"
			}},
		{"notice too late", RuleNotice,
			func(c *court) { _, end := c.warrant.Window(); c.warrant.NoticeDue = uint64(end.Unix()) + 90*day },
			func(c *court) { c.warrant.NoticeDue++ }},
		{"notice too late, past window", RuleNotice,
			func(c *court) {
				c.warrant.WindowStart, c.warrant.WindowEnd = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
				c.warrant.NoticeDue = c.warrant.NotBefore + 90*day
			},
			func(c *court) { c.warrant.NoticeDue++ }},
		{"notice too late, far window", RuleNotice,
			func(c *court) {
				c.warrant.WindowStart, c.warrant.WindowEnd = "2029-01-01T00:00:00Z", "2029-01-02T00:00:00Z"
				c.warrant.NoticeDue = c.warrant.NotAfter + 90*day
			},
			func(c *court) { c.warrant.NoticeDue++ }},
	} {
		c := newCourt(t)
		r.edge(c)
		if _, err := c.verify(c.approvals(t)); err != nil {
			t.Errorf("%s: refused at the edge: %v", r.name, err)
		}
		r.broken(c)
		v, err := c.verify(c.approvals(t))
		wantRule(t, r.name, v, err, r.rule)
	}
}

func TestVerifyNow(t *testing.T) {
	c := newCourt(t)
	at := func(unix uint64) (*Verified, error) {
		return Verify(c.warrant, salt, c.approvals(t), c.Charter, time.Unix(int64(unix), 0))
	}
	for _, good := range []uint64{c.warrant.NotBefore, c.warrant.NotAfter - 1} {
		if _, err := at(good); err != nil {
			t.Errorf("at %d: %v", good, err)
		}
	}
	for name, bad := range map[string]uint64{"before life": c.warrant.NotBefore - 1, "R19 after life": c.warrant.NotAfter} {
		v, err := at(bad)
		wantRule(t, name, v, err, RuleLife)
	}
	c.Charter.Review = c.warrant.NotBefore + 9
	c.warrant.Charter = c.Charter.Hash()
	if _, err := at(c.Charter.Review - 1); err != nil {
		t.Error(err)
	}
	v, err := at(c.Charter.Review)
	wantRule(t, "R39 review date", v, err, RuleReview)
}

func TestApprovals(t *testing.T) {
	c := newCourt(t)
	judge, overseer := c.sign(t, "judicial", "judicial-approver-1"), c.sign(t, "oversight", "oversight-approver-1")
	with := func(a Approval, change func(*Approval)) Approval {
		a.Signature = slices.Clone(a.Signature)
		change(&a)
		return a
	}
	other := newCourt(t)
	other.warrant.Reference = "Ref. 18/2026"
	salted, hashed := overseer, overseer // of the same warrant, with another salt, and of its hash
	p := c.warrant.Public([32]byte{2}, c.Charter)
	key := approverKey(t, c.Approvers["oversight-approver-1"].Seed())
	salted.Signature = key.Approve(p.Hash(), "oversight", "oversight-approver-1").Signature
	hashed.Signature = key.Approve(c.warrant.Hash(), "oversight", "oversight-approver-1").Signature
	for _, r := range []struct {
		name string
		list []Approval
	}{
		{"none", nil},
		{"one office only", []Approval{judge}},
		{"two of one office are no double lock", []Approval{judge, c.sign(t, "judicial", "judicial-approver-2")}},
		{"approver twice", []Approval{judge, judge}},
		{"approval with another salt", []Approval{judge, salted}},
		{"approval of the warrant's hash", []Approval{judge, hashed}},
		{"unsorted", []Approval{overseer, judge}},
		{"more than the charter asks for", []Approval{judge, c.sign(t, "judicial", "judicial-approver-2"), overseer}},
		{"repeated beside enough", []Approval{judge, judge, overseer}},
		{"R20 approval of another warrant", []Approval{judge, other.sign(t, "oversight", "oversight-approver-1")}},
		{"approval for another office", []Approval{judge, with(judge, func(a *Approval) { a.Office = "oversight" })}},
		{"office relabelled with its approver's name", []Approval{judge, c.sign(t, "judicial", "oversight-approver-1")}},
		{"name of another approver", []Approval{overseer, with(judge, func(a *Approval) { a.Approver = "judicial-approver-2" })}},
		{"bit flipped", []Approval{overseer, with(judge, func(a *Approval) { a.Signature[5] ^= 1 })}},
		{"signature empty", []Approval{overseer, with(judge, func(a *Approval) { a.Signature = nil })}},
		{"kind relabelled", []Approval{overseer, with(judge, func(a *Approval) { a.Kind = WebAuthn })}},
		{"kind unknown", []Approval{overseer, with(judge, func(a *Approval) { a.Kind = 3 })}},
		{"unknown approver", []Approval{overseer, judge, with(judge, func(a *Approval) { a.Approver = "nobody" })}},
		{"office outside the rule", []Approval{overseer, judge, c.sign(t, "publication", "publication-approver-1")}},
		{"one bad beside enough", []Approval{judge, overseer,
			with(c.sign(t, "judicial", "judicial-approver-2"), func(a *Approval) { a.Signature[0] ^= 1 })}},
		{"too many", slices.Repeat([]Approval{judge, overseer}, 128)},
	} {
		if r.name != "unsorted" { // or it would be refused for that alone
			slices.SortFunc(r.list, CompareApprovals)
		}
		v, err := c.verify(r.list)
		wantRule(t, r.name, v, err, RuleApproval)
	}
	if _, err := c.verify([]Approval{judge, overseer}); err != nil {
		t.Error(err)
	}
}

// TestApproverCountsOnce: with a threshold of two, one approver twice is one.
func TestApproverCountsOnce(t *testing.T) {
	c := newCourt(t)
	c.Charter.Approval[0].Threshold = 2
	c.warrant.Charter = c.Charter.Hash()
	one, two := c.sign(t, "judicial", "judicial-approver-1"), c.sign(t, "judicial", "judicial-approver-2")
	overseer := c.sign(t, "oversight", "oversight-approver-1")
	v, err := c.verify([]Approval{one, one, overseer})
	wantRule(t, "twice", v, err, RuleApproval)
	if _, err := c.verify([]Approval{one, two, overseer}); err != nil {
		t.Error(err)
	}
}

// TestVerifyChecksForm: a warrant built by hand can't skip the rules of form.
func TestVerifyChecksForm(t *testing.T) {
	c := newCourt(t)
	c.warrant.Necessity = " "
	if v, err := c.verify(c.approvals(t)); v != nil || !errors.Is(err, wire.ErrMalformed) || !strings.Contains(err.Error(), "necessity") {
		t.Errorf("got %v, %v", v, err)
	}
}

func TestKeysForStorage(t *testing.T) {
	k, err := NewApproverKey()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseApproverKey(k.Bytes())
	if err != nil || again.Public() != k.Public() {
		t.Errorf("stored key differs: %v", err)
	}
	if k, err := ParseApproverKey(make([]byte, 31)); err == nil || k != nil {
		t.Error("short approver key")
	}
	if k, err := ParseMailKey(make([]byte, 31)); err == nil || k != nil {
		t.Error("short mail key")
	}
}
