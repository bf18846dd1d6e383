package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"writ/audit"
	"writ/charter"
	"writ/ledger"
	"writ/setup"
)

// subject is what an audit of a ledger and one of a directory differ in.
type subject interface {
	Size() uint64
	Apply(index uint64, entry []byte, seen time.Time) error
	Standing(*ledger.Checkpoint, audit.Options) []ledger.Finding // that come and go
	Freshness() time.Duration                                    // 0: any checkpoint will do
	wrong() []ledger.Finding                                     // entries, in their order
	describe(entry []byte, o audit.Options) (kind, text string)
	report(*ledger.Policy, *ledger.Checkpoint, audit.Options) result

	// recall takes what earlier runs kept, and returns their newest checkpoint, or nil.
	recall(*auditState, *ledger.Policy) (last []byte, err error)
	// keep stores a checkpoint up to which it has read, if the log has grown.
	keep(*auditState, *ledger.Checkpoint) error
	// rest stores at the end of a run what keep has put off.
	rest(*auditState) error
}

// result is a report in its forms.
type result struct {
	value    any // of --json
	text     func() string
	html     func() []byte            // nil of a directory
	csv      func() map[string][]byte // nil of a directory
	findings []ledger.Finding
}

// ledgerSubject keeps the journal alone, and replays a ledger from its first entry: every
// rule and number hangs on what came before.
type ledgerSubject struct {
	*audit.Auditor
	journal *journal
}

func newLedgerSubject(firsts ...charter.Hash) *ledgerSubject {
	return &ledgerSubject{Auditor: audit.New(firsts...)}
}

func (l *ledgerSubject) Size() uint64            { return l.Book().Size() }
func (l *ledgerSubject) wrong() []ledger.Finding { return l.Book().Findings() }

func (l *ledgerSubject) describe(entry []byte, o audit.Options) (kind, text string) {
	e, err := ledger.ParseEntry(entry)
	if err != nil {
		return "unknown", ""
	}
	return e.Type().String(), l.Describe(e, o.Reason)
}

func (l *ledgerSubject) report(p *ledger.Policy, c *ledger.Checkpoint, o audit.Options) result {
	r := l.Report(p, c, o)
	return result{r, r.Text, r.HTML, r.CSV, r.Findings}
}

func (l *ledgerSubject) recall(s *auditState, _ *ledger.Policy) (last []byte, err error) {
	if err := s.isNot(checkpointFile, "directory"); err != nil {
		return nil, err
	}
	if l.journal, err = openJournal(s.path(journalFile)); err != nil {
		return nil, err
	}
	for _, m := range l.journal.marks {
		l.Mark(m.Mark)
	}
	return l.journal.last(), nil
}

func (l *ledgerSubject) keep(s *auditState, c *ledger.Checkpoint) error {
	m := audit.Mark{Size: c.Size(), Time: c.Time().UTC()}
	l.Mark(m)
	if s == nil {
		return nil
	}
	return l.journal.keep(m, c)
}

func (l *ledgerSubject) rest(*auditState) error { return nil }

// directorySubject keeps the newest checkpoint, and what was audited up to one at which
// that was stored last: a later run reads on from there.
type directorySubject struct {
	*audit.DirectoryAuditor
	last   *ledger.Checkpoint // newest that is stored
	stored uint64             // entries up to which what was audited is
	bytes  uint64             // that this took
}

func newDirectorySubject() *directorySubject {
	return &directorySubject{DirectoryAuditor: audit.NewDirectory()}
}

func (d *directorySubject) wrong() []ledger.Finding { return d.Findings() }

func (d *directorySubject) describe(entry []byte, _ audit.Options) (kind, text string) {
	return d.Describe(entry)
}

func (d *directorySubject) report(p *ledger.Policy, c *ledger.Checkpoint, o audit.Options) result {
	r := d.Report(p, c, o)
	return result{value: r, text: r.Text, findings: r.Findings}
}

// Of a directory's log DIR holds, each replaced as a whole:
const (
	checkpointFile = "checkpoint" // the newest that was accepted and read
	auditedFile    = "audited"    // what [audit.DirectoryAuditor.Encode] gave, up to that one or an earlier
)

const auditedHint = "move " + auditedFile + " away to read the log anew from its first entry; " + checkpointFile + " stays, so another history is still found out"

func (d *directorySubject) recall(s *auditState, p *ledger.Policy) (last []byte, err error) {
	if err := s.isNot(journalFile, "ledger"); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(s.path(auditedFile))
	switch {
	case err == nil:
		err = d.resume(s, b, p)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err != nil {
		return nil, err
	}
	last, err = s.read(checkpointFile, ledger.MaxCheckpoint)
	if err != nil || last == nil && d.stored == 0 {
		return nil, err
	}
	if last == nil {
		return nil, fail(codeFailed, fmt.Errorf("%s is gone", s.path(checkpointFile)), keepHint)
	}
	if d.last, err = p.Remembered(last); err != nil {
		return nil, s.otherLog(checkpointFile, err)
	}
	if d.last.Size() < d.stored {
		err = fmt.Errorf("%s is of %d entries, where %d were audited", s.path(checkpointFile), d.last.Size(), d.stored)
		return nil, fail(codeFailed, err, keepHint)
	}
	return last, nil
}

// resume goes on from what was audited.
func (d *directorySubject) resume(s *auditState, b []byte, p *ledger.Policy) (err error) {
	if d.DirectoryAuditor, err = audit.ResumeDirectory(b, p); errors.Is(err, ledger.ErrRefused) {
		return s.otherLog(auditedFile, err)
	}
	if err != nil {
		return fail(codeFailed, fmt.Errorf("%s: %w", s.path(auditedFile), err), auditedHint)
	}
	d.stored, d.bytes = d.Size(), uint64(len(b))
	return nil
}

// share is how many bytes of what was audited are stored for each new entry: about seven
// accounts. So storing costs what is new, however many accounts there are.
const share = 512

func (d *directorySubject) keep(s *auditState, c *ledger.Checkpoint) error {
	if s == nil || d.last != nil && c.Size() <= d.last.Size() {
		return nil
	}
	if err := setup.Write(s.path(checkpointFile), c.Signed(), 0o644); err != nil {
		return err
	}
	if d.last = c; (d.Size()-d.stored)*share < d.bytes {
		return nil
	}
	return d.rest(s)
}

func (d *directorySubject) rest(s *auditState) error {
	if s == nil || d.last == nil || d.Size() == d.stored || d.Size() != d.last.Size() {
		return nil // or in the middle of a checkpoint's entries
	}
	b := d.Encode(d.last)
	if err := setup.Write(s.path(auditedFile), b, 0o644); err != nil {
		return err
	}
	d.stored, d.bytes = d.Size(), uint64(len(b))
	return nil
}
