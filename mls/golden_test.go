package mls

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

// The working group has no vectors for the default suite. testdata/xwing.json.gz is a
// passive client's story in their format, written once by this package: it holds the
// suite's code point, key formats and derivations in place. TestVectors' reader reads it.
const goldenFile = "testdata/xwing.json.gz"

var update = flag.Bool("update", false, "write "+goldenFile+" anew")

func TestGolden(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	data := readVectors(t, goldenFile)
	each(testPassiveClient)(t, data)
}

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func writeGolden(t *testing.T) {
	w := newWorld(t, XWING_CHACHA20POLY1305_SHA256_Ed25519, testConfig())
	w.commit(0, CommitOptions{}, w.newcomer(), w.newcomer())
	n := w.newcomer()
	v := passiveClientVector{KeyPackage: n.kp.Bytes(), Signature: n.key.Bytes(), Init: n.private(t).init.raw, Encryption: n.private(t).encryption.raw}
	v.ExternalPSKs = append(v.ExternalPSKs, struct {
		ID  hexBytes `json:"psk_id"`
		Key hexBytes `json:"psk"`
	}{[]byte("external"), []byte("shared by other means")})
	v.Welcome = w.commit(0, CommitOptions{}, n).Welcome
	v.Authenticator = w.clients[3].g.EpochAuthenticator()
	epoch := func(p *PendingCommit, proposals ...[]byte) {
		e := struct {
			Proposals     []hexBytes
			Commit        hexBytes
			Authenticator hexBytes `json:"epoch_authenticator"`
		}{Commit: p.Message, Authenticator: w.clients[3].g.EpochAuthenticator()}
		for _, m := range proposals {
			e.Proposals = append(e.Proposals, m)
		}
		v.Epochs = append(v.Epochs, e)
	}
	epoch(w.commit(1, CommitOptions{}))
	epoch(w.commit(2, CommitOptions{PSKs: []PSK{{ID: []byte("external")}}}, w.newcomer()))
	update, d, err := w.clients[1].g.Propose(Proposal{Update: true})
	w.propose(1, update, d, err)
	remove, d, err := w.clients[4].g.Propose(Proposal{Remove: new(LeafIndex(2))})
	w.propose(4, remove, d, err)
	epoch(w.commit2(0), update, remove)

	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w.check(json.NewEncoder(z).Encode([]struct {
		Suite CipherSuite `json:"cipher_suite"`
		*passiveClientVector
	}{{w.suite, &v}}))
	w.check(z.Close())
	w.check(os.MkdirAll("testdata", 0o755))
	w.check(os.WriteFile(goldenFile, buf.Bytes(), 0o644))
}
