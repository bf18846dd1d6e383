package mls

import (
	"bytes"
	"maps"
	"slices"
)

// A tester is what the tests need of *testing.T, *testing.B and *rapid.T.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// A store applies deltas as an application's storage does.
type store struct {
	t       tester
	records map[string][]byte
}

func newStore(t tester, g *Group) *store {
	s := &store{t, make(map[string][]byte)}
	d, err := g.State()
	if err != nil {
		t.Fatal(err)
	}
	s.apply(d)
	return s
}

func (s *store) apply(d delta) {
	seen := make(map[string]bool)
	for _, r := range d {
		if seen[r.Key] {
			s.t.Fatalf("record %q twice in a delta", r.Key)
		}
		seen[r.Key] = true
		if r.Value == nil {
			delete(s.records, r.Key)
		} else {
			s.records[r.Key] = bytes.Clone(r.Value)
		}
	}
}

// same checks that the deltas add up to the group's whole state.
func (s *store) same(g *Group) {
	s.t.Helper()
	d, err := g.State()
	if err != nil {
		s.t.Fatal(err)
	}
	want := newStoreOf(d)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !bytes.Equal(want[key], s.records[key]) {
			s.t.Fatalf("record %q: stored %.40x, state %.40x", key, s.records[key], want[key])
		}
	}
	for key := range s.records {
		if _, ok := want[key]; !ok {
			s.t.Fatalf("record %q should be gone", key)
		}
	}
}

func newStoreOf(d delta) map[string][]byte {
	m := make(map[string][]byte)
	for _, r := range d {
		m[r.Key] = r.Value
	}
	return m
}

func (s *store) load(cfg Config) *Group {
	s.t.Helper()
	var list []Record
	for k, v := range s.records {
		list = append(list, Record{k, v})
	}
	g, err := LoadGroup(cfg, list)
	if err != nil {
		s.t.Fatal(err)
	}
	s.same(g)
	return g
}
