package ledger

import (
	"strings"
	"testing"
	"time"

	"writ/charter"
	"writ/charter/chartertest"
)

// TestWatchers: another witness counts once the version that names it is in force, by
// whichever version a reader began; a law that nobody acts on names nobody, and two laws
// that disagree change nothing.
func TestWatchers(t *testing.T) {
	w := newWorld(t)
	first := w.Charter.Policy
	second := strings.Replace(first, "group", "# another\ngroup", 1)
	w.seen = w.seen.Add(time.Hour)
	w.amend(func(c *charter.Charter) { c.Policy = second })
	waiting := w.seen
	delay := time.Duration(w.Charter.Limits.ActivationDelay) * time.Second
	for what, c := range map[string]struct {
		from, want string
		at         time.Time
	}{
		"while it waits":           {first, first, waiting},
		"too early":                {second, first, waiting},
		"in force":                 {first, second, waiting.Add(delay)},
		"who began with it":        {second, second, waiting.Add(delay)},
		"a policy that no law has": {"quorum of my own", "quorum of my own", waiting.Add(delay)},
	} {
		if got := w.book.Watchers(c.from, c.at); got != c.want {
			t.Errorf("%s: %q", what, got)
		}
	}
	other := chartertest.New("another law")
	other.Charter.Name, other.Charter.Policy, other.Charter.Keys = "Another Law", first, nil
	w.mustApply(CharterEntry(other.Sign(other.Charter)))
	if got := w.book.Watchers(first, waiting.Add(delay)); got != first {
		t.Errorf("two laws disagree: %q", got)
	}
	if got := w.book.Watchers(second, waiting.Add(delay)); got != second {
		t.Errorf("only one of them has it: %q", got)
	}
}

// TestRemembered: what was accepted under witnesses of before is the beginning of the log
// for who goes on, with no time of its own; another log's, or nobody's, is not.
func TestRemembered(t *testing.T) {
	l := newTestLog(t, "log")
	l.add(sample(0))
	p := l.policy()
	alone := l.signed(l.a(now))
	if _, err := p.Checkpoint(alone, now, 0); err == nil {
		t.Fatal("one cosignature is a quorum")
	}
	c, err := p.Remembered(alone)
	if err != nil || c.Size() != 1 || !c.Time().IsZero() || string(c.Signed()) != string(alone) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := p.Remembered(l.signed(l.a(now), l.b(now))); err != nil || c.Time().Unix() != now.Unix() {
		t.Errorf("with a quorum: %+v, %v", c, err)
	}
	other := newTestLog(t, "another log")
	other.add(sample(0))
	for what, signed := range map[string][]byte{
		"another log":        other.signed(other.a(now), other.b(now)),
		"without the log":    []byte(l.text() + "\n" + l.a(now) + l.b(now)),
		"not a checkpoint":   []byte("once upon a time"),
		"of another history": []byte(strings.Replace(string(alone), "\n1\n", "\n2\n", 1)),
	} {
		if _, err := p.Remembered(signed); err == nil {
			t.Errorf("%s is remembered", what)
		}
	}
}
