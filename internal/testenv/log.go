package testenv

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/ledger"
)

// Log is a log under the notary's key that takes whatever it is given: a notary
// who keeps to no rule but that of hashes. Its cosignatures are of those
// witnesses whose keys it is told to use.
type Log struct {
	w *World

	mu      sync.Mutex
	entries [][]byte
	hashes  []tlog.Hash
}

// LyingLog returns a log that begins with the entries of the true one.
func (w *World) LyingLog() *Log {
	w.T.Helper()
	l := &Log{w: w}
	_, list := w.Book()
	for _, e := range list {
		l.Add(e.Bytes())
	}
	return l
}

// Add appends an entry and returns its index.
func (l *Log) Add(entry []byte) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	index := int64(len(l.entries))
	stored, err := tlog.StoredHashes(index, entry, l)
	l.w.Must(err)
	l.hashes, l.entries = append(l.hashes, stored...), append(l.entries, entry)
	return uint64(index)
}

// ReadHashes implements [tlog.HashReader]. The caller holds mu.
func (l *Log) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, x := range at {
		out[i] = l.hashes[x]
	}
	return out, nil
}

// Checkpoint is the signed checkpoint, cosigned at a time by the witnesses named.
func (l *Log) Checkpoint(at time.Time, witnesses ...string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.checkpoint(at, witnesses)
}

func (l *Log) checkpoint(at time.Time, witnesses []string) []byte {
	size := int64(len(l.entries))
	root, err := tlog.TreeHash(size, l)
	l.w.Must(err)
	text := torchwood.Checkpoint{Origin: l.w.Policy.Origin(), Tree: tlog.Tree{N: size, Hash: root}}.String()
	signer, err := note.NewSigner(l.w.LogKey)
	l.w.Must(err)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	l.w.Must(err)
	for _, name := range witnesses {
		signed = append(signed, l.w.cosign(name, text, at)...)
	}
	return signed
}

// cosign is cosignature/v1 of c2sp.org/tlog-cosignature, under a witness's key
// and at a time of the caller's choice.
func (w *World) cosign(name, text string, at time.Time) string {
	parts := strings.SplitN(strings.TrimPrefix(w.Cosigners[name], "PRIVATE+KEY+"), "+", 3)
	seed, err := base64.StdEncoding.DecodeString(parts[2])
	w.Must(err)
	key := ed25519.NewKeyFromSeed(seed[1:])
	signer, err := torchwood.NewCosignatureSigner(parts[0], key)
	w.Must(err)
	raw := binary.BigEndian.AppendUint32(nil, signer.Verifier().KeyHash())
	raw = binary.BigEndian.AppendUint64(raw, uint64(at.Unix()))
	raw = append(raw, ed25519.Sign(key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at.Unix(), text))...)
	return fmt.Sprintf("— %s %s\n", parts[0], base64.StdEncoding.EncodeToString(raw))
}

// Proof proves an entry under a checkpoint of that kind.
func (l *Log) Proof(index uint64, at time.Time, witnesses ...string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	path, err := tlog.ProveRecord(int64(len(l.entries)), int64(index), l)
	l.w.Must(err)
	return torchwood.FormatProof(int64(index), path, l.checkpoint(at, witnesses))
}

// ServeHTTP serves the log with fresh cosignatures of all witnesses, and takes
// every entry.
func (l *Log) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case path == "checkpoint":
		rw.Write(l.Checkpoint(time.Now(), "a", "b"))
	case path == "add":
		entry, err := io.ReadAll(io.LimitReader(r.Body, ledger.MaxEntry))
		l.w.Must(err)
		json.NewEncoder(rw).Encode(map[string]uint64{"index": l.Add(entry)})
	default:
		tile, err := torchwood.ParseTilePath(path)
		if err != nil || l.Size() < uint64(tile.N<<tile.H+int64(tile.W))<<(max(tile.L, 0)*tile.H) {
			http.NotFound(rw, r)
			return
		}
		rw.Write(l.tile(tile))
	}
}

func (l *Log) tile(t tlog.Tile) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.L >= 0 {
		b, err := tlog.ReadTileData(t, l)
		l.w.Must(err)
		return b
	}
	var bundle []byte
	for _, e := range l.entries[t.N<<t.H:][:t.W] {
		bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(e))), e...)
	}
	return bundle
}

// Size is the number of entries.
func (l *Log) Size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.entries))
}

// Change rewrites the log with another entry at an index.
func (l *Log) Change(index int, entry []byte) {
	list := slices.Clone(l.entries)
	list[index] = entry
	l.rewrite(list)
}

// Drop rewrites the log without its last n entries.
func (l *Log) Drop(n int) { l.rewrite(l.entries[:len(l.entries)-n]) }

func (l *Log) rewrite(list [][]byte) {
	l.entries, l.hashes = nil, nil
	for _, e := range list {
		l.Add(e)
	}
}

// Consistency is the proof, as lines, that the log extends its first old entries.
func (l *Log) Consistency(old uint64) (lines string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old == 0 || old >= uint64(len(l.entries)) {
		return ""
	}
	proof, err := tlog.ProveTree(int64(len(l.entries)), int64(old), l)
	l.w.Must(err)
	for _, h := range proof {
		lines += h.String() + "\n"
	}
	return lines
}
