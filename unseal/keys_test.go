package unseal

import (
	"bytes"
	"testing"

	"writ/charter"
)

// Keys are stored again and again, and what was stored is erased each time: the
// bytes are a copy.
func TestBytesAreACopy(t *testing.T) {
	reader, err := NewReaderKey()
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]interface{ Bytes() ([]byte, error) }{"reader": reader}
	for name, kem := range map[string]charter.KEM{"X-Wing": charter.XWing, "P-256": charter.MLKEM768P256} {
		if keys[name], err = NewCustodianKey(kem); err != nil {
			t.Fatal(err)
		}
	}
	for name, k := range keys {
		first, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		kept := bytes.Clone(first)
		clear(first)
		if again, err := k.Bytes(); err != nil || !bytes.Equal(again, kept) {
			t.Errorf("%s: after the stored bytes were erased: %x, %v", name, again, err)
		}
	}
}
