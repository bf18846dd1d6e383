package docket

import (
	"fmt"

	"writ/charter"
	"writ/ledger"
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
