package follower

import (
	"context"
	"fmt"
	"io"
	"net/http"

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

// Rounds adds to requests whose round has come the signature that any of some
// operators gives, for what a log doesn't show. It asks all of them at once for each round:
// one that keeps its answer back holds nobody up. It tells nobody whose notice is meant:
// everybody asks for the same. It returns the requests that have a signature.
func Rounds(ctx context.Context, client *http.Client, operators []string, waiting []ledger.Notice) (told []ledger.Notice) {
	made := map[string]*beacon.Signature{}
	for _, n := range waiting {
		place := fmt.Sprintf("%x/%d", n.Law.Beacon.Chain(), n.Request.Round)
		if _, asked := made[place]; !asked {
			made[place] = anyOf(ctx, client, operators, n.Law.Beacon, n.Request.Round)
		}
		if n.Signature = made[place]; n.Signature != nil {
			told = append(told, n)
		}
	}
	return told
}

// anyOf returns the first signature that verifies, nil if there is none.
func anyOf(ctx context.Context, client *http.Client, operators []string, b *beacon.Beacon, round uint64) *beacon.Signature {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan *beacon.Signature, len(operators))
	for _, url := range operators {
		go func() {
			s, _ := Round(ctx, client, url, b, round)
			answers <- s
		}()
	}
	for range operators {
		if s := <-answers; s != nil {
			return s
		}
	}
	return nil
}
