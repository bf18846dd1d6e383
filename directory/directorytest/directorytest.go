// Package directorytest is a directory in memory, for tests: its log, its witness
// and its labels are those that the charters of chartertest name. It goes by the
// rules like the registry, and lies as a test tells it.
package directorytest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/api"
	"writ/charter/chartertest"
	"writ/directory"
	"writ/directory/keyproof"
)

// Directory is the service; it implements api.DirectoryClient.
type Directory struct {
	now     func() time.Time
	log     note.Signer
	witness ed25519.PrivateKey
	labels  *directory.LabelSigner

	mu      sync.Mutex
	down    bool
	book    *directory.Book
	entries [][]byte
	times   []time.Time // of the entries
	hashes  []tlog.Hash
	chains  map[string][]directory.Opened
	asked   int
	stamp   time.Time // of checkpoints; zero: now
	lie     func(*api.LookUpRequest, *api.LookUpResponse)
}

// New returns a directory whose witness goes by a clock.
func New(now func() time.Time) *Directory {
	log, witness, labels := chartertest.DirectoryKeys()
	signer, err := note.NewSigner(skey(log))
	if err != nil {
		panic("directorytest: " + err.Error())
	}
	return &Directory{now: now, log: signer, witness: witness, labels: labels, book: directory.NewBook(), chains: map[string][]directory.Opened{}}
}

// skey is the log's private key as golang.org/x/mod/sumdb/note writes it.
func skey(key ed25519.PrivateKey) string {
	vkey, err := note.NewEd25519VerifierKey(chartertest.DirectoryOrigin, key.Public().(ed25519.PublicKey))
	if err != nil {
		panic("directorytest: " + err.Error())
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		panic("directorytest: " + err.Error())
	}
	return fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", v.Name(), v.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...)))
}

// Recovery returns a recovery key for an account.
func Recovery(account string) directory.RecoverySigner {
	seed := sha256.Sum256([]byte("recovery of " + account))
	return directory.RecoverySigner(ed25519.NewKeyFromSeed(seed[:]))
}

// Fork returns a directory with the same keys and history, which goes its own way.
func (d *Directory) Fork() *Directory {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Directory{now: d.now, log: d.log, witness: d.witness, labels: d.labels, book: d.book.Clone(),
		entries: slices.Clone(d.entries), times: slices.Clone(d.times), hashes: slices.Clone(d.hashes), chains: maps.Clone(d.chains)}
}

// Replace puts another witness in the place of the one there is, and returns how a charter
// names the directory's log and the new one.
func (d *Directory) Replace() (policy string) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic("directorytest: " + err.Error())
	}
	d.set(func() { d.witness = key })
	was := chartertest.Directory().Policy
	i := strings.Index(was, "witness")
	return fmt.Sprintf("%switness d %s\nquorum d\n", was[:i], cosigner{key: key}.vkey())
}

// Down says whether nobody gets an answer.
func (d *Directory) Down(down bool) { d.set(func() { d.down = down }) }

// Stamp fixes the time of cosignatures; zero gives the present again.
func (d *Directory) Stamp(t time.Time) { d.set(func() { d.stamp = t }) }

// Lie changes every answer; nil tells the truth.
func (d *Directory) Lie(f func(*api.LookUpRequest, *api.LookUpResponse)) { d.set(func() { d.lie = f }) }

// Asked returns for how many accounts it was asked.
func (d *Directory) Asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *Directory) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// Force logs a statement without looking at it.
func (d *Directory) Force(s *directory.Statement) { d.set(func() { d.put(s) }) }

// Junk logs a leaf under an account's label that nobody can open.
func (d *Directory) Junk(account string) {
	d.set(func() {
		label, _ := d.labels.Prove(account)
		d.append(directory.Leaf{Label: label}.Entry())
	})
}

// Chain returns an account's statements as they are logged.
func (d *Directory) Chain(account string) *directory.Chain {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []*directory.Statement
	for _, o := range d.chains[account] {
		all = append(all, o.Statement)
	}
	c, err := directory.NewChain(all...)
	if err != nil {
		return nil
	}
	return c
}

var errDown = connect.NewError(connect.CodeUnavailable, errors.New("the directory is down"))

// PutStatement implements api.DirectoryClient.
func (d *Directory) PutStatement(_ context.Context, r *api.PutStatementRequest) (*api.PutStatementResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return nil, errDown
	}
	s, err := directory.Parse(r.Statement)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	var all []*directory.Statement
	for _, o := range d.chains[s.Account] {
		if o.Statement.Hash() == s.Hash() {
			return &api.PutStatementResponse{}, nil
		}
		all = append(all, o.Statement)
	}
	if _, err := directory.NewChain(append(all, s)...); err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	d.put(s)
	return &api.PutStatementResponse{}, nil
}

func (d *Directory) put(s *directory.Statement) {
	label, _ := d.labels.Prove(s.Account)
	o := directory.Opened{Statement: s}
	rand.Read(o.Salt[:])
	o.Index = d.append(directory.NewLeaf(label, s, o.Salt).Entry())
	d.chains[s.Account] = append(slices.Clone(d.chains[s.Account]), o)
	if d.book.Due() {
		d.append(d.book.Root().Entry())
	}
}

func (d *Directory) append(entry []byte) uint64 {
	more, err := tlog.StoredHashes(int64(len(d.entries)), entry, reader(d.hashes))
	if err != nil {
		panic("directorytest: " + err.Error())
	}
	d.entries, d.times, d.hashes = append(d.entries, entry), append(d.times, d.time()), append(d.hashes, more...)
	d.book.Apply(entry)
	return uint64(len(d.entries)) - 1
}

type reader []tlog.Hash

func (r reader) ReadHashes(at []int64) (out []tlog.Hash, err error) {
	for _, i := range at {
		out = append(out, r[i])
	}
	return out, nil
}

// LookUp implements api.DirectoryClient.
func (d *Directory) LookUp(_ context.Context, r *api.LookUpRequest) (*api.LookUpResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down || len(d.entries) == 0 {
		return nil, errDown
	}
	d.asked += len(r.Accounts)
	size := int64(len(d.entries))
	out := &api.LookUpResponse{Checkpoint: d.checkpoint(size, d.time())}
	if r.Size > 0 && int64(r.Size) < size {
		proof, err := tlog.ProveTree(size, int64(r.Size), reader(d.hashes))
		if err != nil {
			return nil, connect.NewError(connect.CodeInvalidArgument, err)
		}
		for _, h := range proof {
			out.Consistency = append(out.Consistency, h[:])
		}
	}
	for _, account := range r.Accounts {
		label, proof := d.labels.Prove(account)
		l, err := d.book.Lookup(label, proof, d.chains[account], reader(d.hashes))
		if err != nil {
			return nil, connect.NewError(connect.CodeUnavailable, err)
		}
		out.Lookups = append(out.Lookups, l.Encode())
		if r.Dated {
			out.Dates = append(out.Dates, d.dates(account))
		}
	}
	if d.lie != nil {
		d.lie(r, out)
	}
	return out, nil
}

// dates dates each statement by checkpoints of the moment when it was logged.
func (d *Directory) dates(account string) *api.Dates {
	out := &api.Dates{}
	for _, o := range d.chains[account] {
		at := d.times[o.Index]
		out.Dates = append(out.Dates, &api.Date{Before: d.checkpoint(int64(o.Index), at), After: d.checkpoint(int64(o.Index)+1, at)})
	}
	return out
}

// Proof answers for an account in the form in which a bundle holds it.
func (d *Directory) Proof(account string) *keyproof.Proof {
	out, err := d.LookUp(context.Background(), &api.LookUpRequest{Accounts: []string{account}, Dated: true})
	if err != nil {
		panic("directorytest: " + err.Error())
	}
	p := &keyproof.Proof{Account: account, Checkpoint: out.Checkpoint, Lookup: out.Lookups[0]}
	for i, x := range out.Dates[0].Dates {
		p.Dates = append(p.Dates, keyproof.Date{Version: uint64(i) + 1, Before: x.Before, After: x.After})
	}
	return p
}

func (d *Directory) time() time.Time {
	if d.stamp.IsZero() {
		return d.now()
	}
	return d.stamp
}

// checkpoint signs and cosigns the log as it was or is.
func (d *Directory) checkpoint(size int64, at time.Time) []byte {
	root, err := tlog.TreeHash(size, reader(d.hashes))
	if err != nil {
		panic("directorytest: " + err.Error())
	}
	c := torchwood.Checkpoint{Origin: d.log.Name(), Tree: tlog.Tree{N: size, Hash: root}}
	signed, err := note.Sign(&note.Note{Text: c.String()}, d.log, cosigner{d.witness, at.Unix()})
	if err != nil {
		panic("directorytest: " + err.Error())
	}
	return signed
}

// cosigner is the witness at a time (c2sp.org/tlog-cosignature).
type cosigner struct {
	key ed25519.PrivateKey
	at  int64
}

func (c cosigner) verifier() note.Verifier {
	s, err := torchwood.NewCosignatureSigner("d.test", c.key)
	if err != nil {
		panic("directorytest: " + err.Error())
	}
	return s.Verifier()
}

func (c cosigner) vkey() string {
	s, err := torchwood.NewCosignatureSigner("d.test", c.key)
	if err != nil {
		panic("directorytest: " + err.Error())
	}
	return s.Verifier().String()
}

func (c cosigner) Name() string    { return c.verifier().Name() }
func (c cosigner) KeyHash() uint32 { return c.verifier().KeyHash() }

func (c cosigner) Sign(text []byte) ([]byte, error) {
	sig := ed25519.Sign(c.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", c.at, text))
	return append(binary.BigEndian.AppendUint64(nil, uint64(c.at)), sig...), nil
}

// Cosign returns the line that a further witness adds to a signed checkpoint of that
// text, at a time.
func Cosign(v note.Verifier, key ed25519.PrivateKey, text string, at time.Time) []byte {
	sig, _ := cosigner{key, at.Unix()}.Sign([]byte(text))
	raw := append(binary.BigEndian.AppendUint32(nil, v.KeyHash()), sig...)
	return fmt.Appendf(nil, "— %s %s\n", v.Name(), base64.StdEncoding.EncodeToString(raw))
}
