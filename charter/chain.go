package charter

import (
	"errors"
	"fmt"
	"strings"
)

// Verify returns the charter if it may follow the versions before it: all of them,
// the newest first, each itself verified; none for version 1. Rules, with numbers
// that follow those of [Charter.Validate]; the error names all that are broken:
//
//	30  version 1 has no predecessor; another follows the version before it,
//	    by number, hash and name
//	31  a charter without exceptional access has no successor
//	32  every signature is by an Ed25519 approver of the version before (for
//	    version 1 of itself), each approver once, and verifies
//	33  the signatures satisfy that version's amendment rule; a first version
//	    without exceptional access has no rule and no signatures
//	34  the length of the key period stays: key statements name a period by
//	    number only, and serve all versions
//	35  the horizon is not longer: people were promised when keys are destroyed
//	36  none of the approval, privilege and amendment rules is weaker: each office
//	    in it stays, with no lower threshold
//	37  a custodian's name keeps its office and signing key, over all versions,
//	    also when it left and comes back: ledger entries name a custodian by it
//
//	39  a beacon's key keeps its clock, over all versions: its operators sign
//	    rounds by the one clock they have
//
// Rules from 34 on bind versions with access.
func (s *Signed) Verify(before ...*Charter) (*Charter, error) {
	c, err := Parse(s.Charter)
	if err != nil {
		return nil, err
	}
	if err := c.follows(before); err != nil {
		return nil, err
	}
	law := c
	if len(before) > 0 {
		law = before[0]
	}
	signed, err := s.count(law)
	if err != nil {
		return nil, err
	}
	final := law.Mode == NoAccess // follows refuses one as predecessor
	if !final && !law.Amendment.Satisfied(signed) {
		return nil, fmt.Errorf("charter: %w: rule 33: %w", ErrInvalid, &UnsignedError{law.Amendment.Missing(signed)})
	}
	return c, nil
}

// UnsignedError means that all of a version's rules hold but one: signatures are missing.
type UnsignedError struct{ Offices []string }

func (e *UnsignedError) Error() string {
	return "signatures are missing from " + strings.Join(e.Offices, " and ")
}

func (c *Charter) follows(before []*Charter) error {
	if len(before) == 0 {
		if c.Number != 1 {
			return invalid(30, "version %d without its predecessor", c.Number)
		}
		return nil
	}
	prev := before[0]
	if prev.Mode == NoAccess {
		return invalid(31, "a charter without exceptional access is final")
	}
	var broken []error
	if c.Number != prev.Number+1 || c.Previous != prev.Hash() {
		broken = append(broken, invalid(30, "version %d does not follow version %d", c.Number, prev.Number))
	}
	if c.Name != prev.Name {
		broken = append(broken, invalid(30, "name %q follows %q", c.Name, prev.Name))
	}
	if c.Mode != NoAccess {
		broken = append(broken, c.keepsPromises(prev), c.keepsNames(before), c.keepsClock(before))
	}
	return errors.Join(broken...)
}

// keepsPromises is rules 34 to 36: what was sealed under the version before is not
// opened more easily, nor for longer.
func (c *Charter) keepsPromises(prev *Charter) error {
	var broken []error
	l, was := &c.Limits, &prev.Limits
	if l.KeyPeriod != was.KeyPeriod {
		broken = append(broken, invalid(34, "a key period of %d s follows one of %d s", l.KeyPeriod, was.KeyPeriod))
	}
	if l.Horizon > was.Horizon {
		broken = append(broken, invalid(35, "a horizon of %d s follows one of %d s", l.Horizon, was.Horizon))
	}
	for _, rule := range []struct {
		name     string
		now, was Rules
	}{{"approval", c.Approval, prev.Approval}, {"privilege", c.Privilege, prev.Privilege}, {"amendment", c.Amendment, prev.Amendment}} {
		for _, office := range rule.now.weaker(rule.was) {
			broken = append(broken, invalid(36, "the %s rule asks less of the office %s than before", rule.name, office))
		}
	}
	return errors.Join(broken...)
}

// weaker returns the offices of which rs ask less than was.
func (rs Rules) weaker(was Rules) []string {
	now := map[string]int{}
	for _, r := range rs {
		now[r.Office] = int(r.Threshold)
	}
	return was.Missing(now)
}

// keepsClock is rule 39.
func (c *Charter) keepsClock(before []*Charter) error {
	for _, v := range before {
		if b := v.Beacon; b.Key.Equal(c.Beacon.Key) && (b.Genesis != c.Beacon.Genesis || b.Period != c.Beacon.Period) {
			return invalid(39, "the beacon's key had another clock in version %d", v.Number)
		}
	}
	return nil
}

// keepsNames is rule 37.
func (c *Charter) keepsNames(before []*Charter) error {
	type post struct {
		office string
		key    CustodianKey
	}
	var broken []error
	held := map[string]post{}
	for _, v := range before {
		for _, o := range v.Offices {
			for _, k := range o.Custodians {
				held[k.ID] = post{o.ID, k.Key}
			}
		}
	}
	for _, o := range c.Offices {
		for _, k := range o.Custodians {
			if was, ok := held[k.ID]; ok && was != (post{o.ID, k.Key}) {
				broken = append(broken, invalid(37, "custodian %s had another key or office before; a new custodian has a new name", k.ID))
			}
		}
	}
	return errors.Join(broken...)
}
