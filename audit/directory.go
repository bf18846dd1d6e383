package audit

import (
	"fmt"
	"strings"
	"time"

	"writ/directory"
	"writ/ledger"
)

// DirectoryAuditor audits the log of a directory (AUD-40): it recomputes each
// root of the prefix tree. Its memory is that of [directory.Book].
type DirectoryAuditor struct {
	book     *directory.Book
	findings []ledger.Finding
	leaves   uint64
	roots    uint64
}

// NewDirectory returns an auditor of an empty directory log.
func NewDirectory() *DirectoryAuditor {
	return &DirectoryAuditor{book: directory.NewBook()}
}

// Apply takes the next entry of the log, proven to the caller.
func (a *DirectoryAuditor) Apply(index uint64, entry []byte, _ time.Time) error {
	if index != a.book.Size() {
		return fmt.Errorf("audit: invalid: entry %d where %d is next", index, a.book.Size())
	}
	e, parseErr := directory.ParseEntry(entry)
	kind := "unknown"
	switch {
	case parseErr != nil:
	case e.Leaf != nil:
		kind, a.leaves = "leaf", a.leaves+1
	case e.Root != nil:
		kind, a.roots = "root", a.roots+1
	}
	if err := a.book.Apply(entry); err != nil {
		a.findings = append(a.findings, ledger.Finding{Index: index, Type: kind, Rule: "DIR-47", Problem: err.Error()})
	}
	return nil
}

// Findings returns what was found wrong, in the log's order.
func (a *DirectoryAuditor) Findings() []ledger.Finding {
	return append([]ledger.Finding{}, a.findings...)
}

// DirectoryReport is what an audit of a directory's log found.
type DirectoryReport struct {
	Log      Log              `json:"log"`
	Entries  uint64           `json:"entries"`
	Leaves   uint64           `json:"leaves"` // statements of accounts
	Roots    uint64           `json:"roots"`
	Now      time.Time        `json:"now"`
	Holds    bool             `json:"holds"`
	Findings []ledger.Finding `json:"findings"`
}

// Report says what the auditor knows under a checkpoint that the directory's
// policy accepted and up to which it has read.
func (a *DirectoryAuditor) Report(p *ledger.Policy, c *ledger.Checkpoint, o Options) *DirectoryReport {
	r := &DirectoryReport{Log: logOf(p, c, o.Now), Entries: a.book.Size(), Leaves: a.leaves, Roots: a.roots, Now: o.Now.UTC(), Findings: a.Findings()}
	if problem := stale(c, o); problem != "" {
		r.Findings = append(r.Findings, ledger.Finding{Index: c.Size(), Type: "checkpoint", Rule: "AUD-3", Problem: problem})
	}
	r.Holds = len(r.Findings) == 0
	return r
}

// Text returns the report as plain text.
func (r *DirectoryReport) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	r.Log.text(r.Entries, line)
	line("  %-26s%s, %s", "directory", counted(r.Leaves, "statement of an account", "statements of accounts"), r.roots())
	for _, f := range r.Findings {
		line("FINDING at %d (%s), %s: %s", f.Index, f.Type, f.Rule, oneLine(f.Problem))
	}
	if r.Holds {
		holds := "every entry parses"
		if r.Roots > 0 {
			holds += ", every root is the tree's"
		}
		line("%s", holds)
	}
	return b.String()
}

func (r *DirectoryReport) roots() string {
	if r.Roots == 0 {
		return fmt.Sprintf("no root yet: the first comes after %d entries, so nothing was recomputed", directory.RootEvery)
	}
	return counted(r.Roots, "root, recomputed", "roots, each recomputed")
}

func counted(n uint64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
