package custodian

import (
	"context"
	"errors"
	"fmt"

	"writ/capsule"
	"writ/charter"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// authorize runs the checks on the custodian's own copy, clock and keys. Where the store
// failed there is neither: nothing was found out.
func (s *Server) authorize(ctx context.Context, req *unseal.Request) (a *unseal.Authorization, refusal *unseal.Refusal, failed error) {
	kept := func(b *ledger.Book, h capsule.Hash) []byte {
		share, err := s.kept(ctx, b, h)
		failed = errors.Join(failed, err)
		return share
	}
	a, refusal = unseal.Authorize(req, unseal.Facts{Charter: s.keys.names.Charter, View: s.ledger.View, Policy: s.ledger.Policy(),
		Now: s.config.Now(), Keys: s.keys.ring(), Kept: kept})
	if failed != nil {
		return nil, nil, failed
	}
	return a, refusal, nil
}

// warrantOf returns where the warrant entry of a request stands.
func warrantOf(req *unseal.Request) (uint64, error) {
	e, err := ledger.ParseEntry(req.RequestEntry)
	if err != nil {
		return 0, err
	}
	if e.Request == nil {
		return 0, errors.New("custodian: malformed: not a request entry")
	}
	return e.Request.WarrantIndex, nil
}

// knowing reports whether a request comes from somebody who knows the warrant:
// the docket of a version of this law signed the request entry, and the package
// opens the commitment of the warrant entry that it names. Entries are public;
// warrant and salt are not.
func (s *Server) knowing(req *unseal.Request) bool {
	e, err := ledger.ParseEntry(req.RequestEntry)
	if err != nil || e.Request == nil {
		return false
	}
	w, err := ledger.ParseEntry(req.WarrantEntry)
	if err != nil || w.Warrant == nil || e.Request.Warrant != w.Hash() ||
		w.Warrant.Commitment != warrant.Commitment(req.WarrantSalt, warrant.HashOf(req.Warrant)) {
		return false
	}
	var law *charter.Charter
	s.ledger.View(func(b *ledger.Book) { law, _ = b.Charter(w.Warrant.Charter) })
	return law != nil && law.Name == s.keys.names.Charter && e.Request.Verify(law.Docket)
}

// inForce returns the version of the custodian's law that is in force.
func (s *Server) inForce() (c *charter.Charter, err error) {
	s.ledger.View(func(b *ledger.Book) {
		var ok bool
		if c, ok = b.InForce(s.keys.names.Charter, s.config.Now()); !ok {
			err = fmt.Errorf("custodian: no charter %q is in force in its copy of the ledger", s.keys.names.Charter)
		}
	})
	return c, err
}

func (s *Server) hasWarrant(index uint64) (ok bool) {
	s.ledger.View(func(b *ledger.Book) { _, ok = b.Warrant(index) })
	return ok
}

// hasKey reports whether the ledger has this custodian's key for a period.
func (s *Server) hasKey(period uint32) (ok bool) {
	n := s.keys.names
	s.ledger.View(func(b *ledger.Book) { _, ok = b.Key(n.Charter, n.Office, n.Custodian, period) })
	return ok
}
