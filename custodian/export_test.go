package custodian

import (
	"context"
	"testing"
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
