package registry

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"connectrpc.com/connect"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/proto"

	"writ/api"
	"writ/internal/wire"
)

// Bounds of an answer.
const (
	maxAccounts = 64
	maxAnswer   = 2 << 20 // bytes of look-ups, after which no further one is added
)

// LookUp implements api.Directory.
func (s *Server) LookUp(ctx context.Context, r *api.LookUpRequest) (*api.LookUpResponse, error) {
	if n := len(r.Accounts); n == 0 || n > maxAccounts {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("registry: %d accounts, 1 to %d may be asked for", n, maxAccounts))
	}
	v := s.view.Load()
	if v.book.Size() == 0 {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("registry: the log is empty: there is no account yet"))
	}
	hashes := s.log.Hashes(ctx, v.book.Size())
	out := &api.LookUpResponse{Checkpoint: v.checkpoint.Signed()}
	if r.Size > 0 && r.Size < v.book.Size() {
		proof, err := tlog.ProveTree(int64(v.book.Size()), int64(r.Size), hashes)
		if err != nil {
			return nil, notNow(err)
		}
		for _, h := range proof {
			out.Consistency = append(out.Consistency, h[:])
		}
	}
	for size, i := 0, 0; i < len(r.Accounts) && size < maxAnswer; i++ {
		answer, leaves, err := s.lookUp(ctx, v, r.Accounts[i], hashes)
		if err != nil {
			return nil, err
		}
		out.Lookups, size = append(out.Lookups, answer), size+len(answer)
		if !r.Dated {
			continue
		}
		dates, err := s.dates(ctx, leaves)
		if err != nil {
			return nil, notNow(err)
		}
		out.Dates, size = append(out.Dates, dates), size+proto.Size(dates)
	}
	return out, nil
}

// lookUp answers for one account under the view's checkpoint, and says at which
// indexes its leaves are.
func (s *Server) lookUp(ctx context.Context, v *view, account string, hashes tlog.HashReader) (answer []byte, leaves []uint64, err error) {
	if !wire.ValidName(account) {
		return nil, nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("registry: %q is not a name", account))
	}
	select {
	case s.proofs <- struct{}{}:
		defer func() { <-s.proofs }()
	case <-ctx.Done():
		return nil, nil, notNow(ctx.Err())
	}
	label, proof := s.labels.Prove(account)
	leaves = s.leaves(label)
	leaves = leaves[:sort.Search(len(leaves), func(i int) bool { return leaves[i] >= v.book.Size() })]
	chain, err := s.opened(ctx, label, leaves)
	if err != nil {
		return nil, nil, notNow(err)
	}
	l, err := v.book.Lookup(label, proof, chain, hashes)
	if err != nil {
		return nil, nil, notNow(err)
	}
	return l.Encode(), leaves, nil
}
