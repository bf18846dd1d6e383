package docket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"writ/api"
	"writ/engine"
	"writ/internal/wire"
	"writ/warrant"
)

// The buckets: warrants and envelopes by warrant hash, and warrant hashes by
// number, eight bytes big endian.
const (
	warrants  engine.Bucket = "warrants"
	envelopes engine.Bucket = "envelopes"
	numbers   engine.Bucket = "numbers"
)

const (
	maxEnvelope = 512 << 10
	maxRequests = 64  // of one warrant
	maxLodged   = 512 // warrants of one agency within a day
	maxRecord   = 8 << 20
	page        = 256
	maxNamed    = 16 // found by a prefix of their hash
)

// record is one warrant's state. Encoded: uint64 number || uint64 lodged ||
// agency<V> || lodgement<V> || uint8 approved || approvals<V> || Logged
// published || Logged requests<V>, Logged being entry<V> || uint64 index and
// its entry empty if not there yet, || uint32 parts.
type record struct {
	number    uint64
	lodged    uint64 // Unix seconds
	agency    string
	lodgement []byte
	approved  bool               // the approval rule is satisfied
	approvals []warrant.Approval // in ascending order, of each office no more than the charter asks for
	published logged
	requests  []logged
	parts     uint32 // how many sealed bundles it keeps a part of
}

// logged is an entry and where it stands on the ledger.
type logged struct {
	entry []byte
	index uint64
}

func (l logged) write(w *wire.Writer) {
	w.Opaque(l.entry)
	w.Uint64(l.index)
}

func readLogged(r *wire.Reader) logged { return logged{r.Opaque(maxRecord), r.Uint64()} }

func (l logged) message() *api.LoggedEntry { return &api.LoggedEntry{Entry: l.entry, Index: l.index} }

func (r *record) encode() []byte {
	var w wire.Writer
	w.Uint64(r.number)
	w.Uint64(r.lodged)
	w.String(r.agency)
	w.Opaque(r.lodgement)
	w.Uint8(map[bool]uint8{true: 1}[r.approved])
	w.Opaque(warrant.EncodeApprovals(r.approvals))
	r.published.write(&w)
	w.Vector(func(w *wire.Writer) {
		for _, l := range r.requests {
			l.write(w)
		}
	})
	w.Uint32(r.parts)
	return w.Bytes()
}

func parseRecord(b []byte) (*record, error) {
	in := wire.NewReader(b)
	r := &record{number: in.Uint64(), lodged: in.Uint64(), agency: in.Name(), lodgement: in.Opaque(maxRecord)}
	switch approved := in.Uint8(); {
	case approved > 1:
		in.Fail("approved is %d", approved)
	default:
		r.approved = approved == 1
	}
	approvals, err := warrant.ParseApprovals(in.Opaque(maxRecord))
	if err != nil {
		return nil, err
	}
	r.approvals, r.published = approvals, readLogged(in)
	requests := in.Vector(maxRecord)
	for requests.More() {
		r.requests = append(r.requests, readLogged(requests))
	}
	in.Check(requests.Done())
	r.parts = in.Uint32()
	if err := in.Done(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *record) state() api.WarrantState {
	switch {
	case len(r.published.entry) > 0:
		return api.WarrantState_WARRANT_STATE_PUBLISHED
	case r.approved:
		return api.WarrantState_WARRANT_STATE_APPROVED
	}
	return api.WarrantState_WARRANT_STATE_LODGED
}

// offices returns who approved, sorted.
func (r *record) offices() []string {
	var list []string
	for _, a := range r.approvals {
		list = append(list, a.Office)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (r *record) message(hash []byte) *api.LodgedWarrant {
	return &api.LodgedWarrant{Number: r.number, WarrantHash: hash, Agency: r.agency, State: r.state(),
		Offices: r.offices(), Lodged: r.lodged, Requests: uint32(len(r.requests))}
}

// load returns a warrant's record with its stored bytes.
func (s *Server) load(ctx context.Context, hash []byte) (*record, []byte, error) {
	b, err := s.records.Get(ctx, warrants, hash)
	if err != nil {
		return nil, nil, err
	}
	r, err := parseRecord(b)
	if err != nil {
		return nil, nil, fmt.Errorf("record of %x: %w", hash, err)
	}
	return r, b, nil
}

// change applies f to a warrant's record and stores the result, durably. It
// stores nothing when f fails or changes nothing.
func (s *Server) change(ctx context.Context, hash []byte, f func(*record) error) (*record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, old, err := s.load(ctx, hash)
	if err != nil {
		return nil, s.storeError(err)
	}
	if err := f(r); err != nil {
		return nil, err
	}
	now := r.encode()
	if string(now) == string(old) {
		return r, nil
	}
	if err := s.records.Apply(ctx, engine.Replace(warrants, hash, old, now)); err != nil {
		return nil, s.storeError(err)
	}
	return r, nil
}

// insert stores a new warrant under the next number; engine.ErrFull if its agency
// lodged too many.
func (s *Server) insert(ctx context.Context, hash []byte, r *record, envelope []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	recent := slices.DeleteFunc(s.lodged[r.agency], func(at time.Time) bool { return now.Sub(at) > 24*time.Hour })
	if s.lodged[r.agency] = recent; len(recent) >= maxLodged {
		return engine.ErrFull
	}
	last, err := s.records.Last(ctx, numbers)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		r.number = 1
	case err != nil:
		return err
	default:
		r.number = binary.BigEndian.Uint64(last.Key) + 1
	}
	s.lodged[r.agency] = append(recent, now)
	return s.records.Apply(ctx,
		engine.Insert(warrants, hash, r.encode()),
		engine.Insert(envelopes, hash, envelope),
		engine.Insert(numbers, binary.BigEndian.AppendUint64(nil, r.number), hash))
}
