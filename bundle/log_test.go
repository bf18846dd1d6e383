package bundle

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/ledger"
)

// testLog is a log in memory with three witnesses, who sign what they are told
// at the time they are told. Keys and verifiers are torchwood's.
type testLog struct {
	key       ed25519.PrivateKey
	witnesses []ed25519.PrivateKey
	entries   [][]byte
	hashes    []tlog.Hash
}

const origin = "log.example/writ"

func newTestLog() *testLog {
	l := &testLog{key: keyOf("log")}
	for i := range 3 {
		l.witnesses = append(l.witnesses, keyOf(witnessName(i)))
	}
	return l
}

func witnessName(i int) string { return fmt.Sprintf("witness-%d.example", i) }

func keyOf(seed string) ed25519.PrivateKey {
	h := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(h[:])
}

func (l *testLog) policyText() string {
	text := "log " + must(note.NewEd25519VerifierKey(origin, l.key.Public().(ed25519.PublicKey))) + "\n"
	for i, k := range l.witnesses {
		text += fmt.Sprintf("witness w%d %s\n", i, must(torchwood.NewCosignatureSigner(witnessName(i), k)).Verifier())
	}
	return text + "group q 2 w0 w1 w2\nquorum q\n"
}

// weakPolicy is satisfied by one witness.
func (l *testLog) weakPolicy() string {
	return strings.Replace(l.policyText(), "group q 2", "group q 1", 1)
}

func (l *testLog) add(entry []byte) uint64 {
	index := int64(len(l.entries))
	l.hashes = append(l.hashes, must(tlog.StoredHashes(index, entry, l))...)
	l.entries = append(l.entries, entry)
	return uint64(index)
}

func (l *testLog) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, x := range at {
		out[i] = l.hashes[x]
	}
	return out, nil
}

// proven is an entry with its proof under a checkpoint of now that the first n
// witnesses cosigned at a time.
func (l *testLog) proven(index uint64, at time.Time, n int) Proven {
	path := must(tlog.ProveRecord(int64(len(l.entries)), int64(index), l))
	return Proven{l.entries[index], torchwood.FormatProof(int64(index), path, l.checkpoint(at, n))}
}

func (l *testLog) checkpoint(at time.Time, n int) []byte {
	size := int64(len(l.entries))
	text := torchwood.Checkpoint{Origin: origin, Tree: tlog.Tree{N: size, Hash: must(tlog.TreeHash(size, l))}}.String()
	id := binary.BigEndian.Uint32(keyHash(origin, 1, l.key))
	out := text + "\n" + signatureLine(origin, id, ed25519.Sign(l.key, []byte(text)))
	for i, k := range l.witnesses[:n] {
		v := must(torchwood.NewCosignatureSigner(witnessName(i), k)).Verifier()
		out += signatureLine(v.Name(), v.KeyHash(), cosign(k, text, at))
	}
	return []byte(out)
}

// cosign is cosignature/v1 of c2sp.org/tlog-cosignature. Torchwood's own signer
// takes the time from the clock.
func cosign(k ed25519.PrivateKey, text string, at time.Time) []byte {
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at.Unix(), text)
	return append(binary.BigEndian.AppendUint64(nil, uint64(at.Unix())), ed25519.Sign(k, []byte(signed))...)
}

func signatureLine(name string, id uint32, sig []byte) string {
	raw := append(binary.BigEndian.AppendUint32(nil, id), sig...)
	return fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(raw))
}

func keyHash(name string, kind byte, k ed25519.PrivateKey) []byte {
	h := sha256.Sum256(append([]byte(name+"\n"), append([]byte{kind}, k.Public().(ed25519.PublicKey)...)...))
	return h[:4]
}

// built is the file of a bundle that must hold.
func built(c Contents, policy *ledger.Policy) []byte {
	b, _, err := Build(c, policy)
	return must(b, err)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
