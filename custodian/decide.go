package custodian

import (
	"context"
	"encoding/hex"
	"errors"

	"connectrpc.com/connect"

	"writ/api"
	"writ/engine"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// Release answers one request: see the package comment for the steps.
func (h handler) Release(ctx context.Context, q *api.ReleaseRequest) (*api.ReleaseResponse, error) {
	content, err := warrant.Open(q.SealedRequest, h.keys.names.recipient(), h.keys.mail)
	if err != nil {
		return nil, fail(connect.CodeInvalidArgument, "seal it to the mail key that the charter gives for this custodian", "%w", err)
	}
	req, err := unseal.ParseRequest(content)
	if err != nil {
		return nil, fail(connect.CodeInvalidArgument, "", "%w", err)
	}
	if out, err := h.turnAway(ctx, req); out != nil || err != nil {
		return out, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.config.LogWait)
	defer cancel()
	id := ledger.HashEntry(req.RequestEntry)
	release, err := h.hold(ctx, id)
	if err != nil {
		return nil, notNow(err)
	}
	defer release()
	return h.answer(ctx, id, req)
}

// turnAway refuses a request of somebody who does not know the warrant, from the copy of
// the ledger as it is, if that is fresh. It takes no turn and asks the ledger nothing, so
// that a crowd of strangers keeps nobody waiting.
func (s *Server) turnAway(ctx context.Context, req *unseal.Request) (*api.ReleaseResponse, error) {
	if s.ledger.Fresh() != nil || s.knowing(req) {
		return nil, nil
	}
	_, refusal, err := s.authorize(ctx, req)
	switch {
	case err != nil:
		return nil, s.storeError(err)
	case refusal != nil:
		return s.refuse(ctx, req, refusal)
	}
	return nil, nil
}

// answer is Release for a request that nobody else works on. What was carried out is
// repeated to who knows the warrant.
func (s *Server) answer(ctx context.Context, id ledger.EntryHash, req *unseal.Request) (*api.ReleaseResponse, error) {
	d, err := s.decision(ctx, id)
	if err != nil {
		return nil, s.storeError(err)
	}
	carriedOut := d != nil && len(d.proof) > 0
	if carriedOut && s.knowing(req) && s.stands(id, d) {
		return done(d), nil
	}
	r, err := s.decide(ctx, id, req, d != nil)
	if err != nil {
		return nil, err
	}
	if r.refusal != nil {
		return s.refuse(ctx, req, r.refusal)
	}
	defer r.granted.Erase()
	if !carriedOut {
		if d, err = s.carryOut(ctx, id, r); err != nil {
			return nil, err
		}
	}
	if !s.stands(id, d) {
		return nil, notNow(errors.New("what was kept is being destroyed"))
	}
	return done(d), nil
}

// stands reports whether what was carried out still is so: a release always, a hold until
// it ends.
func (s *Server) stands(id ledger.EntryHash, d *decision) (holds bool) {
	s.ledger.View(func(b *ledger.Book) { holds = d.until == 0 || !s.ends(b, id, d.until) })
	return holds
}

// done answers with what was decided and carried out.
func done(d *decision) *api.ReleaseResponse {
	if d.until > 0 {
		return &api.ReleaseResponse{Answer: &api.ReleaseResponse_Kept{Kept: &api.Kept{Intent: d.intent, IntentProof: d.proof, Until: d.until}}}
	}
	return &api.ReleaseResponse{Answer: &api.ReleaseResponse_Granted{Granted: &api.Granted{
		Release: d.release, Intent: d.intent, IntentProof: d.proof}}}
}

// ruling is what a custodian decided to do about a request: a refusal, or an
// authorisation with its signed intent.
type ruling struct {
	refusal *unseal.Refusal
	granted *unseal.Authorization
	intent  []byte
}

// decide makes every check on the newest state of the ledger, one request at a
// time, and writes an intent down, unless one is pending. Its error means that it
// could not decide. An objection does not reach an intent that is decided: it
// may be on the log.
func (s *Server) decide(ctx context.Context, id ledger.EntryHash, req *unseal.Request, pending bool) (*ruling, error) {
	if err := s.deciding.take(ctx); err != nil {
		return nil, notNow(err)
	}
	defer s.deciding.give()
	if err := s.ledger.Refresh(ctx); err != nil {
		return nil, notNow(err)
	}
	a, refusal, err := s.authorize(ctx, req)
	switch {
	case err != nil:
		return nil, s.storeError(err)
	case refusal != nil:
		return &ruling{refusal: refusal}, nil
	}
	under, err := warrantOf(req)
	if err != nil {
		return nil, fail(connect.CodeInternal, "", "%w", err)
	}
	order := a.Warrant()
	intent := a.SignIntent(ledger.CustodianSigner(s.keys.signing))
	if pending {
		return &ruling{granted: a, intent: intent}, nil
	}
	if a.Preserves() && !s.keys.room() {
		return nil, fail(connect.CodeResourceExhausted, "holds end by themselves; nothing was decided", "%w", errHoldsFull)
	}
	objected, err := s.objected(ctx, under, order.Hash())
	switch {
	case err != nil:
		return nil, s.storeError(err)
	case objected:
		n := s.keys.names
		return &ruling{refusal: unseal.Refuse(id, n.Office, n.Custodian, "the operator objects")}, nil
	}
	d := &decision{intent: intent}
	if err := s.records.Apply(ctx, engine.Insert(decisions, id[:], d.encode()), engine.Put(used, indexKey(under), nil)); err != nil {
		return nil, s.storeError(err)
	}
	return &ruling{granted: a, intent: d.intent}, nil
}

// carryOut logs the intent, waits for its proof, and releases or keeps.
func (s *Server) carryOut(ctx context.Context, id ledger.EntryHash, r *ruling) (*decision, error) {
	in, proof, err := s.ledger.Add(ctx, r.intent)
	if err != nil {
		return nil, notNow(err)
	}
	d := &decision{intent: r.intent, proof: proof}
	if r.granted.Preserves() {
		return d, s.keep(ctx, id, r.granted, in, d)
	}
	release, err := unseal.NewRelease(r.granted, in, s.keys.ring(), ledger.CustodianSigner(s.keys.signing), s.config.Now())
	if err != nil {
		return nil, notNow(err)
	}
	d.release = release.Encode()
	if err := s.records.Apply(ctx, engine.Put(decisions, id[:], d.encode())); err != nil {
		return nil, s.storeError(err)
	}
	logged := in.Entry().Release
	s.config.Log.Info("released", "request", logged.RequestIndex, "compartments", logged.Count, "intent", in.Index())
	return d, nil
}

// refuse answers with a refusal. It is signed, and the first of each request goes on the
// ledger, if who asks knows the warrant. A stranger gets the reason without a signature:
// anybody may bring an entry to the notary, and could choose what stands there.
func (s *Server) refuse(ctx context.Context, req *unseal.Request, r *unseal.Refusal) (*api.ReleaseResponse, error) {
	out := &api.Refused{Reason: uint32(r.Reason), Sentence: r.Reason.String()}
	s.config.Log.Info("refused", "request", hex.EncodeToString(r.Request[:]), "reason", uint8(r.Reason))
	if s.knowing(req) {
		out.Refusal, out.Logged = r.Sign(ledger.CustodianSigner(s.keys.signing)).Entry(), true
		if err := s.keepRefusal(ctx, r.Request, out.Refusal); err != nil {
			return nil, s.storeError(err)
		}
	}
	return &api.ReleaseResponse{Answer: &api.ReleaseResponse_Refused{Refused: out}}, nil
}

// keepRefusal stores a refusal for Run to log, unless one of the request is
// stored already.
func (s *Server) keepRefusal(ctx context.Context, request ledger.EntryHash, entry []byte) error {
	hash := ledger.HashEntry(entry)
	_, err := s.records.Get(ctx, refusals, request[:])
	if !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	err = s.records.Apply(ctx, engine.Insert(refusals, request[:], entry), engine.Insert(unlogged, hash[:], entry))
	if errors.Is(err, engine.ErrConflict) {
		return nil
	}
	s.nudge()
	return err
}

// nudge wakes Run.
func (s *Server) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// held counts who waits for a request's turn.
type held struct {
	turn  turn
	users int
}

// hold waits until no other call works on the request, and keeps others out
// until release is called.
func (s *Server) hold(ctx context.Context, id ledger.EntryHash) (release func(), err error) {
	s.mu.Lock()
	h := s.requests[id]
	if h == nil {
		h = &held{turn: newTurn()}
		s.requests[id] = h
	}
	h.users++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(s.requests, id)
		}
	}
	if err := h.turn.take(ctx); err != nil {
		leave()
		return nil, err
	}
	return func() { h.turn.give(); leave() }, nil
}

// storeError is the error of a call that the store failed. What is nobody's fault
// outside goes to the log and not to the caller.
func (s *Server) storeError(err error) error {
	if errors.Is(err, engine.ErrBusy) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return notNow(err)
	}
	s.config.Log.Error("store", "error", err)
	return fail(connect.CodeInternal, "nothing was released", "internal error")
}
