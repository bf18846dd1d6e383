package docket

import (
	"context"
	"time"
)

// MaxLodged is how many warrants an agency lodges within a day.
const MaxLodged = maxLodged

// Lodged makes as if an agency had lodged n warrants at a time.
func (s *Server) Lodged(agency string, n int, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.lodged[agency] = append(s.lodged[agency], at)
	}
}

// MaxRequests is how many requests one warrant takes.
const MaxRequests = maxRequests

// Fill stores n made-up requests of a warrant, as if the ledger had them.
func (s *Server) Fill(ctx context.Context, hash []byte, n int) error {
	_, err := s.change(ctx, hash, func(r *record) error {
		for i := range n {
			r.requests = append(r.requests, logged{entry: []byte{byte(i)}, index: uint64(i)})
		}
		return nil
	})
	return err
}

// MaxNamed is how many warrants a prefix of their hashes lists.
const MaxNamed = maxNamed

// Put stores a made-up warrant.
func (s *Server) Put(ctx context.Context, hash [32]byte) error {
	return s.insert(ctx, hash[:], &record{agency: "police"}, nil)
}
