package custodian

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/capsule"
	"writ/engine"
	"writ/internal/wire"
	"writ/ledger"
	"writ/unseal"
)

// hold is what is kept for one request. Its shares are sealed with ChaCha20-Poly1305
// under a key of their own, which stands in the key file: who erases that key has
// destroyed them wherever else they lie. The key seals once, so the nonce is zero; the
// additional data is the request entry's hash. Encoded: uint64 until || capsules<V> ||
// shares<V>, the hashes and the sealed shares of 32 bytes each, in the same order.
type hold struct {
	until    uint64 // Unix seconds
	capsules []capsule.Hash
	shares   []byte
}

const maxHold = unseal.MaxCompartments*capsule.ShareSize + 64

func (h *hold) encode() []byte {
	var w wire.Writer
	w.Uint64(h.until)
	w.Vector(func(w *wire.Writer) {
		for _, c := range h.capsules {
			w.Fixed(c[:])
		}
	})
	w.Opaque(h.shares)
	return w.Bytes()
}

func parseHold(b []byte) (*hold, error) {
	r := wire.NewReader(b)
	h := &hold{until: r.Uint64()}
	capsules := r.Vector(maxHold)
	for capsules.More() {
		h.capsules = append(h.capsules, capsules.Array32())
	}
	r.Check(capsules.Done())
	h.shares = bytes.Clone(r.Opaque(maxHold))
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("custodian: hold: %w", err)
	}
	return h, nil
}

// keep takes this custodian's shares out of their seals and keeps them, under a key that
// is in the key file before anything is sealed with it.
func (s *Server) keep(ctx context.Context, id ledger.EntryHash, a *unseal.Authorization, in *ledger.Included, d *decision) error {
	kept, err := unseal.Keep(a, in, s.keys.ring(), s.config.Now())
	if err != nil {
		return notNow(err)
	}
	defer clear(kept)
	key, err := s.keys.holdKey(id)
	if err != nil {
		return s.storeError(err)
	}
	defer clear(key[:])
	h := &hold{until: a.Until()}
	if h.shares, err = sealShares(key, id, kept); err != nil {
		return s.storeError(err)
	}
	d.until = h.until
	for _, k := range kept {
		h.capsules = append(h.capsules, k.Capsule)
	}
	writes := []engine.Write{engine.Put(decisions, id[:], d.encode()), engine.Put(holds, id[:], h.encode()),
		engine.Put(holdEnds, id[:], indexKey(h.until))}
	for _, c := range h.capsules {
		writes = append(writes, engine.Put(keptUnder, append(c[:], id[:]...), nil))
	}
	if err := s.records.Apply(ctx, writes...); err != nil {
		return s.storeError(err)
	}
	s.config.Log.Info("kept", "request", in.Entry().Preservation.RequestIndex, "compartments", len(kept), "until", h.until)
	return nil
}

func sealShares(key [32]byte, id ledger.EntryHash, kept []unseal.KeptShare) ([]byte, error) {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, maxHold)
	defer func() { clear(plain) }()
	for _, k := range kept {
		plain = append(plain, k.Secret[:]...)
	}
	return aead.Seal(nil, make([]byte, aead.NonceSize()), plain, id[:]), nil
}

// openShare returns the share of one of the compartments, nil if it is none.
func (h *hold) openShare(key [32]byte, id ledger.EntryHash, c capsule.Hash) ([]byte, error) {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), h.shares, id[:])
	if err != nil || len(plain) != len(h.capsules)*capsule.ShareSize {
		return nil, errors.New("custodian: invalid: what a hold keeps does not open")
	}
	defer clear(plain)
	at := slices.Index(h.capsules, c)
	if at < 0 {
		return nil, nil
	}
	return bytes.Clone(plain[at*capsule.ShareSize:][:capsule.ShareSize]), nil
}

// kept returns the share of a compartment that a hold keeps, nil if none does now, by the
// book. Its error means that one might and can't be read.
func (s *Server) kept(ctx context.Context, b *ledger.Book, c capsule.Hash) (share []byte, failed error) {
	list, err := s.records.Scan(ctx, keptUnder, c[:], 256)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if len(r.Key) != 64 || !bytes.Equal(r.Key[:32], c[:]) {
			break
		}
		share, err := s.keptFor(ctx, b, ledger.EntryHash(r.Key[32:]), c)
		if share != nil {
			return share, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// keptFor looks into one hold.
func (s *Server) keptFor(ctx context.Context, b *ledger.Book, id ledger.EntryHash, c capsule.Hash) ([]byte, error) {
	key, ok := s.keys.hold(id)
	h, err := s.stored(ctx, id)
	if !ok || errors.Is(err, engine.ErrNotFound) { // it is being ended
		return nil, nil
	}
	if err != nil || s.ends(b, id, h.until) {
		return nil, err
	}
	return h.openShare(key, id, c)
}

// stored returns the hold of a request.
func (s *Server) stored(ctx context.Context, id ledger.EntryHash) (*hold, error) {
	b, err := s.records.Get(ctx, holds, id[:])
	if err != nil {
		return nil, fmt.Errorf("custodian: hold of %x: %w", id, err)
	}
	return parseHold(b)
}

// ends reports whether a hold is over before the next turn, or its warrant was stopped.
func (s *Server) ends(b *ledger.Book, id ledger.EntryHash, until uint64) bool {
	return uint64(s.config.Now().Add(s.config.Poll).Unix()) >= until || b.HoldStopped(id)
}

// endHolds destroys what is kept longer than it may be, or under a warrant that was
// stopped: first the key, in the key file, then the rest, together with the queued
// statement of it. A kill in between is made good by the next turn or start.
func (s *Server) endHolds(ctx context.Context) error {
	list, err := s.records.Scan(ctx, holdEnds, nil, maxHolds)
	errs := []error{err}
	for _, r := range list {
		if len(r.Key) != 32 || len(r.Value) != 8 {
			errs = append(errs, errors.New("custodian: malformed: end of a hold"))
			continue
		}
		id, until, due := ledger.EntryHash(r.Key), binary.BigEndian.Uint64(r.Value), false
		s.ledger.View(func(b *ledger.Book) { due = s.ends(b, id, until) })
		if due {
			errs = append(errs, s.endHold(ctx, id))
		}
	}
	return errors.Join(errs...)
}

// endHold ends one hold. What is stored of it may be damaged: it is the key that matters.
func (s *Server) endHold(ctx context.Context, id ledger.EntryHash) error {
	h, err := s.stored(ctx, id)
	switch {
	case errors.Is(err, engine.ErrCorrupt) || errors.Is(err, wire.ErrMalformed):
		s.config.Log.Error("hold", "error", err)
		h = &hold{}
	case err != nil:
		return err
	}
	writes := []engine.Write{engine.Delete(holds, id[:]), engine.Delete(holdEnds, id[:])}
	for _, c := range h.capsules {
		writes = append(writes, engine.Delete(keptUnder, append(c[:], id[:]...)))
	}
	if err := s.keys.endHold(id); err != nil {
		return err
	}
	x := &ledger.HoldEnd{Request: id, Office: s.keys.names.Office, Custodian: s.keys.names.Custodian}
	x.Sign(ledger.CustodianSigner(s.keys.signing))
	entry := x.Entry()
	hash := ledger.HashEntry(entry)
	if err := s.records.Apply(ctx, append(writes, engine.Insert(unlogged, hash[:], entry))...); err != nil {
		return fmt.Errorf("custodian: %w", err)
	}
	s.config.Log.Info("hold ended", "request", hex.EncodeToString(id[:]))
	s.nudge()
	return nil
}
