package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/directory"
	"writ/engine"
)

// publishTimeout bounds how long a request waits for a checkpoint.
const publishTimeout = 30 * time.Second

// PutStatement implements api.Directory.
func (s *Server) PutStatement(ctx context.Context, r *api.PutStatementRequest) (*api.PutStatementResponse, error) {
	next, err := directory.Parse(r.Statement)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	label, err := s.label(ctx, next.Account)
	if err != nil {
		return nil, err
	}
	index, err := s.place(context.WithoutCancel(ctx), label, next)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if _, err := s.log.Await(ctx, index); err != nil {
		return nil, notNow(err)
	}
	if err := s.store.Apply(ctx, engine.Delete(pending, recordKey(label, next.Version))); err != nil {
		return nil, notNow(err)
	}
	if err := s.advance(ctx); err != nil {
		return nil, notNow(err)
	}
	return &api.PutStatementResponse{}, nil
}

// label computes an account's label, a few at a time: it is dear, and anybody may ask.
func (s *Server) label(ctx context.Context, account string) (directory.Label, error) {
	select {
	case s.proofs <- struct{}{}:
		defer func() { <-s.proofs }()
	case <-ctx.Done():
		return directory.Label{}, notNow(ctx.Err())
	}
	label, _ := s.labels.Prove(account)
	return label, nil
}

// place stores a statement that follows the account's newest, and logs its leaf. It
// returns the leaf's index, also of a statement that is there already.
func (s *Server) place(ctx context.Context, label directory.Label, next *directory.Statement) (uint64, error) {
	lock := &s.puts[label[0]]
	lock.Lock()
	defer lock.Unlock()
	leaves := s.leaves(label)
	chain, err := s.opened(ctx, label, leaves)
	if err != nil {
		return 0, notNow(err)
	}
	if n := next.Version; n <= uint64(len(chain)) && chain[n-1].Statement.Hash() == next.Hash() {
		return leaves[n-1], nil
	}
	if err := follows(chain, next); err != nil {
		return 0, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	if !s.quotas.allow(label, time.Now()) {
		return 0, connect.NewError(connect.CodeResourceExhausted, errors.New("registry: too many statements of this account within an hour"))
	}
	o := directory.Opened{Statement: next}
	rand.Read(o.Salt[:])
	if err := s.keep(ctx, label, o); err != nil {
		return 0, notNow(err)
	}
	index, err := s.admit(directory.NewLeaf(label, next, o.Salt).Entry())
	if err != nil {
		return 0, notNow(err)
	}
	return index, nil
}

// follows checks a statement against those before it: DIR-5 to DIR-10 and DIR-17.
func follows(before []directory.Opened, next *directory.Statement) error {
	var all []*directory.Statement
	for _, o := range before {
		all = append(all, o.Statement)
	}
	_, err := directory.NewChain(append(all, next)...)
	return err
}

func notNow(err error) error { return connect.NewError(connect.CodeUnavailable, err) }
