package custodian

import (
	"context"
	"slices"
	"testing"

	"writ/charter"
	"writ/engine"
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
