package custodian

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"writ/engine"
	"writ/internal/wire"
	"writ/ledger"
	"writ/warrant"
)

// The buckets of the store.
//
//	decisions     request entry hash -> decision, from the intent on
//	refusals      request entry hash -> the refusal entry that was first signed
//	unlogged      entry hash -> refusal, destruction or hold end that the ledger lacks
//	objections    warrant entry's index, eight bytes -> reason
//	objected      warrant hash -> nothing: a request under it met an objection
//	used          warrant entry's index -> nothing: an intent was decided under it
//	holds         request entry hash -> what is kept for it: see hold
//	ends          request entry hash -> when that hold ends, Unix seconds, eight bytes
//	kept          capsule hash || request entry hash -> nothing: the hold has its share
//	destructions  period, four bytes -> destruction entry of a key that is being erased
const (
	decisions    engine.Bucket = "decisions"
	refusals     engine.Bucket = "refusals"
	unlogged     engine.Bucket = "unlogged"
	objections   engine.Bucket = "objections"
	objectedTo   engine.Bucket = "objected"
	used         engine.Bucket = "used"
	destructions engine.Bucket = "destructions"
	holds        engine.Bucket = "holds"
	holdEnds     engine.Bucket = "ends"
	keptUnder    engine.Bucket = "kept"
)

// maxRelease bounds a stored release: 1,024 shares of about 80 bytes and the
// envelope around them.
const maxRelease = 1 << 20

// decision is what the custodian does about a request: release, or keep. Without a
// proof it is pending. Encoded: intent<V> || intent_proof<V> || release<V> || uint64 until.
type decision struct {
	intent  []byte // the release or preservation entry
	proof   []byte
	release []byte // empty for a hold
	until   uint64 // when a hold ends; 0 for a release
}

func (d *decision) encode() []byte {
	var w wire.Writer
	w.Opaque(d.intent)
	w.Opaque(d.proof)
	w.Opaque(d.release)
	w.Uint64(d.until)
	return w.Bytes()
}

// decision returns what was decided about a request, or nil.
func (s *Server) decision(ctx context.Context, request ledger.EntryHash) (*decision, error) {
	b, err := s.records.Get(ctx, decisions, request[:])
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d, err := parseDecision(b)
	if err != nil {
		return nil, fmt.Errorf("decision about %x: %w", request, err)
	}
	return d, nil
}

func parseDecision(b []byte) (*decision, error) {
	r := wire.NewReader(b)
	d := &decision{r.Opaque(ledger.MaxEntry), r.Opaque(ledger.MaxProof), r.Opaque(maxRelease), r.Uint64()}
	if err := r.Done(); err != nil {
		return nil, err
	}
	return d, nil
}

// objected returns whether the operator objects to a warrant, by its entry or
// because another entry of the same warrant met an objection: entries hide
// whose they are, so the first request under one tells which warrant is meant.
func (s *Server) objected(ctx context.Context, index uint64, h warrant.Hash) (bool, error) {
	byEntry, err := s.has(ctx, objections, indexKey(index))
	if err != nil {
		return false, err
	}
	if byEntry {
		return true, s.records.Apply(ctx, engine.Put(objectedTo, h[:], nil))
	}
	return s.has(ctx, objectedTo, h[:])
}

func (s *Server) has(ctx context.Context, b engine.Bucket, key []byte) (bool, error) {
	_, err := s.records.Get(ctx, b, key)
	if errors.Is(err, engine.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func indexKey(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

func periodKeyOf(period uint32) []byte { return binary.BigEndian.AppendUint32(nil, period) }
