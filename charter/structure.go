package charter

import (
	"errors"
	"fmt"
)

// leaves returns the custodians of a structure in order.
func (n *Node) leaves() []*Node {
	if n == nil {
		return nil
	}
	if len(n.Children) == 0 {
		return []*Node{n}
	}
	var all []*Node
	for _, c := range n.Children {
		all = append(all, c.leaves()...)
	}
	return all
}

// satisfied reports whether the leaves for which has holds open the node.
func (n *Node) satisfied(has func(leaf *Node) bool) bool {
	if len(n.Children) == 0 {
		return has(n)
	}
	open := 0
	for _, c := range n.Children {
		if c.satisfied(has) {
			open++
		}
	}
	return open >= int(n.Threshold)
}

// Opens reports whether the custodians for which has holds satisfy the access
// structure.
func (c *Charter) Opens(has func(office, custodian string) bool) bool {
	return c.Structure != nil && c.Structure.satisfied(func(l *Node) bool { return has(l.Office, l.Custodian) })
}

func (c *Charter) checkGates() error {
	if c.Structure == nil {
		return errors.New("no access structure")
	}
	if err := c.Structure.checkGate(1); err != nil {
		return err
	}
	if n := len(c.Structure.leaves()); n > maxLeaves {
		return fmt.Errorf("%d custodians in the access structure", n)
	}
	return nil
}

func (n *Node) checkGate(depth int) error {
	if n == nil || depth > maxDepth {
		return fmt.Errorf("access structure deeper than %d", maxDepth)
	}
	if len(n.Children) == 0 {
		if n.Threshold != 0 {
			return errors.New("gate without children")
		}
		return nil
	}
	if n.Threshold < 1 || int(n.Threshold) > len(n.Children) || len(n.Children) > 255 || n.Office+n.Custodian != "" {
		return fmt.Errorf("gate of %d of %d", n.Threshold, len(n.Children))
	}
	for _, c := range n.Children {
		if err := c.checkGate(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

func (c *Charter) checkLeaves() error {
	seen := map[string]bool{}
	for _, l := range c.Structure.leaves() {
		if c.Custodian(l.Office, l.Custodian) == nil {
			return fmt.Errorf("access structure names %q of %q, who is no custodian", l.Custodian, l.Office)
		}
		if seen[l.Custodian] {
			return fmt.Errorf("custodian %s stands twice in the access structure", l.Custodian)
		}
		seen[l.Custodian] = true
	}
	return nil
}

// checkDiversity tries all custodians of one office at a time. More custodians
// never open less, so if all of an office can't open, no part of it can.
func (c *Charter) checkDiversity() error {
	for _, o := range c.Offices {
		alone := func(leaf *Node) bool { return leaf.Office == o.ID }
		if c.Structure.satisfied(alone) {
			return fmt.Errorf("office %s can open alone", o.ID)
		}
	}
	return nil
}

func (c *Charter) checkApproval() error { return c.checkDoubleLock(c.Approval, anyApprover) }

func (c *Charter) checkAmendment() error {
	return c.checkDoubleLock(c.Amendment, func(a Approver) bool { return a.WebAuthn == nil })
}

// checkPrivilege: further offices, which have not said yes already.
func (c *Charter) checkPrivilege() error { return c.checkRules(c.WarrantRules(true), anyApprover) }

func anyApprover(Approver) bool { return true }

func (c *Charter) checkDoubleLock(rs Rules, may func(Approver) bool) error {
	if len(rs) < 2 {
		return errors.New("fewer than two offices must agree")
	}
	return c.checkRules(rs, may)
}

// checkRules demands that each rule names another office, and can be met by its
// approvers that may sign.
func (c *Charter) checkRules(rs Rules, may func(Approver) bool) error {
	seen := map[string]bool{}
	for _, r := range rs {
		o, able := c.Office(r.Office), 0
		if o == nil || seen[r.Office] {
			return fmt.Errorf("%q is no office, or stands twice", r.Office)
		}
		seen[r.Office] = true
		for _, a := range o.Approvers {
			if may(a) {
				able++
			}
		}
		if r.Threshold < 1 || int(r.Threshold) > able {
			return fmt.Errorf("%d approvers of %s, of whom %d can sign", r.Threshold, r.Office, able)
		}
	}
	return nil
}
