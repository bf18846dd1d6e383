package docket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"writ/api"
	"writ/engine"
	"writ/ledger"
	"writ/warrant"
)

// Lodge stores a warrant's envelope and public fields.
func (h handler) Lodge(ctx context.Context, q *api.LodgeRequest) (*api.LodgeResponse, error) {
	if err := h.agency(q.Agency, "docket lodge", q.Lodgement, q.Signature); err != nil {
		return nil, err
	}
	l, err := ParseLodgement(q.Lodgement)
	if err != nil {
		return nil, fail(connect.CodeInvalidArgument, "", "%w", err)
	}
	if sum := sha256.Sum256(q.Envelope); sum != l.Envelope || len(q.Envelope) > maxEnvelope {
		return nil, fail(connect.CodeInvalidArgument, "", "invalid: the envelope is not the one that was signed")
	}
	old, _, err := h.load(ctx, l.Warrant[:])
	switch {
	case err == nil && old.agency == q.Agency && bytes.Equal(old.lodgement, q.Lodgement):
		return &api.LodgeResponse{}, nil
	case err == nil:
		return nil, fail(connect.CodeAlreadyExists, "a changed warrant needs a new id", "refused: the warrant is lodged with other content")
	case !errors.Is(err, engine.ErrNotFound):
		return nil, h.storeError(err)
	}
	if err := h.acceptable(ctx, l); err != nil {
		return nil, err
	}
	r := &record{lodged: uint64(h.config.Now().Unix()), agency: q.Agency, lodgement: q.Lodgement}
	err = h.insert(ctx, l.Warrant[:], r, q.Envelope)
	switch {
	case errors.Is(err, engine.ErrFull):
		return nil, fail(connect.CodeResourceExhausted, "wait a day, or ask the docket's operator who uses the key",
			"refused: %d warrants lodged by this agency within a day", maxLodged)
	case errors.Is(err, engine.ErrConflict):
		return nil, fail(connect.CodeAborted, "try the same call again", "the warrant is being lodged by another call")
	case err != nil:
		return nil, h.storeError(err)
	}
	h.config.Log.Info("lodged", "warrant", hex.EncodeToString(l.Warrant[:]))
	return &api.LodgeResponse{}, nil
}

// acceptable refuses what could never be published: a charter that is not in
// force, or fields that the ledger's readers would not count.
func (s *Server) acceptable(ctx context.Context, l *Lodgement) error {
	if err := s.ledger.Refresh(ctx); err != nil {
		return fail(connect.CodeUnavailable, "try the same call again", "ledger: %w", err)
	}
	if _, err := s.inForce(l.Charter); err != nil {
		return fail(connect.CodeInvalidArgument, "draft the warrant under the charter that is in force", "invalid: %w", err)
	}
	if uint64(s.config.Now().Unix()) >= l.NotAfter {
		return fail(connect.CodeInvalidArgument, "", "invalid: the warrant's life has ended")
	}
	var err error
	s.ledger.View(func(b *ledger.Book) { err = b.Permits(l.Public) })
	if err != nil {
		return fail(connect.CodeInvalidArgument, "", "invalid: its entry would not count on the ledger: %w", err)
	}
	return nil
}

// ListWarrants lists a page of what is lodged, or what a prefix of the hash names.
func (h handler) ListWarrants(ctx context.Context, q *api.ListWarrantsRequest) (*api.ListWarrantsResponse, error) {
	hashes, more, err := h.find(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &api.ListWarrantsResponse{More: more}
	size := 0
	for _, hash := range hashes {
		r, stored, err := h.load(ctx, hash)
		if err != nil {
			return nil, h.storeError(err)
		}
		if size += len(stored); size > maxRecord && len(out.Warrants) > 0 {
			out.More = true
			break
		}
		out.Warrants = append(out.Warrants, r.message(hash))
	}
	return out, nil
}

// find returns the hashes of the warrants that a list is asked of, and whether there
// are more.
func (s *Server) find(ctx context.Context, q *api.ListWarrantsRequest) (hashes [][]byte, more bool, err error) {
	switch {
	case q.Newest:
		last, err := s.records.Last(ctx, numbers)
		if errors.Is(err, engine.ErrNotFound) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, s.storeError(err)
		}
		return [][]byte{last.Value}, false, nil
	case q.Prefix != "":
		return s.findPrefix(ctx, q.Prefix)
	}
	list, err := s.records.Scan(ctx, numbers, binary.BigEndian.AppendUint64(nil, q.After), page+1)
	if err != nil {
		return nil, false, s.storeError(err)
	}
	for _, n := range list[:min(len(list), page)] {
		hashes = append(hashes, n.Value)
	}
	return hashes, len(list) > page, nil
}

// findPrefix returns the hashes that begin with a prefix, at most [maxNamed]. It reads
// no other warrant but the one after them.
func (s *Server) findPrefix(ctx context.Context, prefix string) (hashes [][]byte, more bool, err error) {
	const before = 2 * (len(warrant.Hash{}) - 1) // digits, after which every such hash comes
	start, err := hex.DecodeString((prefix + "0")[:min(len(prefix)+len(prefix)%2, before)])
	if err != nil || len(prefix) > before+2 || strings.ToLower(prefix) != prefix {
		return nil, false, fail(connect.CodeInvalidArgument, "the beginning of a hash, as the list prints it", "malformed: not a prefix of a hash")
	}
	list, err := s.records.Scan(ctx, warrants, start, maxNamed+1)
	if err != nil {
		return nil, false, s.storeError(err)
	}
	for _, r := range list {
		if !strings.HasPrefix(hex.EncodeToString(r.Key), prefix) {
			return hashes, false, nil
		}
		hashes = append(hashes, r.Key)
	}
	return hashes[:min(len(hashes), maxNamed)], len(hashes) > maxNamed, nil
}

// GetWarrant returns all there is of a warrant.
func (h handler) GetWarrant(ctx context.Context, q *api.GetWarrantRequest) (*api.GetWarrantResponse, error) {
	r, _, err := h.load(ctx, q.WarrantHash)
	if err != nil {
		return nil, h.storeError(err)
	}
	envelope, err := h.records.Get(ctx, envelopes, q.WarrantHash)
	if err != nil {
		return nil, h.storeError(err)
	}
	out := &api.GetWarrantResponse{Warrant: r.message(q.WarrantHash), Lodgement: r.lodgement, Envelope: envelope,
		Approvals: warrant.EncodeApprovals(r.approvals), Entry: r.published.entry, Index: r.published.index}
	for _, x := range r.requests {
		out.Requests = append(out.Requests, x.message())
	}
	return out, nil
}

// Approve adds an approval that holds. An approver's second approval of the
// same warrant changes nothing, nor does one of an office of which there are as
// many as the charter asks for: the ledger shows no key without need.
func (h handler) Approve(ctx context.Context, q *api.ApproveRequest) (*api.ApproveResponse, error) {
	list, err := warrant.ParseApprovals(q.Approval)
	if err != nil || len(list) != 1 || len(q.WarrantHash) != 32 {
		return nil, fail(connect.CodeInvalidArgument, "", "malformed: not one approval of one warrant")
	}
	a := list[0]
	var missing []string
	var kept bool
	r, err := h.change(ctx, q.WarrantHash, func(r *record) error {
		l, err := ParseLodgement(r.lodgement)
		if err != nil {
			return h.storeError(err)
		}
		c, err := h.charter(l.Charter)
		if err != nil {
			return fail(connect.CodeUnavailable, "try again when the docket has read the ledger", "%w", err)
		}
		if err := a.Verify(l.Public.Hash(), c); err != nil {
			return fail(connect.CodePermissionDenied, "", "refused: approval of %s of %s: %w", a.Approver, a.Office, err)
		}
		rules := c.WarrantRules(l.IsPrivileged())
		at, again := slices.BinarySearchFunc(r.approvals, a, warrant.CompareApprovals)
		kept = again
		if !again && slices.Contains(rules.Missing(count(r.approvals)), a.Office) {
			r.approvals, kept = slices.Insert(r.approvals, at, a), true
		}
		counted := count(r.approvals)
		missing, r.approved = rules.Missing(counted), rules.Satisfied(counted)
		return nil
	})
	if err != nil {
		return nil, err
	}
	h.config.Log.Info("approved", "warrant", hex.EncodeToString(q.WarrantHash), "office", a.Office)
	return &api.ApproveResponse{State: r.state(), Missing: missing, Kept: kept}, nil
}

// count returns how many approvers of each office signed. The list holds each
// approver once.
func count(approvals []warrant.Approval) map[string]int {
	n := map[string]int{}
	for _, a := range approvals {
		n[a.Office]++
	}
	return n
}

// Publish logs the warrant entry.
func (h handler) Publish(ctx context.Context, q *api.PublishRequest) (*api.PublishResponse, error) {
	if err := h.agency(q.Agency, "docket publish", q.WarrantHash, q.Signature); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.config.LogWait)
	defer cancel()
	give, err := h.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer give()
	r, err := h.own(ctx, q.WarrantHash, q.Agency)
	if err != nil {
		return nil, err
	}
	if len(r.published.entry) > 0 {
		return &api.PublishResponse{Entry: r.published.message()}, nil
	}
	entry, err := h.publishable(r)
	if err != nil {
		return nil, err
	}
	l, err := h.add(ctx, entry)
	if err != nil {
		return nil, err
	}
	if _, err := h.change(ctx, q.WarrantHash, func(r *record) error { r.published = *l; return nil }); err != nil {
		return nil, err
	}
	h.config.Log.Info("published", "warrant", hex.EncodeToString(q.WarrantHash), "index", l.index)
	return &api.PublishResponse{Entry: l.message()}, nil
}

// publishable returns the entry of a warrant that is approved and alive.
func (s *Server) publishable(r *record) ([]byte, error) {
	l, err := ParseLodgement(r.lodgement)
	if err != nil {
		return nil, s.storeError(err)
	}
	c, err := s.charter(l.Charter)
	if err != nil {
		return nil, fail(connect.CodeUnavailable, "try again when the docket has read the ledger", "%w", err)
	}
	if err := l.CheckApprovals(r.approvals, c); err != nil {
		return nil, fail(connect.CodeFailedPrecondition, "ask the approvers of these offices", "%w", err)
	}
	if now := uint64(s.config.Now().Unix()); now >= l.NotAfter || now >= c.Review {
		return nil, fail(connect.CodeFailedPrecondition, "lodge a new warrant", "refused: the life of the warrant or of the charter has ended")
	}
	return l.entry(r.approvals, s.config.Key), nil
}

// RequestRelease logs a request entry.
func (h handler) RequestRelease(ctx context.Context, q *api.RequestReleaseRequest) (*api.RequestReleaseResponse, error) {
	if err := h.agency(q.Agency, "docket request", requestContent(q), q.Signature); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.config.LogWait)
	defer cancel()
	give, err := h.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer give()
	r, err := h.own(ctx, q.WarrantHash, q.Agency)
	if err != nil {
		return nil, err
	}
	if len(r.published.entry) == 0 {
		return nil, fail(connect.CodeFailedPrecondition, "publish the warrant first", "refused: the warrant is not on the ledger")
	}
	entry, err := requestEntry(r, q, h.config.Key)
	if err != nil {
		return nil, fail(connect.CodeInvalidArgument, "", "%w", err)
	}
	if x := r.request(entry); x != nil {
		return &api.RequestReleaseResponse{Entry: x.message()}, nil
	}
	if len(r.requests) >= maxRequests {
		return nil, fail(connect.CodeResourceExhausted, "", "refused: %d requests under one warrant", maxRequests)
	}
	l, err := h.add(ctx, entry)
	if err != nil {
		return nil, err
	}
	if _, err := h.change(ctx, q.WarrantHash, func(r *record) error { r.requests = append(r.requests, *l); return nil }); err != nil {
		return nil, err
	}
	h.config.Log.Info("requested", "warrant", hex.EncodeToString(q.WarrantHash), "index", l.index, "compartments", len(q.Leaves))
	return &api.RequestReleaseResponse{Entry: l.message()}, nil
}

// request returns the logged request entry of these bytes, or nil.
func (r *record) request(entry []byte) *logged {
	for i := range r.requests {
		if bytes.Equal(r.requests[i].entry, entry) {
			return &r.requests[i]
		}
	}
	return nil
}

// own returns a warrant's record to the agency that lodged it.
func (s *Server) own(ctx context.Context, hash []byte, agency string) (*record, error) {
	r, _, err := s.load(ctx, hash)
	if err != nil {
		return nil, s.storeError(err)
	}
	if r.agency != agency {
		return nil, fail(connect.CodePermissionDenied, "", "refused: another agency lodged the warrant")
	}
	return r, nil
}

// takeTurn waits until no other call logs an entry. No call has the turn for longer than
// Config.LogWait, whatever the notary does. The caller keeps the turn from
// reading the record to storing what it logged, so that no entry is added twice and
// bounds hold.
func (s *Server) takeTurn(ctx context.Context) (give func(), err error) {
	select {
	case <-s.turn:
		return func() { s.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, fail(connect.CodeUnavailable, "try the same call again", "%w", ctx.Err())
	}
}

// add puts an entry on the ledger and returns when the docket's own copy shows
// that it counts.
func (s *Server) add(ctx context.Context, entry []byte) (*logged, error) {
	in, _, err := s.ledger.Add(ctx, entry)
	if errors.Is(err, ledger.ErrInvalid) {
		return nil, fail(connect.CodeFailedPrecondition, "", "refused: the entry would not count on the ledger: %w", err)
	}
	if err != nil {
		return nil, fail(connect.CodeUnavailable, "try the same call again", "ledger: %w", err)
	}
	return &logged{entry, in.Index()}, nil
}
