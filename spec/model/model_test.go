package model

import (
	"slices"
	"testing"
)

// worlds is what is searched. None has more than it needs: states multiply.
func worlds() []*World {
	two, yes, both := []int{0, 1}, []bool{true}, []bool{true, true}
	return []*World{
		{Name: "one", Offices: two, Requests: []int{0}, Approved: yes, Cap: 1, Life: 3, Objects: true},
		{Name: "three", Offices: []int{0, 1, 1}, Requests: []int{0}, Approved: yes, Cap: 1, Life: 2, Objects: true},
		{Name: "cap", Offices: two, Requests: []int{0, 1}, Approved: both, Cap: 1, Life: 2, Objects: true},
		{Name: "twice", Offices: two, Requests: []int{0, 0}, Approved: yes, Cap: 1},
		{Name: "rogue", Offices: two, Requests: []int{0, 1}, Approved: both, Cap: 1, Life: 2, Objects: true, Rogue: true},
		{Name: "rogue twice", Offices: two, Requests: []int{0, 0}, Approved: yes, Cap: 1, Life: 2, Objects: true, Rogue: true},
		{Name: "salts", Offices: two, Requests: []int{0, 1}, Approved: both, Salted: true, Cap: 2, Objects: true, Rogue: true},
		{Name: "stopped", Offices: two, Requests: []int{0}, Approved: yes, Cap: 1, Life: 2, Stops: true},
		{Name: "stopped rogue", Offices: two, Requests: []int{0, 0}, Approved: yes, Cap: 1, Stops: true, Rogue: true},
		{Name: "lies", Offices: two, Requests: []int{0}, Approved: yes, Cap: 1, Life: 2, Objects: true, Lies: 6},
		{Name: "lies twice", Offices: two, Requests: []int{0, 1}, Approved: []bool{true, false}, Cap: 1, Life: 2, Lies: 5},
	}
}

func world(t *testing.T, name string) *World {
	t.Helper()
	all := worlds()
	i := slices.IndexFunc(all, func(w *World) bool { return w.Name == name })
	if i < 0 {
		t.Fatalf("no world %q", name)
	}
	return all[i]
}

// whole searches a world, and returns the first property broken with the
// way to it, or "".
func whole(w *World) (g *Graph, broken, trace string) {
	g = Search(w, func(w *World, s *State) bool {
		for _, p := range Properties {
			if p.Broken(w, s) {
				broken = p.Name
			}
		}
		return broken == ""
	})
	if broken != "" {
		return g, broken, g.Trace(g.Last())
	}
	if i := g.Stuck(); i >= 0 && w.Lies == 0 { // who lies can fill the log
		return g, "Progress", g.Trace(i)
	}
	return g, "", ""
}

// R1, R2, R10, R33, R36: every property holds in every state of every world.
func TestProtocol(t *testing.T) {
	var happens [opens + 1]bool
	total := 0
	for _, w := range worlds() {
		g, broken, trace := whole(w)
		if broken != "" {
			t.Errorf("world %s: %s is broken:\n%s", w.Name, broken, trace)
		}
		for r, x := range w.Requests {
			can := slices.ContainsFunc(g.states, func(s State) bool { return s.Opened&(1<<r) != 0 })
			if can != w.Approved[x] {
				t.Errorf("world %s: request %d is opened somewhere: %v", w.Name, r+1, can)
			}
		}
		if g.Size() < 50_000 {
			for _, s := range g.states {
				w.steps(&s, func(by Step, _ State) { happens[by.kind] = true })
			}
		}
		t.Logf("world %-12s %7d states %8d steps", w.Name, g.Size(), len(g.edges))
		total += g.Size()
	}
	for k, does := range happens { // a world in which nothing happens keeps every property
		if !does {
			t.Errorf("never happens: %s", Step{kind: kind(k)})
		}
	}
	t.Logf("%d states", total)
}

// removals names for each guard what breaks without it, in the smallest world
// that shows it. Where two are named, each stands in for the other.
var removals = []struct {
	removed  Guard
	world    string
	property string
}{
	{Approvals | Vouched, "lies twice", "Approved"},
	{Vouched, "lies twice", "Place"},
	{OwnCopy, "cap", "Cap"},
	{Cap, "cap", "Cap"},
	{Cap, "rogue", "Cap"},
	{Counted, "lies", "Logged"},
	{Proof | OwnCopy | Counted, "lies", "Logged"},
	{IntentProof, "one", "Intended"},
	{Once, "lies", "OneIntent"},
	{SameIntent, "one", "Progress"},
	{SameIntent | Insert, "one", "OneIntent"},
	{Hold, "one", "SameRelease"},
	{KeepFirst, "one", "SameRelease"},
	{LookUp, "one", "Progress"},
	{LookUp | Insert, "one", "SameRelease"},
	{WriteFirst, "one", "Objection"},
	{Objection, "one", "Objection"},
	{SameWarrant, "salts", "Objection"},
	{Bound, "salts", "Progress"},
	{Turn, "one", "Objection"},
	{Used, "one", "Objection"},
	{FreshLook, "one", "Fresh"},
	{FreshRelease, "one", "Fresh"},
	{LifeAtCheck, "one", "Alive"},
	{LifeRelease, "one", "Alive"},
	{Stopped, "stopped", "Intended"},
	{Standing, "stopped", "Stopped"},
	{Offices, "one", "Offices"},
}

// Each guard is needed: without it a property breaks, and the shortest way
// there is told.
func TestRemovedGuards(t *testing.T) {
	var covered Guard
	for _, x := range removals {
		w := world(t, x.world)
		w.Removed = x.removed
		covered |= x.removed
		trace := breaks(w, x.property)
		if trace == "" {
			t.Errorf("without %v %s still holds in world %s", x.removed, x.property, x.world)
			continue
		}
		t.Logf("without %v, in world %s, %s breaks:\n%s", x.removed, x.world, x.property, trace)
	}
	if covered != 1<<guards-1 {
		t.Errorf("never removed: %v", 1<<guards-1&^covered)
	}
}

// breaks tells the shortest way to a state that breaks a property, or "".
func breaks(w *World, property string) string {
	if property == "Progress" {
		g := Search(w, func(*World, *State) bool { return true })
		if i := g.Stuck(); i >= 0 {
			return g.Trace(i) + "      and from here it is never opened\n"
		}
		return ""
	}
	i := slices.IndexFunc(Properties, func(p Property) bool { return p.Name == property })
	found := false
	g := Search(w, func(w *World, s *State) bool {
		found = Properties[i].Broken(w, s)
		return !found
	})
	if !found {
		return ""
	}
	return g.Trace(g.Last())
}

// Without one of these alone nothing breaks: another guard stands in for it.
func TestSecondLines(t *testing.T) {
	for _, x := range []struct {
		removed Guard
		world   string
	}{{Approvals, "lies twice"}, {Proof, "cap"}, {Proof, "lies"}, {Insert, "one"}, {Insert, "rogue twice"}} {
		holdsWithout(t, world(t, x.world), x.removed)
	}
}

// The cap needs no turn: a rank is a place on the log, the same for every
// reader at any time. What needs the turn is the objection.
func TestCapNeedsNoTurn(t *testing.T) {
	w := world(t, "cap")
	w.Objects = false
	holdsWithout(t, w, Turn)
}

func holdsWithout(t *testing.T, w *World, removed Guard) {
	t.Helper()
	w.Removed = removed
	if _, broken, trace := whole(w); broken != "" {
		t.Errorf("without %v, in world %s, %s breaks:\n%s", removed, w.Name, broken, trace)
	}
}
