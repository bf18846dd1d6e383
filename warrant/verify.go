package warrant

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"writ/charter"
)

// Rule names the rule of [Verify] that a warrant breaks.
type Rule uint8

// The rules, in the order in which Verify applies them.
const (
	RuleCharter      Rule = iota + 1 // 1: the warrant names this charter, which has exceptional access
	RuleJurisdiction                 // 2: the charter's jurisdiction
	RuleCaseType                     // 3: a case type the charter allows
	RulePrivilege                    // 4: privileged only where the charter has a privilege rule (R35)
	RuleEmergency                    // 5: an emergency only where the charter has the urgent procedure
	RuleLifeLength                   // 6: a life no longer than the charter's longest (R19, R18)
	RuleWindow                       // 7: a window no longer than the charter's longest (R19)
	RuleNotice                       // 8: notice no later than the charter's longest delay
	RuleApproval                     // 9: the approvals are those that the charter asks for, and each holds
	RuleLife                         // 10: now is within the life (R19)
	RuleReview                       // 11: now is before the charter's review date (R39)
)

// RefusedError says which rule a warrant breaks. It wraps [ErrRefused].
type RefusedError struct {
	Rule Rule
	Why  string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("warrant: refused: %s", e.Why) }

func (e *RefusedError) Unwrap() error { return ErrRefused }

// Verified is a warrant that [Verify] let through, and only Verify makes one. Warrant
// panics on a zero Verified, which holds none.
type Verified struct {
	warrant *Warrant
	hash    Hash
	offices []string
}

// Warrant returns the warrant. The caller doesn't change its slices.
func (v *Verified) Warrant() Warrant { return *v.warrant }

// Hash returns the warrant's hash.
func (v *Verified) Hash() Hash { return v.hash }

// Offices returns the offices that approved, sorted: all of
// [charter.Charter.WarrantRules].
func (v *Verified) Offices() []string { return slices.Clone(v.offices) }

// Verify checks form, charter, limits, approvals, life and review date, in this
// order, and returns a [RefusedError] for the first rule broken (a malformed
// warrant gives the error of [Parse]). The approvals are those of the warrant's
// public form with the salt. It can't know whether c is in force, nor whether the
// warrant is on the ledger.
func Verify(w *Warrant, salt [32]byte, approvals []Approval, c *charter.Charter, now time.Time) (*Verified, error) {
	w, err := Parse(w.Encode())
	if err != nil {
		return nil, err
	}
	if err := w.checkLaw(c); err != nil {
		return nil, err
	}
	if err := w.Fits(c); err != nil {
		return nil, err
	}
	p := w.Public(salt, c)
	if err := p.CheckApprovals(approvals, c); err != nil {
		return nil, err
	}
	if err := w.checkNow(c, now); err != nil {
		return nil, err
	}
	return &Verified{w, w.Hash(), p.Offices}, nil
}

func (w *Warrant) checkLaw(c *charter.Charter) error {
	switch {
	case w.Charter != c.Hash():
		return broken(RuleCharter, "it is under charter %s", w.Charter)
	case c.Mode != charter.AccountableAccess:
		return broken(RuleCharter, "the charter has no exceptional access")
	}
	return nil
}

// Fits checks what a warrant says against a charter's jurisdiction, case types
// and limits: rules 2 to 8. The charter needn't be the one it is under: a version
// before it sets limits for what was sealed under that one. The warrant must have
// been parsed.
func (w *Warrant) Fits(c *charter.Charter) error {
	switch {
	case w.Jurisdiction != c.Jurisdiction:
		return broken(RuleJurisdiction, "jurisdiction %q is not the charter's", w.Jurisdiction)
	case !slices.Contains(c.CaseTypes, w.CaseType):
		return broken(RuleCaseType, "case type %s is not the charter's", w.CaseType)
	case w.Flags&IsPrivileged != 0 && len(c.Privilege) == 0:
		return broken(RulePrivilege, "the charter knows no privileged conversations")
	}
	return w.checkLimits(c.Limits)
}

func (w *Warrant) checkLimits(l charter.Limits) error {
	longest := l.MaxWarrantLife
	if w.Flags&IsEmergency != 0 {
		if l.Urgent == nil {
			return broken(RuleEmergency, "the charter has no urgent procedure")
		}
		longest = l.Urgent.MaxLife
	}
	start, end := w.Window()
	switch latest := w.LatestNotice(l); {
	case w.NotAfter-w.NotBefore > longest:
		return broken(RuleLifeLength, "a life of %d s is longer than %d s", w.NotAfter-w.NotBefore, longest)
	case uint64(end.Unix()-start.Unix()) > l.MaxWindow:
		return broken(RuleWindow, "a window of %d s is longer than %d s", end.Unix()-start.Unix(), l.MaxWindow)
	case w.NoticeDue > latest:
		return broken(RuleNotice, "notice is due %d s later than allowed", w.NoticeDue-latest)
	}
	return nil
}

// LatestNotice returns the latest Unix time at which limits let the person be
// told. The delay runs from the window's end; for a window that lies in the past
// from the begin of life, for one beyond the life from its end.
func (w *Warrant) LatestNotice(l charter.Limits) uint64 {
	_, end := w.Window()
	return min(max(uint64(end.Unix()), w.NotBefore), w.NotAfter) + l.MaxNoticeDelay
}

// CheckApprovals checks that a list holds the approvals of the form that its
// charter c asks for: of each office that must approve as many as the rule says and
// no more, so that nobody's key is shown without need, in ascending order
// ([CompareApprovals]), each by another approver, and each verifies. It needs
// nothing secret: whoever reads the ledger asks the same. The error is a
// [RefusedError] of [RuleApproval].
func (p *Public) CheckApprovals(list []Approval, c *charter.Charter) error {
	counted := map[string]int{}
	for i, a := range list {
		if i > 0 && CompareApprovals(list[i-1], a) >= 0 {
			return broken(RuleApproval, "approvals are not sorted, or one stands twice")
		}
		counted[a.Office]++
	}
	asked := 0
	rules := c.WarrantRules(p.IsPrivileged())
	for _, r := range rules {
		asked += int(r.Threshold)
	}
	switch {
	case !rules.Satisfied(counted):
		return broken(RuleApproval, "approvals are missing from %s", strings.Join(rules.Missing(counted), " and "))
	case len(list) > asked:
		return broken(RuleApproval, "%d approvals, where the charter asks for %d", len(list), asked)
	}
	h := p.Hash()
	for _, a := range list {
		if err := a.Verify(h, c); err != nil {
			return broken(RuleApproval, "approval of %s of %s: %v", a.Approver, a.Office, err)
		}
	}
	return nil
}

// Verify checks one approval of what a hash stands for against the key that the
// charter names: whoever collects approvals needn't be able to read the warrant.
// The error wraps [ErrRefused] or is malformed.
func (a Approval) Verify(h Hash, c *charter.Charter) error {
	by := c.Approver(a.Office, a.Approver)
	inRule := slices.ContainsFunc(c.WarrantRules(true), func(r charter.Rule) bool { return r.Office == a.Office })
	switch {
	case by == nil || !inRule:
		return refused("the charter gives no such approver a say")
	case by.WebAuthn == nil && a.Kind == Ed25519:
		if !by.Key.Verify("approval", approvalContent(a.Office, h), a.Signature) {
			return refused("signature does not verify")
		}
		return nil
	case by.WebAuthn != nil && a.Kind == WebAuthn:
		assertion, err := ParseAssertion(a.Signature)
		if err != nil {
			return err
		}
		p := party{c.RPID, c.Origins, c.SyncedPasskeys}
		return assertion.verify(p, Challenge(a.Office, h), by.WebAuthn)
	}
	return refused("signed with another kind of key than the charter names")
}

func (w *Warrant) checkNow(c *charter.Charter, now time.Time) error {
	t := uint64(max(now.Unix(), 0))
	switch {
	case t < w.NotBefore:
		return broken(RuleLife, "its life begins %s", utc(w.NotBefore))
	case t >= w.NotAfter:
		return broken(RuleLife, "its life ended %s", utc(w.NotAfter))
	case t >= c.Review:
		return broken(RuleReview, "the charter was due for review %s", utc(c.Review))
	}
	return nil
}

func broken(r Rule, format string, args ...any) error {
	return &RefusedError{r, fmt.Sprintf(format, args...)}
}
