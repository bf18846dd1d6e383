package audit

import (
	"fmt"
	"strings"
	"time"

	"writ/directory"
	"writ/ledger"
)

// DirectoryAuditor audits the log of a directory (AUD-40): it recomputes each
// root of the prefix tree. Its memory is that of [directory.Book]. What it has found can be
// kept, and gone on from: see [ResumeDirectory].
type DirectoryAuditor struct {
	book     *directory.Book
	findings []ledger.Finding
	roots    uint64 // among the entries
}

// What an entry of a directory's log is, in findings.
const (
	kindUnknown = "unknown"
	kindLeaf    = "leaf"
	kindRoot    = "root"
)

// replayRule is the rule that an entry of a directory's log breaks.
const replayRule = "DIR-47"

// NewDirectory returns an auditor of an empty directory log.
func NewDirectory() *DirectoryAuditor {
	return &DirectoryAuditor{book: directory.NewBook()}
}

// Size returns the number of entries applied.
func (a *DirectoryAuditor) Size() uint64 { return a.book.Size() }

// Apply takes the next entry of the log, proven to the caller.
func (a *DirectoryAuditor) Apply(index uint64, entry []byte, _ time.Time) error {
	if index != a.Size() {
		return fmt.Errorf("audit: invalid: entry %d where %d is next", index, a.Size())
	}
	kind, _ := a.Describe(entry)
	if kind == kindRoot {
		a.roots++
	}
	if err := a.book.Apply(entry); err != nil {
		a.findings = append(a.findings, ledger.Finding{Index: index, Type: kind, Rule: replayRule, Problem: err.Error()})
	}
	return nil
}

// Describe says what an entry is, and in one line what it shows.
func (a *DirectoryAuditor) Describe(entry []byte) (kind, text string) {
	switch e, err := directory.ParseEntry(entry); {
	case err != nil:
		return kindUnknown, ""
	case e.Root != nil:
		return kindRoot, fmt.Sprintf("of the tree over the first %s", counted(e.Root.Size, "entry", "entries"))
	default:
		return kindLeaf, fmt.Sprintf("a statement of the account labelled %x", e.Leaf.Label)
	}
}

// Findings returns what was found wrong, in the log's order.
func (a *DirectoryAuditor) Findings() []ledger.Finding {
	return append([]ledger.Finding{}, a.findings...)
}

// Standing returns those findings that come and go with time: a checkpoint that is too
// old (AUD-3).
func (a *DirectoryAuditor) Standing(c *ledger.Checkpoint, o Options) []ledger.Finding {
	return stale(c, o)
}

// Freshness returns the age from which on no device accepts the directory's checkpoint for
// who enters a conversation (DIR-42).
func (a *DirectoryAuditor) Freshness() time.Duration { return 10 * time.Minute }

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
	r := &DirectoryReport{Log: logOf(p, c, o.Now), Entries: a.Size(), Leaves: a.book.Leaves(), Roots: a.roots, Now: o.Now.UTC(),
		Findings: append(a.Findings(), a.Standing(c, o)...)}
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
