package custodian

import (
	"context"
	"slices"
	"testing"

	"writ/capsule"
	"writ/charter"
	"writ/engine"
	"writ/ledger"
)

// TakeTurn keeps the server from deciding anything.
func (s *Server) TakeTurn() { s.deciding.take(context.Background()) }

// RawKeys returns every private key of a key file: signing, mail, periods in
// order.
func RawKeys(t *testing.T, dir string, passphrase []byte) [][]byte {
	t.Helper()
	k, err := openKeys(dir, passphrase, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw := [][]byte{k.signing.Seed(), k.mail.Bytes()}
	for _, period := range k.held() {
		b, err := k.periods[period].Bytes()
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, b)
	}
	return raw
}

// MakeKey makes a period's key ahead of time and returns its public half.
func MakeKey(t *testing.T, dir string, passphrase []byte, period uint32) []byte {
	t.Helper()
	k, err := openKeys(dir, passphrase, 5)
	if err == nil {
		err = k.generate(charter.XWing, period)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k.periods[period].Public()
}

// Erase erases a period's key from the key file, and does nothing else.
func Erase(t *testing.T, s *Server, period uint32) {
	t.Helper()
	if err := s.keys.destroy(period); err != nil {
		t.Fatal(err)
	}
}

// BeginDestruction writes down that a period's key is to be destroyed, and does nothing else.
func BeginDestruction(t *testing.T, s *Server, period uint32) {
	t.Helper()
	if err := s.records.Apply(context.Background(), engine.Insert(destructions, periodKeyOf(period), s.destruction(period).Entry())); err != nil {
		t.Fatal(err)
	}
}

// Holds reports whether the key of a period is in memory.
func (s *Server) Holds(period uint32) bool { return slices.Contains(s.keys.held(), period) }

// SignStatement signs a statement with a custodian's signing key.
func SignStatement(t *testing.T, dir string, passphrase []byte, k *charter.KeyStatement) {
	t.Helper()
	keys, err := openKeys(dir, passphrase, 0)
	if err != nil {
		t.Fatal(err)
	}
	k.Sign(keys.signing)
}

// HoldKey returns the key of a hold in a key file, nil if there is none.
func HoldKey(t *testing.T, dir string, passphrase []byte, request ledger.EntryHash) []byte {
	t.Helper()
	k, err := openKeys(dir, passphrase, 0)
	if err != nil {
		t.Fatal(err)
	}
	if key, ok := k.hold(request); ok {
		return key[:]
	}
	return nil
}

// EraseHold erases a hold's key from the key file, and does nothing else.
func EraseHold(t *testing.T, s *Server, request ledger.EntryHash) {
	t.Helper()
	if err := s.keys.endHold(request); err != nil {
		t.Fatal(err)
	}
}

// DamageHold puts junk in the place of what is kept for a request.
func DamageHold(t *testing.T, s *Server, request ledger.EntryHash) {
	t.Helper()
	if err := s.records.Apply(context.Background(), engine.Put(holds, request[:], []byte("junk"))); err != nil {
		t.Fatal(err)
	}
}

// Keeps reports whether anything is left of a hold of a compartment.
func (s *Server) Keeps(c capsule.Hash) bool {
	list, _ := s.records.Scan(context.Background(), keptUnder, nil, 9)
	held, _ := s.records.Scan(context.Background(), holds, nil, 9)
	ends, _ := s.records.Scan(context.Background(), holdEnds, nil, 9)
	var share []byte
	s.ledger.View(func(b *ledger.Book) { share, _ = s.kept(context.Background(), b, c) })
	return len(list)+len(held)+len(ends) > 0 || share != nil
}
