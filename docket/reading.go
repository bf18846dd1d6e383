package docket

import (
	"context"
	"encoding/hex"
	"errors"

	"connectrpc.com/connect"

	"writ/api"
	"writ/charter"
	"writ/engine"
	"writ/internal/wire"
	"writ/ledger"
	"writ/warrant"
)

// parts holds one part of the key of each sealed bundle, by the bundle's id.
const parts engine.Bucket = "parts"

// maxParts bounds the sealed bundles of one warrant.
const maxParts = 1024

// keptPart is a part and the request that its bundle came of. Encoded:
// request[32] || part[32].
type keptPart struct {
	request ledger.EntryHash
	part    [32]byte
}

func (k keptPart) encode() []byte {
	var w wire.Writer
	w.Fixed(k.request[:])
	w.Fixed(k.part[:])
	return w.Bytes()
}

func parseKeptPart(b []byte) (k keptPart, err error) {
	r := wire.NewReader(b)
	k.request, k.part = r.Array32(), r.Array32()
	return k, r.Done()
}

func keepContent(q *api.KeepPartRequest) []byte {
	var w wire.Writer
	w.Fixed(q.WarrantHash)
	w.Uint64(q.RequestIndex)
	w.Fixed(q.Bundle)
	w.Fixed(q.Part)
	return w.Bytes()
}

// KeepPart stores a part durably before it answers: the agency writes the sealed
// bundle only then.
func (h handler) KeepPart(ctx context.Context, q *api.KeepPartRequest) (*api.KeepPartResponse, error) {
	if len(q.WarrantHash) != 32 || len(q.Bundle) != 32 || len(q.Part) != 32 {
		return nil, fail(connect.CodeInvalidArgument, "", "malformed: hash, id and part have 32 bytes each")
	}
	if err := h.agency(q.Agency, "docket keep", keepContent(q), q.Signature); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r, old, err := h.load(ctx, q.WarrantHash)
	if err != nil {
		return nil, h.storeError(err)
	}
	if r.agency != q.Agency {
		return nil, fail(connect.CodePermissionDenied, "", "refused: another agency lodged the warrant")
	}
	request := r.requestAt(q.RequestIndex)
	if request == nil {
		return nil, fail(connect.CodeFailedPrecondition, "", "refused: entry %d is no request of this warrant", q.RequestIndex)
	}
	k := keptPart{ledger.HashEntry(request.entry), [32]byte(q.Part)}
	switch stored, err := h.records.Get(ctx, parts, q.Bundle); {
	case err == nil && string(stored) == string(k.encode()):
		return &api.KeepPartResponse{}, nil
	case err == nil:
		return nil, fail(connect.CodeAlreadyExists, "", "refused: another part of that bundle is kept")
	case !errors.Is(err, engine.ErrNotFound):
		return nil, h.storeError(err)
	}
	if r.parts >= maxParts {
		return nil, fail(connect.CodeResourceExhausted, "", "refused: %d sealed bundles of one warrant", maxParts)
	}
	r.parts++
	if err := h.records.Apply(ctx, engine.Replace(warrants, q.WarrantHash, old, r.encode()), engine.Insert(parts, q.Bundle, k.encode())); err != nil {
		return nil, h.storeError(err)
	}
	return &api.KeepPartResponse{}, nil
}

// requestAt returns the logged request entry at an index, or nil.
func (r *record) requestAt(index uint64) *logged {
	for i := range r.requests {
		if r.requests[i].index == index {
			return &r.requests[i]
		}
	}
	return nil
}

// GivePart gives a part out against a reading that the docket's own fresh copy
// of the ledger counts, sealed to the key that this one reading named: whoever
// replays another's entry gets what only that person opens.
func (h handler) GivePart(ctx context.Context, q *api.GivePartRequest) (*api.GivePartResponse, error) {
	e, err := ledger.ParseEntry(q.Reading)
	if err != nil || e.Reading == nil {
		return nil, fail(connect.CodeInvalidArgument, "", "malformed: not a reading entry")
	}
	x := e.Reading
	if x.Answer != ledger.AnswerHash(q.AnswerKey) {
		return nil, fail(connect.CodePermissionDenied, "", "refused: the reading names another key for its answer")
	}
	if err := h.ledger.Refresh(ctx); err != nil {
		return nil, fail(connect.CodeUnavailable, "try the same call again", "ledger: %w", err)
	}
	var counts, sealed bool
	var why string
	h.ledger.View(func(b *ledger.Book) {
		_, counts = b.Find(e.Hash())
		why, sealed = b.Sealed(x.Request, h.config.Now())
	})
	if counts && sealed {
		return nil, fail(connect.CodePermissionDenied, "", "refused: this bundle must not be read any more: %s", why)
	}
	if !counts {
		return nil, fail(connect.CodeFailedPrecondition, "log the reading first", "refused: the ledger does not show this reading, or it does not count")
	}
	stored, err := h.records.Get(ctx, parts, x.Bundle[:])
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fail(connect.CodeNotFound, "open the case again: writ open makes a new sealed bundle", "no part of that bundle is kept here")
	}
	if err != nil {
		return nil, h.storeError(err)
	}
	k, err := parseKeptPart(stored)
	if err != nil {
		return nil, h.storeError(err)
	}
	defer clear(k.part[:])
	if k.request != x.Request {
		return nil, fail(connect.CodePermissionDenied, "", "refused: the reading is under another request than the bundle")
	}
	envelope, err := warrant.Seal(k.part[:], []warrant.Recipient{{ID: "answer", MailKey: charter.MailKey(q.AnswerKey)}})
	if err != nil {
		return nil, fail(connect.CodeInvalidArgument, "", "malformed: the answer's key: %w", err)
	}
	h.config.Log.Info("read", "bundle", hex.EncodeToString(x.Bundle[:]), "purpose", x.Purpose)
	return &api.GivePartResponse{Envelope: envelope}, nil
}
