package custodian

import (
	"context"
	"errors"
	"sync"
	"time"

	"writ/engine"
	"writ/ledger"
	"writ/replica"
)

// Run follows the ledger, keeps the keys of this and the next period, destroys
// those whose horizon comes, and logs what waits to be logged, until ctx ends. What
// destroys waits for nobody: neither a ledger that takes entries and never shows them
// keeps a key alive, nor one that forks, after which the custodian does nothing else.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	ended := make(chan error, 1)
	beside.Go(func() { ended <- s.ledger.Run(ctx) })
	beside.Go(func() { s.repeat(ctx, nil, s.finishDestructions, s.destroyDue, s.endHolds) })
	beside.Go(func() { s.repeat(ctx, s.wake, s.keepPeriods, s.logWaiting) })
	err := <-ended
	if ctx.Err() != nil || !errors.Is(err, replica.ErrForked) {
		return err
	}
	s.config.Log.Error("nothing is released until the operator has looked", "error", err)
	<-ctx.Done()
	return nil
}

// repeat does duties again and again until ctx ends, at once when it is woken. It says what
// fails, but the same thing once.
func (s *Server) repeat(ctx context.Context, wake <-chan struct{}, duties ...func(context.Context) error) {
	pause := time.NewTicker(s.config.Poll)
	defer pause.Stop()
	told := ""
	for {
		var errs []error
		for _, duty := range duties {
			errs = append(errs, duty(ctx))
		}
		err := errors.Join(errs...)
		if text := sentence(err); text != told && ctx.Err() == nil {
			told = text
			if err != nil {
				s.config.Log.Warn("duty", "error", err)
			} else {
				s.config.Log.Info("duty: done again")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		case <-wake:
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
		if err := s.log(ctx, w.Value); err != nil && !errors.Is(err, ledger.ErrInvalid) {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, s.records.Apply(ctx, engine.Delete(unlogged, w.Key)))
	}
	return errors.Join(errs...)
}

// log adds an entry, and waits no longer for it than a call does, so that none that the
// notary does not want keeps the next one waiting.
func (s *Server) log(ctx context.Context, entry []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.LogWait)
	defer cancel()
	_, _, err := s.ledger.Add(ctx, entry)
	return err
}
