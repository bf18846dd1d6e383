package follower

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"writ/ledger"
	"writ/notice/beacon"
)

// Round asks an operator of a beacon for the signature of a round and verifies
// it: nobody need put it on a log for it to hold. A nil client is one with a timeout
// of 10 s.
func Round(ctx context.Context, client *http.Client, operator string, b *beacon.Beacon, round uint64) (*beacon.Signature, error) {
	url := fmt.Sprintf("%s/beacon/%x/public/%d", operator, b.Chain(), round)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("follower: %w", err)
	}
	res, err := bounded(client).Do(req)
	if err != nil {
		return nil, fmt.Errorf("follower: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("follower: round %d: %s", round, res.Status)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("follower: %w", err)
	}
	return b.Key.ParseRoundJSON(body, round)
}

// atOnce is how many rounds of one beacon an operator is asked for at the same time.
const atOnce = 8

// Rounds adds to requests whose round has come the signature that any of some operators
// gives, for what a log doesn't show. It asks all of them at once, and for the rounds of
// each beacon beside those of the others: neither one that keeps its answer back nor a
// beacon for which nobody signs any more holds up the other rounds. It tells nobody whose
// notice is meant: everybody asks for the same. It returns the requests that have a
// signature, when no operator has anything more to say or ctx ends.
func Rounds(ctx context.Context, client *http.Client, operators []string, waiting []ledger.Notice) (told []ledger.Notice) {
	lines := map[[32]byte][]line{} // by the beacon's chain
	questions := map[place]*question{}
	var asking sync.WaitGroup
	for _, n := range waiting {
		at := placeOf(n)
		if questions[at] != nil {
			continue
		}
		if lines[at.chain] == nil {
			lines[at.chain] = newLines(client, operators, n.Law.Beacon)
		}
		q := &question{round: at.round, lines: lines[at.chain]}
		questions[at] = q
		asking.Go(func() { q.ask(ctx) })
	}
	asking.Wait()
	for _, n := range waiting {
		if n.Signature = questions[placeOf(n)].answer; n.Signature != nil {
			told = append(told, n)
		}
	}
	return told
}

// place is a round of a beacon.
type place struct {
	chain [32]byte
	round uint64
}

func placeOf(n ledger.Notice) place { return place{n.Law.Beacon.Chain(), n.Request.Round} }

// line asks one operator for rounds of one beacon, [atOnce] at a time.
type line struct {
	client   *http.Client
	operator string
	beacon   *beacon.Beacon
	slots    chan struct{}
}

func newLines(client *http.Client, operators []string, b *beacon.Beacon) (lines []line) {
	for _, url := range operators {
		lines = append(lines, line{client, url, b, make(chan struct{}, atOnce)})
	}
	return lines
}

// round returns the round's signature, nil if the operator does not give it.
func (l line) round(ctx context.Context, round uint64) *beacon.Signature {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return nil
	}
	s, _ := Round(ctx, l.client, l.operator, l.beacon, round)
	return s
}

// question is a round that is asked for, and the first answer that verifies, nil if there
// is none.
type question struct {
	round  uint64
	lines  []line
	answer *beacon.Signature
}

func (q *question) ask(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan *beacon.Signature, len(q.lines))
	for _, l := range q.lines {
		go func() { answers <- l.round(ctx, q.round) }()
	}
	for range q.lines {
		if q.answer = <-answers; q.answer != nil {
			return
		}
	}
}
