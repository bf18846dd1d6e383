package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"writ/notice/beacon"
)

// errTooFew is the error where fewer operators answer than the threshold.
var errTooFew = errors.New("operator: too few operators answer")

// now is the operator's own clock, in Unix seconds.
func (s *Server) now() uint64 { return uint64(max(0, s.config.Now().Unix())) }

// of returns the shares of a beacon's key, the newest first: while a key is
// handed on an operator can have two.
func (k *Keys) of(key *beacon.PublicKey) []held {
	var list []held
	for _, h := range k.held {
		if h.group.Beacon().Key.Equal(key) {
			list = append([]held{h}, list...)
		}
	}
	return list
}

// sign returns a round's signature, made with the peers' help. The round must have
// come.
func (s *Server) sign(ctx context.Context, key *beacon.PublicKey, round uint64) (*beacon.Signature, error) {
	place := fmt.Sprintf("%x/%d", key.Bytes(), round)
	s.mu.Lock()
	known := s.made[place]
	s.mu.Unlock()
	if known != nil {
		return known, nil
	}
	err := fmt.Errorf("operator: refused: no share of the beacon's key")
	for _, h := range s.config.Keys.of(key) {
		var signature *beacon.Signature
		if signature, err = s.gather(ctx, h, round); err == nil {
			s.keep(place, signature)
			return signature, nil
		}
	}
	return nil, err
}

func (s *Server) keep(place string, signature *beacon.Signature) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.made) >= maxMade {
		clear(s.made)
	}
	s.made[place] = signature
}

// gather signs with the own share and asks all peers at once, until enough have
// answered.
func (s *Server) gather(ctx context.Context, h held, round uint64) (*beacon.Signature, error) {
	own, err := h.share.Sign(round, s.now())
	if err != nil {
		return nil, err
	}
	partial, err := h.group.VerifyPartial(round, own)
	if err != nil {
		return nil, err
	}
	partials := []*beacon.Partial{partial}
	ctx, cancel := context.WithCancel(ctx)
	answers, end := s.askPeers(ctx, h, round)
	defer end()
	defer cancel()
	for p := range answers {
		if len(partials) == int(h.group.Ceremony().Threshold) {
			break
		}
		partials = append(partials, p)
	}
	if have, need := len(partials), int(h.group.Ceremony().Threshold); have < need {
		return nil, fmt.Errorf("%w: %d partial signatures of round %d where %d are needed", errTooFew, have, round, need)
	}
	return h.group.Combine(partials)
}

// askPeers returns the verified partial signatures of other operators as they
// come; end waits until nobody is asked any more.
func (s *Server) askPeers(ctx context.Context, h held, round uint64) (answers chan *beacon.Partial, end func()) {
	members := h.group.Ceremony().Members
	answers = make(chan *beacon.Partial, len(members))
	var asking sync.WaitGroup
	for seat, m := range members {
		url, ok := s.config.Peers[m.Name]
		if !ok || seat == h.share.Seat() {
			continue
		}
		asking.Go(func() {
			p, err := s.askPeer(ctx, url, h.group, round)
			if err == nil && p.Seat() != seat {
				err = fmt.Errorf("operator: invalid: the partial signature of seat %d", p.Seat())
			}
			if err != nil {
				s.config.Log.Debug("peer", "name", m.Name, "round", round, "error", err)
				return
			}
			answers <- p
		})
	}
	go func() { asking.Wait(); close(answers) }()
	return answers, asking.Wait
}

func (s *Server) askPeer(ctx context.Context, url string, g *beacon.Group, round uint64) (*beacon.Partial, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/beacon/group/%x/partial/%d", url, g.Hash(), round), nil)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	res, err := s.config.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("operator: %s", res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, beacon.PartialSize+1))
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	return g.VerifyPartial(round, b)
}
