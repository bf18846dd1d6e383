package delivery

import (
	"context"
	"time"

	"writ/api"
	"writ/ledger"
	"writ/warrant"
)

// authority verifies that the warrant's entry is on the ledger under a fresh
// checkpoint, that it is this warrant's and carries its approvals, and, by delivery's own copy of
// the ledger, that its charter is in force and the cap is not passed. The last comes
// last: only who holds a logged warrant makes delivery read the ledger.
func (s *Service) authority(ctx context.Context, r *api.DiscloseRequest) (*warrant.Verified, error) {
	w, err := warrant.Parse(r.Warrant)
	if err != nil {
		return nil, malformed("%v", err)
	}
	law, ok := s.config.Laws.Charter(w.Charter)
	if !ok {
		return nil, refused("the warrant's charter is unknown here")
	}
	policy, err := ledger.ParsePolicy(law.Policy)
	if err != nil {
		return nil, refused("%v", err)
	}
	in, err := policy.Include(r.WarrantEntry, r.WarrantProof, s.now(), time.Duration(law.Limits.Freshness)*time.Second)
	if err != nil {
		return nil, refused("%v", err)
	}
	if len(r.WarrantSalt) != 32 {
		return nil, malformed("salt of %d bytes", len(r.WarrantSalt))
	}
	e, salt := in.Entry().Warrant, [32]byte(r.WarrantSalt)
	if e == nil || !e.Verify(law.Docket) || e.Differs(w.Public(salt, law)) != "" {
		return nil, refused("the ledger entry is not this warrant's")
	}
	v, err := warrant.Verify(w, salt, e.Approvals, law, s.now())
	if err != nil {
		return nil, refused("%v", err)
	}
	if err := s.config.Laws.Actionable(ctx, in.Index(), in.Entry().Hash()); err != nil {
		return nil, refused("%v", err)
	}
	return v, nil
}
