package charter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"writ/internal/wire"
)

// rules are the rules of a single charter, in order. Those marked always hold
// for a charter without exceptional access too, whose other parts are empty.
// Rules from 30 on are those of [Signed.Verify].
var rules = []struct {
	number int
	always bool
	check  func(*Charter) error
}{
	{1, true, (*Charter).checkTexts},
	{2, true, (*Charter).checkNumber},
	{3, true, (*Charter).checkMode},
	{4, true, (*Charter).checkEmpty},
	{5, false, (*Charter).checkReview},
	{6, false, (*Charter).checkOffices},
	{7, false, (*Charter).checkPeople},
	{8, false, (*Charter).checkKeys},
	{9, false, (*Charter).checkDistinctKeys},
	{10, false, (*Charter).checkGates},
	{11, false, (*Charter).checkLeaves},
	{12, false, (*Charter).checkDiversity},
	{13, false, (*Charter).checkApproval},
	{14, false, (*Charter).checkAmendment},
	{15, false, (*Charter).checkLimits},
	{16, false, (*Charter).checkHorizon},
	{17, false, (*Charter).checkUrgent},
	{18, false, (*Charter).checkCaseTypes},
	{19, false, (*Charter).checkWebAuthn},
	{20, true, (*Charter).checkPolicy},
	{21, true, (*Charter).checkBeacon},
	{22, false, (*Charter).checkStatements},
	{23, true, (*Charter).checkSize},
	{24, true, (*Charter).checkDirectory},
	{25, false, (*Charter).checkPrivilege},
}

// Validate checks a charter's rules, and names the first that is broken:
//
//	 1  name, jurisdiction, legal basis and language are text, not blank, of
//	    bounded length
//	 2  the number is 1 or more, and 1 exactly if there is no previous hash
//	 3  the mode is known
//	 4  without exceptional access there are no offices, structure, rules,
//	    limits, case types, services' keys, custodians' keys, review date
//	 5  otherwise there is a review date, not after the year 9999
//	 6  two offices or more, with distinct names and a title
//	 7  approvers and custodians have names, distinct in the whole charter
//	    among approvers and among custodians
//	 8  every key is well formed and usable; none of small order
//	 9  all raw keys are distinct, the halves of hybrid keys too
//	10  at every gate 1 <= threshold <= children <= 255; depth at most 4, at
//	    most 64 custodians
//	11  every leaf names a custodian of an office, each at most once
//	12  every set that opens has custodians of two offices or more
//	13  approval names two offices or more, each once, with thresholds that
//	    its approvers can reach
//	14  amendment likewise, with approvers that have Ed25519 keys
//	15  limits are within the hard bounds; see limitBounds
//	16  private keys outlast an epoch: horizon >= longest epoch age
//	17  the urgent procedure is shorter than the normal one
//	18  one case type or more, names, distinct
//	19  a relying party and origins exactly if an approver uses WebAuthn, and
//	    synced passkeys only then
//	20  the witness policy is text, not blank
//	21  a charter with access names a beacon, one without names none
//	22  every key statement verifies, at most one for a custodian and period
//	23  the encoding has at most [MaxSize] bytes
//	24  the directory's witness policy is text, not blank, and its label key is
//	    not zero
//	25  privilege names offices that approval does not name, each once, with
//	    thresholds that its approvers can reach
func (c *Charter) Validate() error {
	for _, r := range rules {
		if c.Mode == NoAccess && !r.always {
			continue
		}
		if err := r.check(c); errors.Is(err, ErrUnsupported) {
			return fmt.Errorf("charter: rule %d: %w", r.number, err)
		} else if err != nil {
			return invalid(r.number, "%w", err)
		}
	}
	return nil
}

func invalid(rule int, format string, args ...any) error {
	return fmt.Errorf("charter: %w: rule %d: %w", ErrInvalid, rule, fmt.Errorf(format, args...))
}

func checkText(what, s string, max int) error {
	if strings.TrimSpace(s) == "" || len(s) > max {
		return fmt.Errorf("%s is blank or longer than %d bytes", what, max)
	}
	hidden := func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }
	if !utf8.ValidString(s) || strings.ContainsFunc(s, hidden) {
		return fmt.Errorf("%s is not plain text", what)
	}
	return nil
}

func (c *Charter) checkTexts() error {
	return errors.Join(checkText("name", c.Name, maxText), checkText("jurisdiction", c.Jurisdiction, maxText),
		checkText("legal basis", c.LegalBasis, maxLongText), checkText("language", c.Language, maxText))
}

func (c *Charter) checkNumber() error {
	if c.Number == 0 || (c.Number == 1) != (c.Previous == Hash{}) {
		return fmt.Errorf("version %d with previous hash %s", c.Number, c.Previous)
	}
	return nil
}

func (c *Charter) checkMode() error {
	if c.Mode > AccountableAccess {
		return fmt.Errorf("%w: mode %d", ErrUnsupported, c.Mode)
	}
	return nil
}

func (c *Charter) checkEmpty() error {
	if c.Mode != NoAccess {
		return nil
	}
	lists := len(c.Offices) + len(c.Approval) + len(c.Amendment) + len(c.Privilege) + len(c.CaseTypes) + len(c.Origins) + len(c.Keys)
	if lists > 0 || c.Structure != nil || c.Limits != (Limits{}) || c.SyncedPasskeys || c.RPID != "" ||
		c.Docket != (DocketKey{}) || c.Delivery != (DeliveryKey{}) || c.Review != 0 {
		return errors.New("no exceptional access, but parts that belong to it")
	}
	return nil
}

func (c *Charter) checkReview() error {
	if c.Review == 0 || c.Review > wire.MaxTime {
		return errors.New("no review date, or one after the year 9999")
	}
	return nil
}

func (c *Charter) checkOffices() error {
	var ids []string
	for _, o := range c.Offices {
		ids = append(ids, o.ID)
		if err := checkText("title of office "+o.ID, o.Title, maxText); err != nil {
			return err
		}
	}
	if len(ids) < 2 {
		return errors.New("fewer than two offices")
	}
	return checkNames("office", ids)
}

func (c *Charter) checkPeople() error {
	var approvers, custodians []string
	for _, o := range c.Offices {
		for _, a := range o.Approvers {
			approvers = append(approvers, a.ID)
		}
		for _, cu := range o.Custodians {
			custodians = append(custodians, cu.ID)
		}
	}
	return errors.Join(checkNames("approver", approvers), checkNames("custodian", custodians))
}

// checkNames demands names, each once.
func checkNames(what string, names []string) error {
	seen := map[string]bool{}
	for _, n := range names {
		if !wire.ValidName(n) || seen[n] {
			return fmt.Errorf("%s %q is not a name, or stands twice", what, n)
		}
		seen[n] = true
	}
	return nil
}

func (c *Charter) checkCaseTypes() error {
	if len(c.CaseTypes) == 0 {
		return errors.New("no case types")
	}
	return checkNames("case type", c.CaseTypes)
}

func (c *Charter) checkPolicy() error { return checkText("witness policy", c.Policy, maxPolicy) }

func (c *Charter) checkDirectory() error {
	if c.Directory.VRF == [32]byte{} {
		return errors.New("the directory has no label key")
	}
	return checkText("witness policy of the directory", c.Directory.Policy, maxPolicy)
}

func (c *Charter) checkBeacon() error {
	if (c.Mode == AccountableAccess) != (c.Beacon != nil) {
		return errors.New("access and a beacon go together")
	}
	return nil
}

func (c *Charter) checkStatements() error {
	if _, err := c.soundKeys(nil); err != nil {
		return err
	}
	type slot struct {
		custodian string
		period    uint32
	}
	seen := map[slot]bool{}
	for _, k := range c.Keys {
		if seen[slot{k.Custodian, k.Period}] {
			return fmt.Errorf("two keys of %s for period %d", k.Custodian, k.Period)
		}
		seen[slot{k.Custodian, k.Period}] = true
	}
	return nil
}

func (c *Charter) checkSize() error {
	if n := len(c.Encode()); n > MaxSize {
		return fmt.Errorf("encoding of %d bytes", n)
	}
	return nil
}

func (c *Charter) usesWebAuthn() bool {
	return slices.ContainsFunc(c.Offices, func(o Office) bool {
		return slices.ContainsFunc(o.Approvers, func(a Approver) bool { return a.WebAuthn != nil })
	})
}

func (c *Charter) checkWebAuthn() error {
	uses := c.usesWebAuthn()
	if uses != (c.RPID != "") || uses != (len(c.Origins) > 0) || !uses && c.SyncedPasskeys {
		return errors.New("relying party, origins and WebAuthn approvers don't go together")
	}
	for i, o := range c.Origins {
		secure := strings.HasPrefix(o, "https://") || o == "http://localhost" || strings.HasPrefix(o, "http://localhost:")
		if !secure || checkText("origin", o, maxText) != nil || slices.Contains(c.Origins[:i], o) {
			return fmt.Errorf("origin %q is not https, or stands twice", o)
		}
	}
	if uses {
		return checkText("relying party", c.RPID, maxText)
	}
	return nil
}
