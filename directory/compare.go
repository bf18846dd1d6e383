package directory

import "fmt"

// Contradiction says in which point two lookups can't both be true. Together
// with their checkpoints they convince anyone: the log's key and a quorum of
// witnesses signed for both.
type Contradiction struct {
	Account string
	Text    string
}

// Error returns the contradiction as a sentence.
func (c *Contradiction) Error() string {
	return fmt.Sprintf("directory: the log contradicts itself about %q: %s", c.Account, c.Text)
}

// Compare returns a [*Contradiction] if two lookups of one account, from one
// log, can't both be true: two roots for one size; a version that is another in
// the later one or is gone; a leaf that the later one shows at an index which
// the earlier one covered and denied. nil means only that none was found.
func Compare(a, b *Verified) error {
	if a.account != b.account {
		return invalid("lookups of %q and %q are not compared", a.account, b.account)
	}
	if a.facts.Size > b.facts.Size {
		a, b = b, a
	}
	found := func(format string, args ...any) error {
		return &Contradiction{a.account, fmt.Sprintf(format, args...)}
	}
	if a.facts.Size == b.facts.Size && a.facts.Root != b.facts.Root {
		return found("two roots for %d entries", a.facts.Size)
	}
	for i, leaf := range a.leaves {
		switch {
		case i >= len(b.leaves):
			return found("version %d, shown in the log of %d entries, is gone in that of %d", i+1, a.facts.Size, b.facts.Size)
		case leaf.Leaf != b.leaves[i].Leaf || leaf.Index != b.leaves[i].Index:
			return found("version %d is another in the log of %d entries than in that of %d", i+1, a.facts.Size, b.facts.Size)
		}
	}
	for i := len(a.leaves); i < len(b.leaves); i++ {
		if b.leaves[i].Index < a.facts.Size {
			return found("version %d at index %d was hidden when the log had %d entries", i+1, b.leaves[i].Index, a.facts.Size)
		}
	}
	return nil
}
