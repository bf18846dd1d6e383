package audit

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"writ/directory"
	"writ/internal/wire"
	"writ/ledger"
)

const (
	keptVersion = 1    // another one also if other entries are findings: what was kept is then audited anew
	maxProblem  = 1024 // bytes of a finding's text
)

// kinds are the types of entries that a finding is of, by the byte that stands for them.
var kinds = []string{kindUnknown, kindLeaf, kindRoot}

// Encode returns all that the auditor goes on from, with the checkpoint up to which it has
// read (AUD-41); its size is that of [directory.Book.Write]:
//
//	struct { uint64 index; uint8 kind; string problem<V>; } Finding;  unknown 0, leaf 1, root 2
//	struct {
//	  uint16 version = 1;
//	  opaque checkpoint<V>;
//	  uint64 roots;
//	  uint64 count; Finding findings[count];  by ascending index
//	  Book book;                              that of room directory
//	  opaque sum[32];                         SHA-256 of all before, against damage
//	} Audited;
func (a *DirectoryAuditor) Encode(c *ledger.Checkpoint) []byte {
	var w wire.Writer
	w.Uint16(keptVersion)
	w.Opaque(c.Signed())
	w.Uint64(a.roots)
	w.Uint64(uint64(len(a.findings)))
	for _, f := range a.findings {
		w.Uint64(f.Index)
		w.Uint8(uint8(slices.Index(kinds, f.Type)))
		w.String(f.Problem)
	}
	a.book.Write(&w)
	sum := sha256.Sum256(w.Bytes())
	w.Fixed(sum[:])
	return w.Bytes()
}

// ResumeDirectory returns the auditor that [DirectoryAuditor.Encode] wrote (AUD-42). Its entries
// make up the tree of its checkpoint, which the log of the policy signed. Its error wraps
// [wire.ErrMalformed], or [ledger.ErrRefused] where the checkpoint is of another log.
func ResumeDirectory(b []byte, p *ledger.Policy) (*DirectoryAuditor, error) {
	a, signed, err := parseAudited(b)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	c, err := p.Remembered(signed)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if head, ok := a.book.Head(); !ok || (tlog.Tree{N: int64(a.Size()), Hash: head}) != c.Tree() {
		return nil, fmt.Errorf("audit: %w: not the entries of its checkpoint of %d", wire.ErrMalformed, c.Size())
	}
	return a, nil
}

func parseAudited(b []byte) (a *DirectoryAuditor, checkpoint []byte, err error) {
	body := b[:max(0, len(b)-sha256.Size)]
	r := wire.NewReader(b)
	if version := r.Uint16(); r.Err() == nil && version != keptVersion {
		return nil, nil, fmt.Errorf("unsupported: version %d", version)
	}
	if sum := sha256.Sum256(body); string(sum[:]) != string(b[len(body):]) {
		return nil, nil, fmt.Errorf("%w: cut short or damaged: its sum does not fit", wire.ErrMalformed)
	}
	a = &DirectoryAuditor{}
	checkpoint, a.roots = r.Opaque(ledger.MaxCheckpoint), r.Uint64()
	a.findings = readFindings(r)
	a.book = directory.ReadBook(r)
	r.Fixed(sha256.Size)
	if n := len(a.findings); n > 0 && a.findings[n-1].Index >= a.Size() || a.roots > a.Size()-min(a.Size(), a.book.Leaves()) {
		r.Fail("more than its %d entries", a.Size())
	}
	if err := r.Done(); err != nil {
		return nil, nil, err
	}
	return a, checkpoint, nil
}

func readFindings(r *wire.Reader) (list []ledger.Finding) {
	n := r.Uint64()
	for i := uint64(0); i < n && r.Err() == nil; i++ {
		f := ledger.Finding{Index: r.Uint64(), Rule: replayRule}
		if kind := int(r.Uint8()); kind < len(kinds) {
			f.Type = kinds[kind]
		} else {
			r.Fail("finding of kind %d", kind)
		}
		f.Problem = r.String(maxProblem)
		if i > 0 && f.Index <= list[i-1].Index {
			r.Fail("findings out of order")
		}
		list = append(list, f)
	}
	return list
}
