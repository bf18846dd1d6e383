package docket

import (
	"errors"
	"fmt"
	"slices"

	"writ/charter"
	"writ/internal/wire"
	"writ/ledger"
	"writ/warrant"
)

// charter returns a version of a charter from the docket's copy of the ledger.
func (s *Server) charter(h charter.Hash) (c *charter.Charter, err error) {
	s.ledger.View(func(b *ledger.Book) {
		var ok bool
		if c, ok = b.Charter(h); !ok {
			err = fmt.Errorf("charter %s is not on the ledger", h)
		}
	})
	return c, err
}

// inForce is charter for one that must be in force.
func (s *Server) inForce(h charter.Hash) (*charter.Charter, error) {
	c, err := s.charter(h)
	if err != nil {
		return nil, err
	}
	s.ledger.View(func(b *ledger.Book) {
		if now, ok := b.InForce(c.Name, s.config.Now()); !ok || now.Hash() != h {
			err = fmt.Errorf("charter %s is not in force", h)
		}
	})
	return c, err
}

// check reports why an entry would not count on the ledger.
func (s *Server) check(entry []byte) (err error) {
	e, err := ledger.ParseEntry(entry)
	if err != nil {
		return err
	}
	s.ledger.View(func(b *ledger.Book) { err = b.Check(e) })
	return err
}

// verifyApproval checks one approval against the key that the charter names,
// knowing the warrant's hash only.
func verifyApproval(a warrant.Approval, h warrant.Hash, c *charter.Charter) error {
	by := c.Approver(a.Office, a.Approver)
	switch {
	case by == nil || !slices.ContainsFunc(c.Approval, func(r charter.Rule) bool { return r.Office == a.Office }):
		return errors.New("the charter gives no such approver a say")
	case by.WebAuthn != nil || a.Kind != warrant.Ed25519:
		return errors.New("the docket takes Ed25519 approvals only")
	}
	var content wire.Writer
	content.String(a.Office)
	content.Fixed(h[:])
	if !by.Key.Verify("approval", content.Bytes(), a.Signature) {
		return errors.New("signature does not verify")
	}
	return nil
}
