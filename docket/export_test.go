package docket

import "context"

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
