package custodian

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"writ/capsule"
	"writ/charter"
	"writ/internal/keyfile"
	"writ/ledger"
)

func FuzzParseDecision(f *testing.F) {
	f.Add((&decision{intent: []byte("intent"), proof: []byte("proof"), release: []byte("release")}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDecision(b)
		if err == nil && !bytes.Equal(d.encode(), b) {
			t.Fatalf("%x encodes as %x", b, d.encode())
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	dir := f.TempDir()
	if _, err := CreateKeys(dir, []byte("x"), 2, Names{"law", "office", "name"}, charter.XWing, 4, 5); err != nil {
		f.Fatal(err)
	}
	plain, err := keyfile.Read(filepath.Join(dir, keyFile), []byte("x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add(append(plain[:len(plain)-1:len(plain)-1], append([]byte{64}, make([]byte, 64)...)...)) // with a hold
	f.Fuzz(func(t *testing.T, b []byte) {
		k := &keyring{secrets: noSecrets()}
		if k.parse(b) != nil {
			return
		}
		again, err := k.encode(&k.secrets)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes as %x, %v", b, again, err)
		}
	})
}

// A key file is written whole or not at all: what a kill leaves behind beside it
// doesn't count. A damaged one is an error that is not about the passphrase.
func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := CreateKeys(dir, []byte("x"), 2, Names{"law", "office", "name"}, charter.MLKEM768P256, 4); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, keyFile+".new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := openKeys(dir, []byte("x"), 2)
	if err != nil {
		t.Fatal(err)
	}
	before := k.statement(4).Encode()
	if err := k.generate(charter.XWing, 4, 5); err != nil {
		t.Fatal(err)
	}
	if k, err = openKeys(dir, []byte("x"), 2); err != nil || !bytes.Equal(k.statement(4).Encode(), before) {
		t.Fatalf("the key of period 4 changed: %v", err)
	}
	if held := k.held(); len(held) != 2 || k.statement(5).KEM != charter.XWing || k.statement(6) != nil {
		t.Errorf("holds %v", held)
	}
	path := filepath.Join(dir, keyFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openKeys(dir, []byte("x"), 2); err == nil || errors.Is(err, keyfile.ErrPassphrase) {
		t.Errorf("damaged file: %v", err)
	}
}

// Who opened a custodian erases the passphrase at once, as a careful program does. What
// the custodian writes after that opens with the same passphrase, and not with the zeros
// that are left of it.
func TestPassphraseErased(t *testing.T) {
	dir, phrase := t.TempDir(), []byte("a passphrase")
	if _, err := CreateKeys(dir, phrase, 2, Names{"law", "office", "name"}, charter.XWing, 4); err != nil {
		t.Fatal(err)
	}
	k, err := openKeys(dir, phrase, 2)
	if err != nil {
		t.Fatal(err)
	}
	clear(phrase)
	if err := k.generate(charter.XWing, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := openKeys(dir, phrase, 2); !errors.Is(err, keyfile.ErrPassphrase) {
		t.Errorf("the file opens with zeros: %v", err)
	}
	if k, err = openKeys(dir, []byte("a passphrase"), 2); err != nil || len(k.held()) != 2 {
		t.Fatalf("after a new key: %v", err)
	}
}

// A change that comes while the custodian closes writes nothing: the keys in memory are
// erased by then, and would take the place of those in the file.
func TestNoChangeAfterErase(t *testing.T) {
	dir := t.TempDir()
	if _, err := CreateKeys(dir, []byte("x"), 2, Names{"law", "office", "name"}, charter.XWing, 4); err != nil {
		t.Fatal(err)
	}
	k, err := openKeys(dir, []byte("x"), 2)
	if err != nil {
		t.Fatal(err)
	}
	before := k.verifier()
	k.erase()
	if err := k.generate(charter.XWing, 5); err == nil {
		t.Error("a closed custodian made a key")
	}
	if k, err = openKeys(dir, []byte("x"), 2); err != nil || k.verifier() != before {
		t.Errorf("the key file changed: %v", err)
	}
}

// Holds never fill the key file so that no key of a period fits, or nobody can read it.
func TestHoldsLeaveRoom(t *testing.T) {
	dir := t.TempDir()
	if _, err := CreateKeys(dir, []byte("x"), 2, Names{"law", "office", "name"}, charter.MLKEM768P256, 4); err != nil {
		t.Fatal(err)
	}
	k, err := openKeys(dir, []byte("x"), 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxHolds - 1 {
		k.holds[ledger.EntryHash(binary.BigEndian.AppendUint64(make([]byte, 24), uint64(i)))] = [32]byte{1}
	}
	if _, err := k.holdKey(ledger.EntryHash{1}); err != nil {
		t.Errorf("the last hold: %v", err)
	}
	if _, err := k.holdKey(ledger.EntryHash{1}); err != nil || k.room() {
		t.Errorf("the last hold again: %v", err)
	}
	if _, err := k.holdKey(ledger.EntryHash{2}); !errors.Is(err, errHoldsFull) {
		t.Errorf("one more: %v", err)
	}
	var periods []uint32
	for p := range uint32(200) {
		periods = append(periods, 10+p)
	}
	if err := k.generate(charter.MLKEM768P256, periods...); err != nil {
		t.Errorf("keys of periods: %v", err)
	}
	if k, err = openKeys(dir, []byte("x"), 2); err != nil || len(k.holds) != maxHolds || len(k.held()) != 201 {
		t.Errorf("opened again: %v", err)
	}
}

func FuzzParseHold(f *testing.F) {
	f.Add((&hold{until: 7, capsules: []capsule.Hash{{1}, {2}}, shares: make([]byte, 80)}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHold(b)
		if err == nil && !bytes.Equal(h.encode(), b) {
			t.Fatalf("%x encodes as %x", b, h.encode())
		}
	})
}
