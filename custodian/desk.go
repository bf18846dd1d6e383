package custodian

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/charter"
	"writ/engine"
	"writ/ledger"
)

// Status tells what is public of this custodian.
func (h handler) Status(ctx context.Context, _ *api.StatusRequest) (*api.StatusResponse, error) {
	size, checkpoint := h.ledger.Head()
	out := &api.StatusResponse{Charter: h.keys.names.Charter, Office: h.keys.names.Office, Custodian: h.keys.names.Custodian,
		Now: uint64(h.config.Now().Unix()), Ready: h.ledger.Fresh() == nil, LedgerSize: size, Periods: h.keys.held()}
	if !checkpoint.IsZero() {
		out.CheckpointTime = uint64(checkpoint.Unix())
	}
	for bucket, n := range map[engine.Bucket]*uint64{decisions: &out.Released, refusals: &out.Refused, objections: &out.Objections} {
		count, err := h.records.Count(ctx, bucket)
		if err != nil {
			return nil, h.storeError(err)
		}
		*n = uint64(count)
	}
	return out, nil
}

// Object records the operator's objection.
func (d desk) Object(ctx context.Context, q *api.ObjectRequest) (*api.ObjectResponse, error) {
	if err := d.deciding.take(ctx); err != nil {
		return nil, notNow(err)
	}
	defer d.deciding.give()
	if !d.hasWarrant(q.WarrantIndex) {
		return nil, fail(connect.CodeNotFound, "", "the ledger has no warrant entry at %d", q.WarrantIndex)
	}
	key := indexKey(q.WarrantIndex)
	if _, err := d.records.Get(ctx, used, key); !errors.Is(err, engine.ErrNotFound) {
		if err != nil {
			return nil, d.storeError(err)
		}
		return nil, fail(connect.CodeFailedPrecondition, "", "refused: shares were released under this warrant, or are about to be")
	}
	if err := d.records.Apply(ctx, engine.Put(objections, key, []byte(q.Reason))); err != nil {
		return nil, d.storeError(err)
	}
	d.config.Log.Info("objected", "warrant", q.WarrantIndex)
	return &api.ObjectResponse{}, nil
}

// Rotate makes the keys that are missing.
func (d desk) Rotate(ctx context.Context, _ *api.RotateRequest) (*api.RotateResponse, error) {
	if err := d.keepPeriods(ctx); err != nil {
		return nil, notNow(err)
	}
	return &api.RotateResponse{Periods: d.keys.held()}, nil
}

// Destroy erases the key of a period that is over and states it on the ledger.
func (d desk) Destroy(ctx context.Context, q *api.DestroyRequest) (*api.DestroyResponse, error) {
	c, err := d.inForce()
	if err != nil {
		return nil, notNow(err)
	}
	if uint64(d.config.Now().Unix()) < c.PeriodEnd(q.Period) {
		return nil, fail(connect.CodeFailedPrecondition, "", "refused: key period %d is not over", q.Period)
	}
	if !d.hasKey(q.Period) {
		return nil, fail(connect.CodeNotFound, "", "the ledger has no key of this custodian for period %d", q.Period)
	}
	x := &ledger.Destruction{Office: d.keys.names.Office, Custodian: d.keys.names.Custodian, Period: q.Period, CharterName: d.keys.names.Charter}
	x.Sign(ledger.CustodianSigner(d.keys.signing))
	entry := x.Entry()
	hash := ledger.HashEntry(entry)
	// Written down first: after a kill, Run erases and logs what is written here.
	if err := d.records.Apply(ctx, engine.Insert(destructions, periodKeyOf(q.Period), entry)); err != nil {
		return nil, d.storeError(err)
	}
	if err := d.keys.destroy(q.Period); err != nil {
		return nil, fail(connect.CodeInternal, "", "%w", err)
	}
	if err := d.records.Apply(ctx, engine.Insert(unlogged, hash[:], entry)); err != nil {
		return nil, d.storeError(err)
	}
	in, _, err := d.ledger.Add(ctx, entry)
	if err != nil {
		return nil, notNow(err)
	}
	d.config.Log.Info("destroyed", "period", q.Period, "index", in.Index())
	return &api.DestroyResponse{Index: in.Index()}, d.records.Apply(ctx, engine.Delete(unlogged, hash[:]))
}

// Run follows the ledger, keeps the keys of this and the next period, and logs
// what waits to be logged, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.ledger.Run(ctx) }()
	pause := time.NewTicker(s.config.Poll)
	defer pause.Stop()
	for {
		for _, duty := range []func(context.Context) error{s.finishDestructions, s.logWaiting, s.keepPeriods} {
			if err := duty(ctx); err != nil && ctx.Err() == nil {
				s.config.Log.Warn("duty", "error", err)
			}
		}
		select {
		case err := <-ended:
			return err
		case <-pause.C:
		case <-s.wake:
		}
	}
}

// finishDestructions erases the keys of which a destruction was begun.
func (s *Server) finishDestructions(ctx context.Context) error {
	list, err := s.records.Scan(ctx, destructions, nil, 1<<16)
	if err != nil {
		return err
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
		if s.hasEntry(hash) {
			continue
		}
		if err := s.records.Apply(ctx, engine.Insert(unlogged, hash[:], d.Value)); err != nil {
			return err
		}
	}
	return nil
}

// logWaiting adds the entries that the ledger lacks.
func (s *Server) logWaiting(ctx context.Context) error {
	list, err := s.records.Scan(ctx, unlogged, nil, 256)
	if err != nil {
		return err
	}
	for _, w := range list {
		if _, _, err := s.ledger.Add(ctx, w.Value); err != nil && !errors.Is(err, ledger.ErrInvalid) {
			return err
		}
		if err := s.records.Apply(ctx, engine.Delete(unlogged, w.Key)); err != nil {
			return err
		}
	}
	return nil
}

// keepPeriods makes and logs the keys of this and the next key period. The key
// is in the key file before its statement leaves.
func (s *Server) keepPeriods(ctx context.Context) error {
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
		if err := s.keys.generate(s.config.KEM, period); err != nil {
			return err
		}
		if _, _, err := s.ledger.Add(ctx, ledger.CustodianKeyEntry(s.keys.statement(period))); err != nil {
			return err
		}
		s.config.Log.Info("new key", "period", period)
	}
	return nil
}
