package directory

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/ledger"
)

// signed returns a checkpoint of the log, signed by the log and its witnesses.
func (l *testLog) signed(t *testing.T, signers ...note.Signer) []byte {
	t.Helper()
	at := l.facts()
	text := torchwood.Checkpoint{Origin: signers[0].Name(), Tree: tlog.Tree{N: int64(at.Size), Hash: at.Root}}
	b, err := note.Sign(&note.Note{Text: text.String()}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// How a client joins the two rooms: ledger accepts a checkpoint of the
// directory's log under the witness policy, and its facts are what a lookup is
// verified under.
func TestUnderWitnessedCheckpoint(t *testing.T) {
	now := time.Now() // torchwood's cosigners have no other clock
	logKey, logVKey, err := note.GenerateKey(rand.Reader, "directory.example")
	if err != nil {
		t.Fatal(err)
	}
	logSigner, err := note.NewSigner(logKey)
	if err != nil {
		t.Fatal(err)
	}
	witness, err := torchwood.NewCosignatureSigner("w.example", keyOf("witness"))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := ledger.ParsePolicy(fmt.Sprintf("log %s\nwitness w %s\nquorum w\n", logVKey, witness.Verifier()))
	if err != nil {
		t.Fatal(err)
	}
	s := town(t)
	at := func(signed []byte) (Facts, error) {
		c, err := policy.Checkpoint(signed, now, maxAge)
		if err != nil {
			return Facts{}, err
		}
		return Facts{Size: c.Size(), Root: c.Tree().Hash, Time: c.Time(), MaxAge: maxAge}, nil
	}
	facts, err := at(s.log.signed(t, logSigner, witness))
	if err != nil {
		t.Fatal(err)
	}
	v, err := Verify(s.lookup("ann").Encode(), "ann", s.key.Public(), facts, now)
	if err != nil || v.Chain().Version() != 3 {
		t.Fatal(err)
	}
	unwitnessed, err := at(s.log.signed(t, logSigner))
	if err == nil {
		t.Error("accepted without a witness")
	}
	if _, err := Verify(s.lookup("ann").Encode(), "ann", s.key.Public(), unwitnessed, now); err == nil {
		t.Error("verified under no facts")
	}
}
