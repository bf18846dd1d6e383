package custodian

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"writ/api"
	"writ/engine"
	"writ/replica"
)

// Status tells what is public of this custodian.
func (h handler) Status(ctx context.Context, _ *api.StatusRequest) (*api.StatusResponse, error) {
	size, checkpoint := h.ledger.Head()
	out := &api.StatusResponse{Charter: h.keys.names.Charter, Office: h.keys.names.Office, Custodian: h.keys.names.Custodian,
		Now: uint64(h.config.Now().Unix()), LedgerSize: size, Periods: h.keys.held()}
	fresh := h.ledger.Fresh()
	if out.Ready, out.Forked = fresh == nil, errors.Is(fresh, replica.ErrForked); fresh != nil {
		out.Why = fresh.Error()
	}
	if !checkpoint.IsZero() {
		out.CheckpointTime = uint64(checkpoint.Unix())
	}
	for bucket, n := range map[engine.Bucket]*uint64{decisions: &out.Released, refusals: &out.Refused, objections: &out.Objections, holds: &out.Holds} {
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

// Destroy erases the key of a period that is over, before its time comes, and states
// it on the ledger.
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
	if err := d.destroy(ctx, q.Period); err != nil {
		return nil, d.storeError(err)
	}
	in, _, err := d.ledger.Add(ctx, d.destruction(q.Period).Entry())
	if err != nil {
		return nil, notNow(err)
	}
	return &api.DestroyResponse{Index: in.Index()}, nil
}
