package custodian

import (
	"context"
	"errors"
	"fmt"

	"writ/charter"
	"writ/engine"
	"writ/ledger"
)

// keepPeriods makes and logs the keys of this and the next key period. The key
// is in the key file before its statement leaves.
func (s *Server) keepPeriods(ctx context.Context) error {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	n := s.keys.names
	c, err := s.inForce()
	if err != nil {
		return err
	}
	if k := c.Custodian(n.Office, n.Custodian); k == nil || k.Key != s.keys.verifier() || c.Mode == charter.NoAccess {
		return errors.New("custodian: refused: the charter in force has no custodian of this name and key")
	}
	now := c.Period(s.config.Now())
	for _, period := range []uint32{now, now + 1} {
		if s.hasKey(period) {
			continue
		}
		if err := s.stateKey(ctx, period); err != nil {
			return err
		}
		s.config.Log.Info("new key", "period", period)
	}
	return nil
}

// stateKey makes a period's key, unless there is one, and logs its statement. One that
// can't count, because another custodian stated a half of it first, is thrown away, and the
// next turn makes another: nothing was sealed to it.
func (s *Server) stateKey(ctx context.Context, period uint32) error {
	if err := s.keys.generate(s.config.KEM, period); err != nil {
		return err
	}
	err := s.log(ctx, ledger.CustodianKeyEntry(s.keys.statement(period)))
	if errors.Is(err, ledger.ErrInvalid) && !s.hasKey(period) {
		return errors.Join(err, s.keys.destroy(period))
	}
	return err
}

// destroyDue destroys the keys whose horizon comes before the next turn. It goes by this
// custodian's clock and its copy of the ledger as it is, and asks nobody: whoever
// keeps the ledger away keeps no key alive.
func (s *Server) destroyDue(ctx context.Context) error {
	now := s.config.Now()
	for _, period := range s.keys.held() {
		var at uint64
		var known bool
		s.ledger.View(func(b *ledger.Book) { at, known = b.DestroyBy(s.keys.names.Charter, period, now) })
		if !known || uint64(now.Add(s.config.Poll).Unix()) < at {
			continue
		}
		if err := s.destroy(ctx, period); err != nil {
			return err
		}
	}
	return nil
}

// destroy erases a period's key and queues the statement of it. First the intent is
// written down, so that after a kill at any step the next turn, or the next start, goes on.
func (s *Server) destroy(ctx context.Context, period uint32) error {
	entry := s.destruction(period).Entry()
	if err := s.records.Apply(ctx, engine.Insert(destructions, periodKeyOf(period), entry)); err != nil {
		return fmt.Errorf("custodian: %w", err)
	}
	return s.finishDestructions(ctx)
}

// finishDestructions erases the keys of which a destruction was begun, and queues their
// entries.
func (s *Server) finishDestructions(ctx context.Context) error {
	list, err := s.records.Scan(ctx, destructions, nil, 1<<16)
	if err != nil {
		return fmt.Errorf("custodian: %w", err)
	}
	for _, d := range list {
		e, err := ledger.ParseEntry(d.Value)
		if err != nil || e.Destruction == nil {
			return errors.Join(errors.New("custodian: invalid: stored destruction"), err)
		}
		if err := s.keys.destroy(e.Destruction.Period); err != nil {
			return err
		}
		hash := e.Hash()
		if err := s.records.Apply(ctx, engine.Delete(destructions, d.Key), engine.Insert(unlogged, hash[:], d.Value)); err != nil {
			return fmt.Errorf("custodian: %w", err)
		}
		s.config.Log.Info("destroyed", "period", e.Destruction.Period)
		s.nudge()
	}
	return nil
}

// destruction states that a period's key is gone: the same bytes each time.
func (s *Server) destruction(period uint32) *ledger.Destruction {
	n := s.keys.names
	x := &ledger.Destruction{Office: n.Office, Custodian: n.Custodian, Period: period, CharterName: n.Charter}
	x.Sign(ledger.CustodianSigner(s.keys.signing))
	return x
}
