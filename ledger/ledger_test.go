package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// testLog is a log in memory with witnesses that sign whatever they are told.
type testLog struct {
	t       testing.TB
	name    string
	key     ed25519.PrivateKey
	entries [][]byte
	hashes  []tlog.Hash
}

func keyOf(seed string) ed25519.PrivateKey {
	h := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(h[:])
}

func vkeyOf(name string, sigType byte, key ed25519.PrivateKey) string {
	raw := append([]byte{sigType}, key.Public().(ed25519.PublicKey)...)
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, raw), base64.StdEncoding.EncodeToString(raw))
}

func newTestLog(t testing.TB, seed string) *testLog {
	return &testLog{t: t, name: "log.example/writ", key: keyOf(seed)}
}

func (l *testLog) add(entry []byte) uint64 {
	l.t.Helper()
	stored, err := tlog.StoredHashes(int64(len(l.entries)), entry, l)
	if err != nil {
		l.t.Fatal(err)
	}
	l.entries, l.hashes = append(l.entries, entry), append(l.hashes, stored...)
	return uint64(len(l.entries) - 1)
}

func (l *testLog) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, x := range at {
		out[i] = l.hashes[x]
	}
	return out, nil
}

func (l *testLog) text() string {
	root, err := tlog.TreeHash(int64(len(l.entries)), l)
	if err != nil {
		l.t.Fatal(err)
	}
	return fmt.Sprintf("%s\n%d\n%s\n", l.name, len(l.entries), root)
}

// signed returns the checkpoint of the log with the cosignatures given.
func (l *testLog) signed(cosignatures ...string) []byte {
	text := l.text()
	raw := append([]byte{typeEd25519}, l.key.Public().(ed25519.PublicKey)...)
	s := text + "\n" + signatureLine(l.name, keyID(l.name, raw), ed25519.Sign(l.key, []byte(text)))
	return []byte(s + strings.Join(cosignatures, ""))
}

func signatureLine(name string, id uint32, sig []byte) string {
	raw := append(binary.BigEndian.AppendUint32(nil, id), sig...)
	return fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(raw))
}

// cosign returns the signature line of a witness at a time.
func cosign(name, seed, text string, at time.Time) string {
	key := keyOf(seed)
	m := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at.Unix(), text)
	sig := binary.BigEndian.AppendUint64(nil, uint64(at.Unix()))
	raw := append([]byte{typeCosignature}, key.Public().(ed25519.PublicKey)...)
	return signatureLine(name, keyID(name, raw), append(sig, ed25519.Sign(key, []byte(m))...))
}

func (l *testLog) proof(index uint64, signed []byte) []byte {
	path, err := tlog.ProveRecord(int64(len(l.entries)), int64(index), l)
	if err != nil {
		l.t.Fatal(err)
	}
	b := fmt.Appendf(nil, "c2sp.org/tlog-proof@v1\nindex %d\n", index)
	for _, h := range path {
		b = fmt.Appendf(b, "%s\n", h)
	}
	return append(append(b, '\n'), signed...)
}

// policyText is a log, three witnesses and a quorum of two of them.
func (l *testLog) policyText() string {
	return fmt.Sprintf("log %s\nwitness a %s\nwitness b %s\nwitness c %s\ngroup q 2 a b c\nquorum q\n",
		vkeyOf(l.name, typeEd25519, l.key), vkeyOf("a.example", typeCosignature, keyOf("a")),
		vkeyOf("b.example", typeCosignature, keyOf("b")), vkeyOf("c.example", typeCosignature, keyOf("c")))
}

func (l *testLog) policy() *Policy {
	l.t.Helper()
	p, err := ParsePolicy(l.policyText())
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

func (l *testLog) a(at time.Time) string { return cosign("a.example", "a", l.text(), at) }
func (l *testLog) b(at time.Time) string { return cosign("b.example", "b", l.text(), at) }

// The helpers above speak the formats of package note.
func TestHelpersAgreeWithNote(t *testing.T) {
	l := newTestLog(t, "log")
	v, err := note.NewVerifier(vkeyOf(l.name, typeEd25519, l.key))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(l.signed(), note.VerifierList(v)); err != nil {
		t.Fatal(err)
	}
}
