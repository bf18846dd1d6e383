package custodian

import (
	"context"
	"errors"
	"time"

	"writ/engine"
	"writ/ledger"
	"writ/replica"
)

// Run follows the ledger, keeps the keys of this and the next period, destroys
// those whose horizon comes, and logs what waits to be logged, until ctx ends. When
// the ledger forks it only destroys from then on: whoever makes it fork keeps no key alive.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.ledger.Run(ctx) }()
	pause := time.NewTicker(s.config.Poll)
	defer pause.Stop()
	told := ""
	for {
		err := errors.Join(s.finishDestructions(ctx), s.destroyDue(ctx), s.endHolds(ctx), s.keepPeriods(ctx), s.logWaiting(ctx))
		if text := sentence(err); text != told && ctx.Err() == nil {
			told = text
			s.config.Log.Warn("duty", "error", err)
		}
		select {
		case err := <-ended:
			if ctx.Err() != nil || !errors.Is(err, replica.ErrForked) {
				return err
			}
			s.config.Log.Error("nothing is released until the operator has looked", "error", err)
			ended = nil
		case <-ctx.Done():
			if ended != nil {
				return <-ended
			}
			return nil
		case <-pause.C:
		case <-s.wake:
		}
	}
}

func sentence(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// logWaiting adds the entries that the ledger lacks. One that would not count is given
// up: it stands there already, or never will.
func (s *Server) logWaiting(ctx context.Context) error {
	list, err := s.records.Scan(ctx, unlogged, nil, 256)
	if err != nil {
		return err
	}
	var errs []error
	for _, w := range list {
		if _, _, err := s.ledger.Add(ctx, w.Value); err != nil && !errors.Is(err, ledger.ErrInvalid) {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, s.records.Apply(ctx, engine.Delete(unlogged, w.Key)))
	}
	return errors.Join(errs...)
}
