package operator_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"writ/internal/keyfile"
	"writ/notice/beacon"
	"writ/operator"
)

var phrase = []byte("correct horse")

// people makes key files of operators, and the ceremony that they will hold.
func people(t *testing.T, names ...string) (dirs []string, c *beacon.Ceremony) {
	t.Helper()
	c = &beacon.Ceremony{Nonce: [32]byte{byte(len(names))}, Genesis: 1_790_000_000, Period: 60, Threshold: uint8(len(names)/2 + 1)}
	for _, name := range names {
		dir := t.TempDir()
		m, err := operator.CreateKeys(dir, phrase, 2, name)
		if err != nil {
			t.Fatal(err)
		}
		dirs, c.Members = append(dirs, dir), append(c.Members, *m)
	}
	return dirs, c
}

// keysOf opens a key file anew, as each command of an operator does.
func keysOf(t *testing.T, dir string) *operator.Keys {
	t.Helper()
	k, err := operator.OpenKeys(dir, phrase, 2)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func each(t *testing.T, board string, dirs []string, act func(*operator.Keys, *operator.Board) error) {
	t.Helper()
	for _, dir := range dirs {
		b, err := operator.OpenBoard(board)
		if err != nil {
			t.Fatal(err)
		}
		if err := act(keysOf(t, dir), b); err != nil {
			t.Fatal(err)
		}
	}
}

func closePhase(t *testing.T, board string) {
	t.Helper()
	b, err := operator.OpenBoard(board)
	if err == nil {
		err = b.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hold runs a ceremony, each operator on its own and started anew for each step.
func hold(t *testing.T, board string, dealers, members []string) *beacon.Group {
	t.Helper()
	each(t, board, dealers, (*operator.Keys).Deal)
	each(t, board, dealers, (*operator.Keys).Deal) // again: the same deal, no fault
	closePhase(t, board)
	each(t, board, members, (*operator.Keys).Respond)
	closePhase(t, board)
	var group *beacon.Group
	var transcript [32]byte
	each(t, board, members, func(k *operator.Keys, b *operator.Board) error {
		g, err := k.Finish(b)
		if err == nil && group != nil && (g.Hash() != group.Hash() || b.Transcript() != transcript) {
			t.Error("operators read different ceremonies")
		}
		group, transcript = g, b.Transcript()
		if len(b.Faults()) > 0 || len(b.Refused()) > 0 {
			t.Errorf("faults %v, refused %v", b.Faults(), b.Refused())
		}
		return err
	})
	return group
}

// Operators at different places make a key by files alone, each started anew for each
// step, and hand it on to others, who share the same key.
func TestCeremonyOnABoard(t *testing.T) {
	dirs, c := people(t, "alpha", "beta", "gamma")
	board := filepath.Join(t.TempDir(), "board")
	if _, err := operator.CreateBoard(board, c, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.CreateBoard(board, c, nil); err == nil {
		t.Error("a second ceremony begins in the same directory")
	}
	first := hold(t, board, dirs, dirs)

	later, next := people(t, "delta", "epsilon", "eta", "zeta")
	next.Previous = first.Hash()
	board = filepath.Join(t.TempDir(), "board")
	if _, err := operator.CreateBoard(board, next, first); err != nil {
		t.Fatal(err)
	}
	second := hold(t, board, dirs, later)
	if !second.Beacon().Key.Equal(first.Beacon().Key) || second.Hash() == first.Hash() {
		t.Error("the key handed on is another, or nothing changed")
	}
	k := keysOf(t, dirs[0])
	if err := k.Drop(first.Hash()); err != nil {
		t.Fatal(err)
	}
	if len(keysOf(t, dirs[0]).Groups()) != 0 || k.Drop(first.Hash()) == nil {
		t.Error("a share that was dropped is still there")
	}
}

// A deal that could not be written to the key file is not posted: after a restart nobody
// could answer for it.
func TestDealIsOnDiskFirst(t *testing.T) {
	dirs, c := people(t, "alpha", "beta")
	board := filepath.Join(t.TempDir(), "board")
	b, err := operator.CreateBoard(board, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	k := keysOf(t, dirs[0])
	if err := os.RemoveAll(dirs[0]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := k.Deal(b); err == nil {
			t.Error("dealt without a key file")
		}
	}
	if files, err := os.ReadDir(board); err != nil || len(files) != 1 {
		t.Errorf("posted: %v, %v", files, err)
	}
}

// A document that somebody else puts on the board is refused and stops nobody.
func TestJunkOnTheBoard(t *testing.T) {
	dirs, c := people(t, "alpha", "beta")
	board := filepath.Join(t.TempDir(), "board")
	if _, err := operator.CreateBoard(board, c, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(board, "0001"), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	each(t, board, dirs, (*operator.Keys).Deal)
	closePhase(t, board)
	b, err := operator.OpenBoard(board)
	if err != nil || len(b.Refused()) != 1 || b.Phase() != beacon.Responding {
		t.Fatalf("%v, refused %v, phase %d", err, b.Refused(), b.Phase())
	}
	if err := keysOf(t, dirs[0]).Deal(b); err != nil {
		t.Errorf("a deal that stands there, in a later phase: %v", err)
	}
}

// The key file is closed to who has not the passphrase, never overwritten, and
// reads back as it was.
func TestKeyFile(t *testing.T) {
	dirs, _ := people(t, "alpha")
	if _, err := operator.CreateKeys(dirs[0], phrase, 2, "alpha"); err == nil {
		t.Error("a key file is overwritten")
	}
	if _, err := operator.OpenKeys(dirs[0], []byte("wrong"), 2); !errors.Is(err, keyfile.ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	k := keysOf(t, dirs[0])
	again, err := operator.ParseKeys(k.Encode())
	if err != nil || !bytes.Equal(again.Encode(), k.Encode()) {
		t.Errorf("reads back otherwise: %v", err)
	}
	sealed, err := os.ReadFile(filepath.Join(dirs[0], operator.KeyFile))
	if err != nil || bytes.Contains(sealed, k.Encode()[16:48]) {
		t.Errorf("the key file shows the key: %v", err)
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte{0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := operator.ParseKeys(b); err == nil && !bytes.Equal(k.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, k.Encode())
		}
	})
}
