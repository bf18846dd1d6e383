package capsule

import (
	"crypto/ed25519"
	"encoding/hex"
	"testing"

	"writ/charter"
)

func statementFor(change func(*Statement)) *Statement {
	var list MessageList
	list.Add(7, 1000, [32]byte{1})
	list.Add(9, 1002, [32]byte{2})
	s := &Statement{Conversation: []byte("conversation"), Epoch: 3, Leaf: 1, Opened: 1793620800, Context: [32]byte{5},
		Count: uint32(list.Len()), Messages: list.Hash()}
	change(s)
	return s
}

// The signature covers every field, and each message's every part.
func TestStatementCoversAll(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := charter.DeliveryKey(key.Public().(ed25519.PublicKey))
	sig := statementFor(func(*Statement) {}).Sign(key)
	if !statementFor(func(*Statement) {}).Verify(public, sig) {
		t.Fatal("its own signature does not verify")
	}
	list := func(seq, received uint64, digest [32]byte) func(*Statement) {
		var l MessageList
		l.Add(7, 1000, [32]byte{1})
		l.Add(seq, received, digest)
		return func(s *Statement) { s.Messages = l.Hash() }
	}
	for name, change := range map[string]func(*Statement){
		"conversation": func(s *Statement) { s.Conversation = []byte("conversatioN") },
		"epoch":        func(s *Statement) { s.Epoch++ },
		"leaf":         func(s *Statement) { s.Leaf++ },
		"opened":       func(s *Statement) { s.Opened++ },
		"context":      func(s *Statement) { s.Context[31]++ },
		"count":        func(s *Statement) { s.Count++ },
		"messages":     func(s *Statement) { s.Messages[31]++ },
		"seq":          list(8, 1002, [32]byte{2}),
		"received":     list(9, 1003, [32]byte{2}),
		"ciphertext":   list(9, 1002, [32]byte{3}),
	} {
		if statementFor(change).Verify(public, sig) {
			t.Errorf("%s is not covered", name)
		}
	}
	if s := statementFor(list(9, 1002, [32]byte{2})); !s.Verify(public, sig) {
		t.Error("the same list hashes otherwise")
	}
}

func TestStatementGolden(t *testing.T) {
	const want = "0c636f6e766572736174696f6e" + "0000000000000003" + "00000001" + "000000006ae87b40"
	if got := hex.EncodeToString(statementFor(func(*Statement) {}).Encode()); got[:len(want)] != want {
		t.Errorf("encoding begins %s, want %s", got[:len(want)], want)
	}
}
