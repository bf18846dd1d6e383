package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"writ/ledger"
	"writ/notice/beacon"
)

// bringTime bounds how long one round may take to sign and to log, so that the
// next has its turn.
const bringTime = time.Minute

// Run reads the ledger and brings it the rounds that requests wait for, until ctx
// ends or the ledger forks.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.ledger.Run(ctx) }()
	for {
		s.bring(ctx)
		select {
		case err := <-ended:
			return err
		case <-time.After(s.config.Poll):
		}
	}
}

// bring logs each round of an own beacon that has come and that a request waits
// for. What fails is tried again at the next look.
func (s *Server) bring(ctx context.Context) {
	var due []ledger.Notice
	s.ledger.View(func(b *ledger.Book) { due = b.Waiting(s.config.Now()) })
	tried := map[string]bool{}
	for _, n := range due {
		place := fmt.Sprintf("%x/%d", n.Law.Beacon.Chain(), n.Request.Round)
		if tried[place] || len(s.config.Keys.of(n.Law.Beacon.Key)) == 0 {
			continue
		}
		tried[place] = true
		if err := s.bringOne(ctx, n.Law.Beacon, n.Request.Round); err != nil && ctx.Err() == nil {
			s.config.Log.Warn("round", "round", n.Request.Round, "error", err)
		}
	}
}

func (s *Server) bringOne(ctx context.Context, b *beacon.Beacon, round uint64) error {
	ctx, cancel := context.WithTimeout(ctx, bringTime)
	defer cancel()
	s.checkClock(b)
	signature, err := s.sign(ctx, b.Key, round)
	if err != nil {
		return err
	}
	in, _, err := s.ledger.Add(ctx, ledger.NewRound(signature).Entry())
	if errors.Is(err, ledger.ErrInvalid) {
		return nil // another operator was faster
	}
	if err != nil {
		return err
	}
	s.config.Log.Info("round", "round", round, "index", in.Index())
	return nil
}

// checkClock says once if a law states another clock than the key's operators
// have: its people are told when the operators' rounds come.
func (s *Server) checkClock(b *beacon.Beacon) {
	own := s.config.Keys.of(b.Key)[0].group.Beacon()
	if own.Chain() == b.Chain() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if what := fmt.Sprintf("%x", b.Chain()); !s.warned[what] {
		s.warned[what] = true
		s.config.Log.Error("a charter names the beacon's key with another clock", "genesis", b.Genesis, "period", b.Period,
			"own_genesis", own.Genesis, "own_period", own.Period)
	}
}
