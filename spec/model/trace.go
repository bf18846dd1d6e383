package model

import (
	"fmt"
	"strings"
)

// Trace tells the shortest way to a state, a step a line.
func (g *Graph) Trace(i int) string {
	var steps []string
	for at := int32(i); at != 0; at = g.parent[at] {
		steps = append([]string{g.by[at].String()}, steps...)
	}
	var out strings.Builder
	for n, s := range steps {
		fmt.Fprintf(&out, "%4d. %s\n", n+1, s)
	}
	return out.String()
}

// String tells the step.
func (t Step) String() string {
	who, n := string(rune('A'+t.c)), t.what+1
	shown := fmt.Sprintf("shown the first %d entries", t.size)
	if t.old {
		shown += " under an old checkpoint"
	}
	switch t.kind {
	case logs:
		return "the log gets " + Entry(t.what).String()
	case ticks:
		return "time passes: checkpoints shown so far are old"
	case objects:
		return fmt.Sprintf("%s's operator objects to warrant %d", who, n)
	case checks:
		return fmt.Sprintf("%s is asked for request %d, %s: every check holds", who, n, shown)
	case objected:
		return fmt.Sprintf("%s is asked for request %d, %s: refused for the objection", who, n, shown)
	case decides:
		return fmt.Sprintf("%s decides to release for request %d", who, n)
	case sends:
		return fmt.Sprintf("%s sends its intent for request %d", who, n)
	case proves:
		return fmt.Sprintf("%s goes on with its intent for request %d, %s", who, n, shown)
	case makes:
		return fmt.Sprintf("%s opens its shares for request %d", who, n)
	case keeps:
		return fmt.Sprintf("%s stores its release for request %d", who, n)
	case answers:
		return fmt.Sprintf("%s hands out its release for request %d", who, n)
	case repeats:
		return fmt.Sprintf("%s is asked again for request %d: hands out what it stored", who, n)
	case crashes:
		return fmt.Sprintf("%s crashes and starts again", who)
	case fails:
		return fmt.Sprintf("%s gives up a call for request %d", who, n)
	case leaks:
		return fmt.Sprintf("%s gives its share of request %d away", who, n)
	default:
		return fmt.Sprintf("the examiner opens request %d", n)
	}
}

// String names the entry.
func (e Entry) String() string {
	switch {
	case e < firstRequest:
		return fmt.Sprintf("warrant %d", e-firstWarrant+1)
	case e >= firstStop && e < firstIntent:
		return fmt.Sprintf("what stops warrant %d", e-firstStop+1)
	case e < firstIntent:
		return fmt.Sprintf("request %d", e-firstRequest+1)
	}
	i := int(e - firstIntent)
	return fmt.Sprintf("%c's intent for request %d", 'A'+i/2%maxCustodians, i/2/maxCustodians+1) + []string{"", " (another signature)"}[i%2]
}

// String names the guards, with a + between.
func (g Guard) String() string {
	var names []string
	for i, name := range guardNames {
		if g&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " + ")
}

var guardNames = [guards]string{"Approvals", "Proof", "FreshLook", "OwnCopy", "LifeAtCheck", "Cap", "Objection", "SameWarrant", "Bound", "Turn", "Hold", "LookUp",
	"WriteFirst", "Insert", "SameIntent", "Used", "IntentProof", "FreshRelease", "LifeRelease", "KeepFirst", "Vouched", "Counted", "Once", "Stopped", "Standing", "Offices"}
