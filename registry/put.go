package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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
	if n := next.Version; n <= uint64(len(leaves)) {
		return leaves[n-1], s.repeats(ctx, label, next)
	}
	if err := s.ask(ctx, label, len(leaves), next); err != nil {
		return 0, err
	}
	chain, err := s.opened(ctx, label, leaves)
	if err != nil {
		return 0, notNow(err)
	}
	if err := follows(chain, next); err != nil {
		return 0, refused(err)
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

// repeats returns nil if a statement is there already.
func (s *Server) repeats(ctx context.Context, label directory.Label, next *directory.Statement) error {
	there, err := s.version(ctx, label, next.Version)
	if err != nil {
		return notNow(err)
	}
	if there.Hash() != next.Hash() {
		return refused(fmt.Errorf("registry: refused: another version %d of the account is logged", next.Version))
	}
	return nil
}

// ask checks a statement by the account's newest alone, and counts it. Anybody may send
// one, and the account's whole history costs hundreds of signatures: whose device or
// recovery key did not sign gets no further.
func (s *Server) ask(ctx context.Context, label directory.Label, logged int, next *directory.Statement) error {
	var newest *directory.Statement
	if logged > 0 {
		var err error
		if newest, err = s.version(ctx, label, uint64(logged)); err != nil {
			return notNow(err)
		}
	}
	if err := directory.CheckNext(newest, next); err != nil {
		return refused(err)
	}
	if !s.quotas.allow(label, time.Now()) {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("registry: too many statements of this account within an hour"))
	}
	return nil
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

func refused(err error) error { return connect.NewError(connect.CodeFailedPrecondition, err) }

func notNow(err error) error { return connect.NewError(connect.CodeUnavailable, err) }
